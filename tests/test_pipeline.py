"""All stages on small phantoms: outputs, resuming, what is stale, chunking, workers, odd volumes."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
import tifffile

import tomostat as ts
import tomostat.stitch
from studies import BRIEF, UP_TO_TABLE, WATERSHED, at, first_field, science
from tomostat import pipeline
from tomostat.cluster import open_cluster
from tomostat.events import INTERRUPTED, Event, StageEnded, TaskEnded
from tomostat.execution import Execution, TasksFailed
from tomostat.info import summarize
from tomostat.ingest.options import IngestOptions
from tomostat.manifest import Content
from tomostat.measure.options import MeasureOptions
from tomostat.measure.particles import SEPARATION
from tomostat.measure.stage import LEAST_SEPARATION, MeasureStage
from tomostat.phases.options import PhasesOptions
from tomostat.simulation import simulate_study
from tomostat.stage import FieldWork, stage_named
from tomostat.stitch.options import StitchOptions
from tomostat.study import load_study, study_of_volume


def test_everything_is_where_it_belongs(reported, study):
    for field in study.fields:
        assert {"phases", "particles"} <= {path.name for path in (reported.volume(field.name) / "labels").iterdir()}
        assert list(reported.instances(field.name).glob("*.parquet"))
        assert reported.graph(field.name).exists()
    for path in (reported.particles, reported.report / "index.html", reported.manifest, reported.study):
        assert path.exists(), path
    for ending in (".csv", ".parquet"):
        assert reported.particles.with_suffix(ending).exists()


def test_the_table_has_a_row_for_every_label(results, study):
    particles = ts.open_particles(results.particles)
    assert set(particles["condition"].values.astype(str)) == {"slow", "fast"}
    for field in study.fields:
        labels = ts.open_volume(results.volume(field.name), "particles").values
        rows = particles.isel(particle=particles["field"].values.astype(str) == field.name)
        values, counts = np.unique(labels[labels > 0], return_counts=True)
        np.testing.assert_array_equal(rows["label"], values)
        np.testing.assert_array_equal(rows["voxel_count"], counts)


def test_a_second_run_does_nothing(reported, study):
    before = {path: path.stat().st_mtime_ns for path in reported.root.rglob("*") if path.is_file()}
    calls: list[Event] = []
    pipeline.run(at(study, reported.root), execution=Execution(listener=calls.append))
    after = {path: path.stat().st_mtime_ns for path in reported.root.rglob("*") if path.is_file()}
    assert calls == []
    assert {path for path in after if after[path] != before.get(path)} <= {reported.manifest, reported.study}


@pytest.mark.slow
def test_a_changed_option_makes_what_follows_stale_and_nothing_else(reported, study, tmp_path):
    shutil.copytree(reported.root, tmp_path / "copy")
    changed = first_field(study, tmp_path / "copy").with_options(stitch=StitchOptions(min_slices=3))
    before = Content.read(reported.root).stages
    layout = pipeline.run(changed, stages=UP_TO_TABLE)
    after = Content.read(layout.root).stages
    made = {name.rsplit("/", 1)[1] for name in after if after[name] != before[name]}
    assert made == {"stitch", "measure", "table", "analyze", "report"}, "the last two are no longer finished"


@pytest.mark.slow
@pytest.mark.parametrize("slices", [5, 24])
def test_the_block_of_slices_changes_nothing(results, study, tmp_path, slices):
    shutil.copytree(results.root, tmp_path / "out")
    options = dataclasses.replace(WATERSHED, slices=slices)
    again = first_field(study, tmp_path / "out").with_options(detect=options)
    assert science(pipeline.run(again, stages=UP_TO_TABLE)) == science(results)


@pytest.mark.slow
def test_workers_change_nothing(results, study, tmp_path):
    with open_cluster(workers=2) as client:
        again = first_field(study, tmp_path / "out")
        layout = pipeline.run(again, stages=UP_TO_TABLE, execution=Execution(client=client))
    assert science(layout) == science(results)


class Killed(BaseException):
    """The process died."""


@pytest.mark.slow
@pytest.mark.parametrize("stage", UP_TO_TABLE)
def test_a_kill_and_the_same_command_give_the_same_bits(results, study, tmp_path, stage):
    """The stage dies after some of its blocks; the same run then goes on from there."""
    seen: list[str] = []

    def die(event: Event) -> None:
        if isinstance(event, TaskEnded) and event.stage == stage and event.field == "slow-1":
            seen.append(event.task)
            if len(seen) == 2:
                raise Killed

    with pytest.raises(Killed):
        pipeline.run(first_field(study, tmp_path / "out"), stages=UP_TO_TABLE, execution=Execution(listener=die))
    layout = pipeline.run(first_field(study, tmp_path / "out"), stages=UP_TO_TABLE)
    assert science(layout) == science(results)


def test_a_failed_stage_leaves_finished_ones_alone(study, tmp_path, monkeypatch):
    def broken(*args, **options):
        raise RuntimeError("no space left on device")

    monkeypatch.setattr(tomostat.stitch, "stitch_particles", broken)
    with pytest.raises(RuntimeError, match="no space left"):
        pipeline.run(first_field(study, tmp_path / "out"))
    stages = Content.read(tmp_path / "out").stages
    assert stages["slow-1/detect"].finished
    assert not stages["slow-1/stitch"].finished


NOTHING = "no particle was found in any slice"


@pytest.fixture
def empty_field(tmp_path):
    """A study of one field of noise."""
    rng = np.random.default_rng(0)
    tifffile.imwrite(tmp_path / "empty.tif", rng.normal(60, 4, (16, 48, 48)).astype("u1"))
    study = study_of_volume(tmp_path / "empty.tif", tmp_path / "out", spacing=0.2)
    return study.with_options(detect=WATERSHED, report=BRIEF, phases=PhasesOptions(phases=2, thresholds=(200.0,)))


def test_a_field_without_particles_gives_an_empty_table(results, empty_field, caplog):
    layout = pipeline.run(empty_field, stages=UP_TO_TABLE)
    empty = ts.open_particles(layout.particles)
    full = ts.open_particles(results.particles)
    assert empty.sizes["particle"] == 0
    assert set(empty.variables) == set(full.variables)
    assert f"empty, detect: {NOTHING}" in caplog.text
    assert f"warning: empty, detect: {NOTHING}" in summarize(layout.root)


@pytest.mark.slow
def test_the_report_says_that_a_field_has_no_particles(empty_field):
    layout = pipeline.run(empty_field)
    assert NOTHING in (layout.report / "index.html").read_text()


@pytest.mark.parametrize(
    ("spacing", "limits", "said"),
    [
        (200.0, {}, ["voxels of 200 x 200 x 200 micrometers", "a field of view of 16000 micrometers"]),
        (0.001, {}, ["voxels of 0.001 x 0.001 x 0.001 micrometers", "a field of view of 0.08 micrometers"]),
        (0.2, {}, []),
        (5.0, {}, []),
        (20.0, {"plausible_voxel": (1.0, 50.0)}, []),
        (0.2, {"plausible_field": (1.0, 10.0)}, ["a field of view of 16 micrometers"]),
    ],
)
def test_implausible_sizes_are_warned_of(tmp_path, caplog, spacing, limits, said):
    tifffile.imwrite(
        tmp_path / "a.tif", np.arange(4 * 16 * 80, dtype="u2").reshape(4, 16, 80), photometric="minisblack"
    )
    study = study_of_volume(tmp_path / "a.tif", tmp_path / "out", spacing=spacing)
    layout = pipeline.run(study.with_options(ingest=IngestOptions(**limits)), stages=["ingest"])
    texts = [one.text for one in Content.read(layout.root).warnings()]
    assert [text.split(" is implausible")[0].split(" are implausible")[0] for text in texts] == said
    assert all(text in caplog.text and "nanometers" in text for text in texts)


@pytest.mark.slow
def test_particles_of_implausible_size_are_warned_of(results, study):
    for limits, count in (((1.0, 90.0), 0), ((20.0, 90.0), 1)):
        strict = study.with_options(measure=MeasureOptions(plausible_diameter=limits))
        said = MeasureStage().warnings(FieldWork(strict, results, Execution(), strict.fields[0]))
        assert len(said) == count
    assert "a median diameter of" in said[0]


def test_contact_that_the_image_hardly_shows_is_warned_of(results, study, monkeypatch):
    stage, layout = MeasureStage(), results
    work = FieldWork(study, layout, Execution(), study.fields[0])
    assert stage.warnings(work) == []
    table = ts.open_particles(layout.table(study.fields[0].name))
    assert table.attrs[SEPARATION] > LEAST_SEPARATION
    monkeypatch.setattr("tomostat.measure.stage.LEAST_SEPARATION", table.attrs[SEPARATION] + 0.1)
    (said,) = stage.warnings(work)
    assert "standard deviations apart" in said


def test_terminal_and_report_give_the_same_numbers(reported):
    page, said = (reported.report / "index.html").read_text(), summarize(reported.root)
    for name in ("slow", "fast"):
        tile = page.split(f'<div class="name">{name}</div>')[1].split("</div></div>")[0]
        value, particles = tile.split('<div class="value">')[1].split("<")[0], tile.split("<br>")[1].split(" ")[0]
        row = next(line for line in said.splitlines() if line.startswith(name))
        assert value in row
        found, used, border, missing = (int(row.split()[place]) for place in (2, -3, -2, -1))
        assert used == int(particles)
        assert found == used + border + missing


@pytest.mark.slow
def test_one_slice_is_a_volume(simulated, tmp_path):
    grey = ts.open_volume(load_study(simulated).fields[0].path)[12].values
    tifffile.imwrite(tmp_path / "slice.tif", grey)
    study = study_of_volume(tmp_path / "slice.tif", tmp_path / "out", spacing=0.2)
    study = study.with_options(detect=WATERSHED, report=BRIEF)
    particles = ts.open_particles(pipeline.run(study, stages=UP_TO_TABLE).particles)
    assert particles.sizes["particle"] > 3
    assert not particles["touches_border"].values.all()
    assert np.isnan(particles["surface_area"]).all()


def test_an_unknown_stage_is_refused(study):
    with pytest.raises(ValueError, match="there is no stage 'paint'"):
        pipeline.run(study, stages=["paint"])


def test_simulate_refuses_a_folder_in_use(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(ValueError, match="not an empty folder"):
        simulate_study(tmp_path, {"x": 0.1})
    with pytest.raises(ValueError, match="fields is 0"):
        simulate_study(tmp_path / "new", {"x": 0.1}, fields=0)
    with pytest.raises(ValueError, match="samples is 0"):
        simulate_study(tmp_path / "new", {"x": 0.1}, samples=0)


def test_a_stage_that_fails_because_a_run_was_stopped_is_interrupted(study, tmp_path, monkeypatch):
    """After Ctrl-C the workers are gone, and whatever then fails in a field's thread is no failure of the stage."""
    seen: list[Event] = []
    execution = Execution(listener=seen.append)

    def lose_workers(self, work):
        execution.stop()
        raise AttributeError("'NoneType' object has no attribute 'ncores'")

    monkeypatch.setattr(type(stage_named("ingest")), "run", lose_workers)
    with pytest.raises(AttributeError, match="ncores"):
        pipeline.run(first_field(study, tmp_path / "out"), stages=["ingest"], execution=execution)
    assert [event.error for event in seen if isinstance(event, StageEnded)] == [INTERRUPTED]


def test_a_field_that_fails_for_reasons_of_the_machine_does_not_keep_the_others(tmp_path, simulated, monkeypatch):
    study = at(load_study(simulated), tmp_path / "out")
    seen = []

    def fail(self, work):
        seen.append(work.field.name)
        raise TasksFailed(f"the drive of {work.field.name} went away")

    monkeypatch.setattr(type(stage_named("ingest")), "run", fail)
    names = [field.name for field in study.fields]
    with pytest.raises(TasksFailed, match=f"the drive of {names[0]} went away"):
        pipeline.run(study, stages=["ingest"])
    assert seen == names
