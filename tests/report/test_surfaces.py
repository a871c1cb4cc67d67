"""Particles in 3D with the resistance over their surface."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from test_measure_maps import half_ball

from tomostat.analyze import analyze_particles
from tomostat.analyze.options import AnalyzeOptions
from tomostat.measure import measure_particles
from tomostat.report import write_report
from tomostat.report.surfaces import STEPS, Coloured, draw_surfaces, tint_rows


def test_colours_follow_the_values() -> None:
    mask = np.zeros((12, 12, 12), bool)
    mask[2:10, 2:10, 2:10] = True
    values = np.full(mask.shape, np.nan, np.float32)
    values[2:10, 2:10, 2] = 0.0
    values[2:10, 2:10, 9] = 3.0
    shown = tint_rows(mask, values, 3.0)
    assert (shown[~mask] == 0).all()
    assert (shown[2:10, 2:10, 2] == 2).all()
    assert (shown[2:10, 2:10, 9] == STEPS + 1).all()
    assert (shown[mask & np.isnan(values)] == 1).all()
    figure = draw_surfaces([Coloured(mask, values, (1.0, 1.0, 1.0), "cube")])
    figure.canvas.draw()


def test_the_report_shows_the_maps(tmp_path: Path) -> None:
    path = half_ball(tmp_path / "half.zarr")
    table = measure_particles(path)
    results = analyze_particles(table, options=AnalyzeOptions(resamples=100))
    page = write_report(tmp_path / "report", table, results, {"half": path}).read_text(encoding="utf-8")
    assert 'src="figures/resistance.png"' in page
    assert (tmp_path / "report" / "figures" / "resistance.png").stat().st_size > 10_000
    shutil.rmtree(path / "maps")
    page = write_report(tmp_path / "report", table, results, {"half": path}).read_text(encoding="utf-8")
    assert "resistance.png" not in page
