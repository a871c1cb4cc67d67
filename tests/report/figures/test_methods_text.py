"""The text on methods says what the study was run with."""

from __future__ import annotations

import re
from pathlib import Path

from reports import FEW
from tables import study as particle_study
from tomostat.analyze import analyze_particles
from tomostat.execution import Execution
from tomostat.report import Provenance, ReportOptions
from tomostat.report.data import ReportData
from tomostat.report.figures.methods_text import join_range, methods_text
from tomostat.study import Field, Sample, Study


def test_options_and_numbers_of_the_study_are_in_the_text(tmp_path: Path) -> None:
    particles = particle_study(particles=5)
    fields = (Field(path=tmp_path / "a.zarr", name="a"),)
    study = Study(study="one", output=tmp_path, samples=(Sample(name="cell", fields=fields, condition="0.1C"),))
    data = ReportData(
        folder=tmp_path, particles=particles, results=analyze_particles(particles, options=FEW), views=[],
        structures={}, options=ReportOptions(), provenance=Provenance(study=study), execution=Execution(),
    )  # fmt: skip
    html = methods_text(data)
    assert f"{particles.sizes['particle']} particles were measured" in html
    assert "score at least 0.5" in html
    assert "(1000 resamples, seed 0)" in html
    assert "weighted by the inverse of the probability" in html
    numbers = list(dict.fromkeys(re.findall(r"\[(\d)\]", html)))
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    assert html.count("<li>") == len(numbers)
    assert not re.search(r"\[[A-Z]", html)


def test_nothing_is_said_of_an_unknown_study(tmp_path: Path) -> None:
    particles = particle_study(particles=3)
    results = analyze_particles(particles, options=FEW)
    data = ReportData(tmp_path, particles, results, [], {}, ReportOptions(), Provenance(), Execution())
    assert methods_text(data) == ""
    assert join_range([1.0, 1.0]) == "1"
    assert join_range([1.0, 2.5]) == "1 to 2.5"
