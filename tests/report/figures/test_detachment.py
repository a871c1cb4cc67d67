"""Distributions of the detachment: marks and curves are of the particles that statistics are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from tables import study
from tomostat.analyze import analyze_particles
from tomostat.analyze.options import AnalyzeOptions
from tomostat.execution import Execution
from tomostat.report.data import ReportData
from tomostat.report.figures.detachment import draw_distributions
from tomostat.report.options import ReportOptions
from tomostat.report.provenance import Provenance


@pytest.mark.parametrize("border", ["weighted", "kept", "excluded"])
def test_a_small_group_has_as_many_marks_as_it_has_particles(
    tmp_path: Path, border: Literal["weighted", "kept", "excluded"]
) -> None:
    table = study(particles=3, fields=4)
    assert table["touches_border"].any()
    options = AnalyzeOptions(border=border, resamples=100)
    results = analyze_particles(table, options=options)
    data = ReportData(tmp_path, table, results, [], {}, ReportOptions(), Provenance(), Execution())
    figure = draw_distributions(data.analyzed, results, data.size_split)
    marks = sum(line.get_xdata().size for axes in figure.axes for line in axes.lines if line.get_marker() == "|")
    counts = results["n_particles"].values
    assert marks == counts[counts < 10].sum() > 0
    assert np.isfinite(table["detachment"]).all()
