"""The text on methods says what the study was run with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import xarray as xr

from reports import FEW, judged_answers, make_field
from tables import study as particle_study
from tomostat.analyze import AnalyzeOptions, analyze_particles
from tomostat.detect.options import DetectOptions
from tomostat.execution import Execution
from tomostat.measure import MeasureOptions
from tomostat.options import StageOptions
from tomostat.report import Provenance, ReportOptions
from tomostat.report.data import ReportData
from tomostat.report.fields import FieldView, view_field
from tomostat.report.figures.methods_text import join_range, methods_text
from tomostat.report.figures.relations import resistance
from tomostat.report.figures.size import percentile_table
from tomostat.study import Field, Sample, Study


@cache
def made_up() -> tuple[xr.Dataset, xr.Dataset]:
    """Particles, and what the analysis finds of them."""
    particles = particle_study(particles=5)
    return particles, analyze_particles(particles, options=FEW)


def data_of(folder: Path, *fields: Field, views: Sequence[FieldView] = (), **options: StageOptions) -> ReportData:
    """Particles made up for a study of some fields."""
    samples = (Sample(name="cell", fields=fields, condition="0.1C"),)
    study = Study(study="one", output=folder, samples=samples, options=options)
    particles, results = made_up()
    return ReportData(
        folder=folder, particles=particles, results=results, views=views,
        structures={}, options=ReportOptions(), provenance=Provenance(study=study), execution=Execution(),
    )  # fmt: skip


def test_options_and_numbers_of_the_study_are_in_the_text(tmp_path: Path) -> None:
    data = data_of(tmp_path, Field(path=tmp_path / "a.zarr", name="a"))
    html = methods_text(data)
    assert f"{data.particles.sizes['particle']} particles were measured" in html
    assert "score at least 0.5" in html
    assert "(1000 resamples, seed 0)" in html
    assert "weighted by the inverse of the probability" in html
    assert "another segmentation" not in html
    numbers = list(dict.fromkeys(re.findall(r"\[(\d)\]", html)))
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    assert html.count("<li>") == len(numbers)
    assert not re.search(r"\[[A-Z]", html)


def test_what_other_programs_found_is_not_said_to_be_found_here(tmp_path: Path) -> None:
    labels, scan = tmp_path / "labels.tif", tmp_path / "scan.tif"
    html = methods_text(data_of(tmp_path, Field(name="a", labels=labels)))
    assert "Phases were taken from another segmentation." in html
    assert "Particles were taken from another segmentation." in html
    assert not re.search("Mask R-CNN|Otsu|merge graph|noise", html)
    html = methods_text(data_of(tmp_path, Field(name="a", path=scan), Field(name="b", path=scan, labels=labels)))
    assert "Mask R-CNN" in html
    assert "Particles were taken from another segmentation in 1 of 2 fields of view." in html
    assert "Phases were taken" not in html


def test_a_blur_that_could_not_be_measured_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    make_field(path)
    field, view = Field(name="a", path=path), view_field("a", path)
    assert "The noise was 8 grey levels and the blur 1.2 voxels" in methods_text(data_of(tmp_path, field, views=[view]))
    unknown = replace(view, fit=replace(view.fit, blur=None))
    assert "The noise was 8 grey levels (standard" in methods_text(data_of(tmp_path, field, views=[unknown]))


def test_other_views_are_told(tmp_path: Path) -> None:
    field = Field(path=tmp_path / "a.zarr", name="a")
    assert "found slice by slice with a Mask R-CNN" in methods_text(data_of(tmp_path, field))
    views = DetectOptions(views=("z", "y", "x"))
    assert "slice by slice along z, y and x (each by itself" in methods_text(data_of(tmp_path, field, detect=views))


def test_accuracy_is_told_where_it_was_judged(tmp_path: Path) -> None:
    data = data_of(tmp_path, Field(path=tmp_path / "a.zarr", name="a"))
    assert "a person" not in methods_text(data)
    judged = replace(data, provenance=replace(data.provenance, answers=judged_answers("a")))
    html = methods_text(judged)
    assert "Of 10 particles drawn at random, a person found 9 right: a precision of 90.0 [59.6, 98.2] %" in html
    assert "In 2 slices drawn at random, 1 of 20 particles had no outline of their own: a recall of 95.0 [" in html
    assert "Probable inference" in html


def test_paths_and_the_border_are_those_of_the_options(tmp_path: Path) -> None:
    field = Field(name="a", path=tmp_path / "a.zarr")
    (tmp_path / "figures").mkdir()
    data = data_of(tmp_path, field, measure=MeasureOptions(path="solid"), analyze=AnalyzeOptions(border="kept"))
    assert "shortest path through the solid" in methods_text(data)
    assert "cut by the border of their field were kept." in methods_text(data)
    assert "round cap" not in resistance(data)
    assert "round cap" in resistance(data_of(tmp_path, field))
    assert "kept, with the part" in percentile_table(data)


def test_nothing_is_said_of_an_unknown_study(tmp_path: Path) -> None:
    particles = particle_study(particles=3)
    results = analyze_particles(particles, options=FEW)
    data = ReportData(tmp_path, particles, results, [], {}, ReportOptions(), Provenance(), Execution())
    assert methods_text(data) == ""
    assert join_range([1.0, 1.0]) == "1"
    assert join_range([1.0, 2.5]) == "1 to 2.5"
