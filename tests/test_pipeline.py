"""All stages on small phantoms: outputs, resume, staleness, chunking, workers, odd volumes."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

import tomostat as ts
from tomostat import cli, pipeline, postprocess
from tomostat.cluster import open_client
from tomostat.detect.options import DetectOptions
from tomostat.events import Event, TaskEnded
from tomostat.execution import Execution
from tomostat.manifest import Content, Layout
from tomostat.measure.options import MeasureOptions
from tomostat.phantom.options import PhantomOptions
from tomostat.phases.options import PhasesOptions
from tomostat.simulation import simulate_study
from tomostat.stitch import Edit, open_graph
from tomostat.stitch.options import StitchOptions
from tomostat.study import Study, load_study, study_of_volume
from tomostat.volume import read_box, write_box

SMALL = PhantomOptions(shape=(24, 80, 80), diameters=(4.0, 7.0))
WATERSHED = DetectOptions(detector="watershed", slices=8)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "small"
    return simulate_study(folder, {"slow": 0.1, "fast": 0.5}, fields=1, options=SMALL)


@pytest.fixture(scope="module")
def study(simulated) -> Study:
    return load_study(simulated).with_options(detect=WATERSHED)


@pytest.fixture(scope="module")
def results(study) -> Layout:
    return pipeline.run(study)


def at(study: Study, output: Path) -> Study:
    return dataclasses.replace(study, output=output)


def digest(folder: Path) -> str:
    """Hash of all files of a folder but those that carry times."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            total.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return total.hexdigest()


def science(layout: Layout, study: Study) -> list[str]:
    """Hashes of labels and tables."""
    found = []
    for field in study.fields:
        volume = layout.volume(field.name)
        found += [digest(volume / "labels" / "phases" / "0"), digest(volume / "labels" / "particles" / "0")]
    return [*found, hashlib.sha256(layout.particles.with_suffix(".csv").read_bytes()).hexdigest()]


def test_everything_is_where_it_belongs(results, study):
    for field in study.fields:
        assert {"phases", "particles"} <= {path.name for path in (results.volume(field.name) / "labels").iterdir()}
        assert list(results.instances(field.name).glob("*.parquet"))
        assert results.graph(field.name).exists()
    for path in (results.particles, results.report / "index.html", results.manifest, results.study):
        assert path.exists(), path
    for ending in (".csv", ".parquet"):
        assert results.particles.with_suffix(ending).exists()


def test_the_table_has_a_row_for_every_label(results, study):
    particles = ts.open_particles(results.particles)
    assert set(particles["condition"].values.astype(str)) == {"slow", "fast"}
    for field in study.fields:
        labels = ts.open_volume(results.volume(field.name), "particles").values
        rows = particles.isel(particle=particles["field"].values.astype(str) == field.name)
        values, counts = np.unique(labels[labels > 0], return_counts=True)
        np.testing.assert_array_equal(rows["label"], values)
        np.testing.assert_array_equal(rows["voxel_count"], counts)


def test_a_second_run_does_nothing(results, study):
    before = {path: path.stat().st_mtime_ns for path in results.root.rglob("*") if path.is_file()}
    calls: list[Event] = []
    pipeline.run(study, execution=Execution(listener=calls.append))
    after = {path: path.stat().st_mtime_ns for path in results.root.rglob("*") if path.is_file()}
    assert calls == []
    assert {path for path in after if after[path] != before.get(path)} <= {results.manifest, results.study}


def test_a_changed_option_makes_what_follows_anew_and_nothing_else(results, study, tmp_path):
    shutil.copytree(results.root, tmp_path / "copy")
    layout = Layout(tmp_path / "copy")
    before = Content.read(layout.root).stages
    pipeline.run(at(study, layout.root).with_options(stitch=StitchOptions(min_slices=3)))
    after = Content.read(layout.root).stages
    changed = {name.rsplit("/", 1)[1] for name in after if after[name] != before[name]}
    assert changed == {"stitch", "measure", "table", "analyze", "report"}


@pytest.mark.parametrize("slices", [5, 24])
def test_the_block_of_slices_changes_nothing(results, study, tmp_path, slices):
    options = dataclasses.replace(WATERSHED, slices=slices)
    layout = pipeline.run(at(study, tmp_path / "out").with_options(detect=options))
    assert science(layout, study) == science(results, study)


def test_workers_change_nothing(results, study, tmp_path):
    with open_client(workers=2) as client:
        layout = pipeline.run(at(study, tmp_path / "out"), execution=Execution(client=client))
    assert science(layout, study) == science(results, study)


class Killed(BaseException):
    """The process died."""


@pytest.mark.parametrize("stage", ["ingest", "phases", "detect", "stitch", "measure"])
def test_a_kill_and_the_same_command_give_the_same_bits(results, study, tmp_path, stage):
    """The stage dies after some of its blocks; the same run then goes on from there."""
    seen: list[str] = []

    def die(event: Event) -> None:
        if isinstance(event, TaskEnded) and event.stage == stage and event.field == "slow-1":
            seen.append(event.task)
            if len(seen) == 2:
                raise Killed

    with pytest.raises(Killed):
        pipeline.run(at(study, tmp_path / "out"), execution=Execution(listener=die))
    layout = pipeline.run(at(study, tmp_path / "out"))
    assert science(layout, study) == science(results, study)


def test_a_failed_stage_leaves_finished_ones_alone(study, tmp_path, monkeypatch):
    def broken(*args, **options):
        raise RuntimeError("no space left on device")

    monkeypatch.setattr("tomostat.stitch.particles.stitch_particles", broken)
    with pytest.raises(RuntimeError, match="no space left"):
        pipeline.run(at(study, tmp_path / "out"))
    stages = Content.read(tmp_path / "out").stages
    assert stages["slow-1/detect"].finished
    assert not stages["slow-1/stitch"].finished


def test_a_field_without_particles_gives_an_empty_table(results, tmp_path):
    rng = np.random.default_rng(0)
    tifffile.imwrite(tmp_path / "empty.tif", rng.normal(60, 4, (16, 48, 48)).astype("u1"))
    study = study_of_volume(tmp_path / "empty.tif", tmp_path / "out", spacing=0.2)
    study = study.with_options(detect=WATERSHED, phases=PhasesOptions(phases=2, thresholds=(200.0,)))
    empty = ts.open_particles(pipeline.run(study).particles)
    full = ts.open_particles(results.particles)
    assert empty.sizes["particle"] == 0
    assert set(empty.variables) == set(full.variables)
    assert (tmp_path / "out" / "report" / "index.html").exists()


def test_one_slice_is_a_volume(simulated, tmp_path):
    grey = ts.open_volume(load_study(simulated).fields[0].path)[12].values
    tifffile.imwrite(tmp_path / "slice.tif", grey)
    study = study_of_volume(tmp_path / "slice.tif", tmp_path / "out", spacing=0.2).with_options(detect=WATERSHED)
    particles = ts.open_particles(pipeline.run(study).particles)
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


@pytest.fixture
def copy(results, study, tmp_path) -> Study:
    """The study with an output of its own that can be spoilt."""
    shutil.copytree(results.root, tmp_path / "copy")
    return at(study, tmp_path / "copy")


def two_tracks(layout: Layout) -> tuple[int, int]:
    """Tracks of two different particles of the field slow-1."""
    particle = open_graph(layout.graph("slow-1")).tracks.particle
    first, second = particle[particle > 0].drop_duplicates().index[:2]
    return int(first), int(second)


def test_a_correction_stays_and_is_taken_back(results, study, copy):
    layout = Layout(copy.output)
    before, count = science(layout, study), ts.open_particles(layout.particles).sizes["particle"]
    postprocess.edit_field(copy, "slow-1", [Edit("join", *two_tracks(layout))])
    assert "slow-1/stitch" in Content.read(layout.root).stages
    pipeline.run(copy)
    assert ts.open_particles(layout.particles).sizes["particle"] == count - 1
    joined = science(layout, study)
    shutil.rmtree(layout.graph("slow-1"))  # stitched anew from the instances, the correction still holds
    pipeline.run(copy.with_options(stitch=StitchOptions(min_slices=3)))
    pipeline.run(copy)
    assert science(layout, study) == joined
    postprocess.edit_field(copy, "slow-1", [])
    pipeline.run(copy)
    assert science(layout, study) == before


@pytest.mark.parametrize(
    ("field", "edits", "message"),
    [
        ("none", [], "there is no field 'none'; fields are slow-1, fast-1"),
        ("slow-1", [Edit("cut", 1, 9999)], "there is no track 9999"),
        ("slow-1", [Edit("cut", 1, 2), Edit("join", 1, 2)], "other edits join"),
    ],
)
def test_a_correction_that_cannot_be_changes_nothing(copy, field, edits, message):
    before = digest(copy.output)
    with pytest.raises(ValueError, match=message):
        postprocess.edit_field(copy, field, edits)
    assert digest(copy.output) == before


def test_a_killed_correction_is_finished_by_the_next_run(study, copy, monkeypatch):
    layout, edits = Layout(copy.output), [Edit("join", *two_tracks(Layout(copy.output)))]
    monkeypatch.setattr(
        postprocess, "edit_particles", lambda *args, **options: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        postprocess.edit_field(copy, "slow-1", edits)
    monkeypatch.undo()
    pipeline.run(copy)
    killed = science(layout, study)
    postprocess.edit_field(copy, "slow-1", [])
    postprocess.edit_field(copy, "slow-1", edits)
    pipeline.run(copy)
    assert science(layout, study) == killed


def test_corrections_and_the_seam_check_at_the_command_line(copy, tmp_path, capsys):
    layout, place = Layout(copy.output), ["--workers", "1"]
    first, second = map(str, two_tracks(layout))
    out = str(layout.root)
    assert cli.main(["stitch", out, "--join", first, second, *place]) == 2
    assert "--field is missing" in capsys.readouterr().err
    assert cli.main(["stitch", out, "--join", first, second, "--field", "slow-1", *place]) == 0
    assert cli.main(["info", str(layout.graph("slow-1"))]) == 0
    assert f"by hand: join {first} {second}" in capsys.readouterr().out
    assert cli.main(["stitch", out, "--cut", first, second, "--field", "slow-1", *place]) == 0
    assert open_graph(layout.graph("slow-1")).edits == (Edit("cut", int(first), int(second)),)
    (tmp_path / "edits.json").write_text("[]")
    assert cli.main(["stitch", out, "--edits", str(tmp_path / "edits.json"), "--field", "slow-1", *place]) == 0
    assert open_graph(layout.graph("slow-1")).edits == ()
    capsys.readouterr()
    assert cli.main(["check", out, *place]) == 0
    assert "nothing wrong in 2 fields" in capsys.readouterr().out
    volume = layout.volume("slow-1")
    box = (slice(0, 24), slice(0, 80), slice(0, 80))
    write_box(volume, (0, 0, 0), np.where(read_box(volume, box, "particles") == 1, 9999, 0).astype("u4"), "particles")
    assert cli.main(["check", out, *place]) == 1
    assert "label 9999 belongs to no particle" in capsys.readouterr().out


def test_meshes_and_contacts_at_the_command_line(results, study, copy, tmp_path, capsys):
    graph = ts.open_contacts(results.root)
    table = ts.open_particles(results.root)
    assert len(graph) == table.sizes["particle"]
    keys = zip(table["field"].values.tolist(), table["label"].values.tolist(), strict=True)
    degrees = [graph.degree[key] for key in keys]
    assert degrees == table["neighbours"].values.tolist()
    label = int(ts.open_particles(results.table("slow-1"))["label"][0])
    to, out = tmp_path / "meshes", str(results.root)
    assert cli.main(["mesh", out, "--field", "slow-1", "--labels", str(label), "--to", str(to), "--workers", "1"]) == 0
    assert f"1 meshes of slow-1 are in {to}" in capsys.readouterr().out
    assert [file.name for file in to.iterdir()] == [f"slow-1-{label}.ply"]
    for tokens, message in (
        (["--field", "slow-1", "--labels", "999"], "has no particle 999"),
        (["--field", "none"], "there is no field 'none'"),
        ([], "--field is missing"),
    ):
        assert cli.main(["mesh", out, *tokens, "--to", str(tmp_path / "no"), "--workers", "1"]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
    shutil.rmtree(Layout(copy.output).volume("slow-1") / "maps")
    with pytest.raises(ValueError, match="--maps"):
        postprocess.mesh_field(copy, "slow-1", tmp_path / "no")
    stale = copy.with_options(measure=MeasureOptions(shell=2.0))
    with pytest.raises(ValueError, match="not measured as it is now"):
        postprocess.mesh_field(stale, "slow-1", tmp_path / "no")
