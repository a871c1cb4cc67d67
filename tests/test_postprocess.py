"""Work on finished fields: corrections by hand, checks, meshes."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import tomostat as ts
import tomostat.stitch
from studies import UP_TO_TABLE, at, digest, science
from tomostat import cli, pipeline, postprocess
from tomostat.layout import Layout
from tomostat.manifest import Content
from tomostat.status import DONE, STALE, study_status
from tomostat.stitch import Edit, open_graph
from tomostat.stitch.options import StitchOptions
from tomostat.study import Study
from tomostat.volume import read_box, write_box


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


@pytest.mark.slow
def test_a_correction_stays_and_is_taken_back(results, study, copy):
    layout = Layout(copy.output)
    before, count = science(layout), ts.open_particles(layout.particles).sizes["particle"]
    postprocess.edit_field(copy, "slow-1", [Edit("join", *two_tracks(layout))])
    assert "slow-1/stitch" in Content.read(layout.root).stages
    pipeline.run(copy, stages=UP_TO_TABLE)
    assert ts.open_particles(layout.particles).sizes["particle"] == count - 1
    joined = science(layout)
    shutil.rmtree(layout.graph("slow-1"))  # stitched anew from the instances, the correction still holds
    pipeline.run(copy.with_options(stitch=StitchOptions(min_slices=3)), stages=UP_TO_TABLE)
    pipeline.run(copy, stages=UP_TO_TABLE)
    assert science(layout) == joined
    postprocess.edit_field(copy, "slow-1", [])
    pipeline.run(copy, stages=UP_TO_TABLE)
    assert science(layout) == before


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


@pytest.mark.slow
def test_a_killed_correction_is_finished_by_the_next_run(study, copy, monkeypatch):
    layout, edits = Layout(copy.output), [Edit("join", *two_tracks(Layout(copy.output)))]
    monkeypatch.setattr(
        postprocess, "edit_particles", lambda *args, **options: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        postprocess.edit_field(copy, "slow-1", edits)
    monkeypatch.undo()
    pipeline.run(copy, stages=UP_TO_TABLE)
    killed = science(layout)
    postprocess.edit_field(copy, "slow-1", [])
    postprocess.edit_field(copy, "slow-1", edits)
    pipeline.run(copy, stages=UP_TO_TABLE)
    assert science(layout) == killed


def test_corrections_and_the_seam_check_at_the_command_line(copy, tmp_path, capsys, place):
    layout = Layout(copy.output)
    first, second = map(str, two_tracks(layout))
    out = str(layout.root)
    assert cli.main(["stitch", out, "--join", first, second, *place]) == 2
    assert "--field is missing" in capsys.readouterr().err
    assert cli.main(["stitch", out, "--join", first, second, "--field", "slow-1", *place]) == 0
    assert cli.main(["info", str(layout.graph("slow-1"))]) == 0
    assert f"by hand: join {first} {second}" in capsys.readouterr().out
    capsys.readouterr()
    assert cli.main(["stitch", out, "--join", first, second, "--field", "slow-1", *place]) == 0
    assert "no particle of slow-1 has changed" in capsys.readouterr().out
    assert cli.main(["stitch", out, "--cut", first, second, "--field", "slow-1", *place]) == 0
    assert "is now" in capsys.readouterr().out
    states = {(one.scope, one.stage): one.state for one in study_status(layout.root)}
    assert (states["slow-1", "stitch"], states["slow-1", "measure"], states["fast-1", "measure"]) == (DONE, STALE, DONE)
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
    assert "labels/particles/0/c/0/0/0 is not as stitch left it" in capsys.readouterr().out
    assert any("label 9999 belongs to no particle" in one.what for one in postprocess.check_study(copy)["slow-1"])


def test_contacts_are_those_of_the_table(results):
    graph = ts.open_contacts(results.root)
    table = ts.open_particles(results.root)
    assert len(graph) == table.sizes["particle"]
    keys = zip(table["field"].values.tolist(), table["label"].values.tolist(), strict=True)
    assert [graph.degree[key] for key in keys] == table["neighbours"].values.tolist()
