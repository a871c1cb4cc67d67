"""Accuracy by people's answers, and doubtful decisions with the commands that turn them over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reports import FEW, SPACING, judged_answers, make_field
from tables import replaced
from tables import study as particle_study
from tomostat.analyze import analyze_particles
from tomostat.execution import Execution
from tomostat.report import Provenance, ReportOptions
from tomostat.report.data import ReportData
from tomostat.report.decisions import CLOSE, doubtful
from tomostat.report.fields import view_field
from tomostat.report.figures.quality import audited, draw_decision, expected
from tomostat.study import Field, Sample, Study


def write_graph(folder: Path) -> None:
    folder.mkdir()
    tracks = pd.DataFrame(
        {"particle": [1, 2, 2], "voxels": [300, 100, 50], "z": [2.0, 4.0, 4.0], "y": 8.0, "x": 9.0},
        index=pd.RangeIndex(1, 4, name="track"),
    )
    candidates = pd.DataFrame(
        {"a": [1, 2, 1], "b": [2, 3, 3], "score": [-0.4, 0.2, -5.0], "joined": [False, True, False], "reason": "score"}
    )
    candidates["reason"] = ["score", "best", "score"]
    tracks.to_parquet(folder / "tracks.parquet")
    candidates.to_parquet(folder / "candidates.parquet")


def test_decisions_near_zero_are_doubtful_closest_first(tmp_path: Path) -> None:
    assert doubtful("a", tmp_path / "none") == []
    write_graph(tmp_path / "graph")
    first, second = doubtful("a", tmp_path / "graph")
    assert (first.a, first.b, first.joined, first.particles) == (2, 3, True, (2, 2))
    assert (second.a, second.b, second.joined, second.particles) == (1, 2, False, (1, 2))
    assert second.centre[0] == pytest.approx((2.0 * 100 + 4.0 * 300) / 400)
    assert 1 / (1 + np.exp(CLOSE)) < second.error_probability < first.error_probability < 0.5


def test_accuracy_by_condition_and_stale_answers(tmp_path: Path) -> None:
    study = Study(study="one", output=tmp_path / "out", samples=(Sample(name="cell", fields=(Field(path=tmp_path),)),))
    particles = particle_study(particles=5, fields=1)
    data = ReportData(
        folder=tmp_path, particles=particles, results=analyze_particles(particles, options=FEW), views=[],
        structures={}, options=ReportOptions(), provenance=Provenance(study=study), execution=Execution(),
    )  # fmt: skip
    assert "Nobody has judged particles yet: <code>tomostat audit out</code>" in audited(data)
    html = audited(replace(data, provenance=replace(data.provenance, answers=judged_answers("0.1C-0-0"))))
    assert "<td>9</td><td>0</td><td>1</td><td>0</td><td>0</td><td>90.0<small>[59.6, 98.2]</small></td>" in html
    assert "<td>2</td><td>19</td><td>1</td><td>95.0<small>" in html
    assert "Left out: 1 answer on particles that were made anew since" in html


def test_particles_that_are_likely_wrong_are_counted(tmp_path: Path) -> None:
    particles = particle_study(particles=5, fields=1)
    data = ReportData(
        folder=tmp_path, particles=particles, results=analyze_particles(particles, options=FEW), views=[],
        structures={}, options=ReportOptions(), provenance=Provenance(), execution=Execution(),
    )  # fmt: skip
    assert expected(data) == ""
    known = np.array([0.5] * 4 + [1.0] * 5 + [np.nan])
    said = expected(replace(data, particles=replaced(particles, confidence=known)))
    assert "about 2.0 of 9 particles" in said
    assert (
        f"The least certain labels: {particles['label'].values[0]} of {particles['field'].values[0]} (0.50), " in said
    )


def test_a_picture_of_a_decision(tmp_path: Path) -> None:
    write_graph(tmp_path / "graph")
    make_field(tmp_path / "a.zarr")
    view = view_field("a", tmp_path / "a.zarr")
    figure = draw_decision(view, doubtful("a", tmp_path / "graph")[0])
    assert len(figure.axes) == 2
    assert all(axes.images for axes in figure.axes)
    assert view.info.spacing == SPACING
