"""Particles in 3D with the resistance over their surface."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from reports import FEW
from stores import half_ball
from tomostat.analyze import analyze_particles
from tomostat.measure import measure_particles
from tomostat.report import ReportOptions, write_report
from tomostat.report.figures.surface_resistance import (
    STEPS,
    ColouredParticle,
    colour_indices,
    draw_surfaces,
    void_around,
)


def test_colours_follow_the_values() -> None:
    mask = np.zeros((12, 12, 12), bool)
    mask[2:10, 2:10, 2:10] = True
    values = np.full(mask.shape, np.nan, np.float32)
    values[2:10, 2:10, 2] = 0.0
    values[2:10, 2:10, 9] = 3.0
    shown = colour_indices(mask, values, 3.0)
    assert (shown[~mask] == 0).all()
    assert (shown[2:10, 2:10, 2] == 2).all()
    assert (shown[2:10, 2:10, 9] == STEPS + 1).all()
    assert (shown[mask & np.isnan(values)] == 1).all()
    figure = draw_surfaces([ColouredParticle(mask, values, (1.0, 1.0, 1.0), ~mask, "cube")])
    figure.canvas.draw()


def shares(picture: np.ndarray) -> tuple[float, float]:
    """Shares of the coloured pixels that are dark red (far from contact) and pale yellow (in contact)."""
    red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    far = (red > 0.3) & (green < 0.35 * red) & (blue < 0.5 * red)
    contact = (green > 0.8 * red) & (blue < 0.85 * red) & (red > 0.3)
    coloured = (red - blue) > 0.1 * red
    return float(far.sum() / coloured.sum()), float(contact.sum() / coloured.sum())


@pytest.mark.slow
def test_the_report_shows_the_maps(tmp_path: Path) -> None:
    """The detached half faces the viewer in the front view, the half in contact when the ball is turned."""
    path = half_ball(tmp_path / "half.zarr")
    table = measure_particles(path)
    results = analyze_particles(table, options=FEW)
    brief = ReportOptions(pictured_fields=0)
    page = write_report(tmp_path / "report", table, results, {"half": path}, options=brief).read_text("utf-8")
    assert 'href="figures/resistance-surface.png"' in page
    picture = imread(tmp_path / "report" / "figures" / "resistance-surface.png")
    width = int(picture.shape[1] * 6.9 / 7.8) // 3  # void, front, back; the rest is the scale
    front, back = shares(picture[:, width : 2 * width]), shares(picture[:, 2 * width : 3 * width])
    assert front[0] > 0.1
    assert back[0] < 0.01
    assert back[1] > 0.6
    assert back[1] > 1.5 * front[1]
    shutil.rmtree(path / "maps")
    page = write_report(tmp_path / "report", table, results, {"half": path}, options=brief).read_text("utf-8")
    assert "resistance-surface.png" not in page


def test_void_lies_beyond_the_detached_surface() -> None:
    mask = np.zeros((1, 9, 20), bool)
    mask[0, 3:6, 5:15] = True
    values = np.where(mask, np.float32(0), np.float32(np.nan))
    values[0, 3:6, 10:15] = 0.7  # the right half is detached
    void = void_around(mask, np.zeros(mask.shape, np.uint8), values)
    assert void[0, 4, 15:19].all()
    assert not void[0, :, :8].any()
    assert not (void & mask).any()
    assert not void_around(mask, np.ones(mask.shape, np.uint8), values).any()  # carbon-binder is no void
    assert not void_around(mask, None, values).any()
