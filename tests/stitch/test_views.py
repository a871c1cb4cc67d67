"""Other views as evidence: the same for any blocks, joins that z alone does not make, tables that do not match."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest

from shapes import ball_at
from stitching import BLOCKS, random_balls, write_volume
from tomostat.execution import Execution
from tomostat.info import describe_path
from tomostat.stitch import Edit, check_particles, edit_particles, open_graph, relabelled, stitch_particles

THREE = ("z", "y", "x")


def flattened() -> tuple[np.ndarray, np.ndarray]:
    """Two balls, and what z's slices show of them: the second in two halves that lie side by side in the first ones."""
    labels = np.zeros((48, 48, 96), np.int32)
    labels[ball_at(labels.shape, (24, 24, 24), 18)] = 1
    labels[ball_at(labels.shape, (24, 24, 70), 18)] = 2
    detected = labels.copy()
    detected[:24][(labels == 2)[:24] & (np.indices(labels.shape)[1] < 24)[:24]] = 3
    return labels, detected


@pytest.mark.slow
def test_particles_do_not_depend_on_blocks(tmp_path: Path) -> None:
    labels = random_balls()
    stored = write_volume(tmp_path, labels, views=THREE)
    stitch_particles(*stored.places, block=BLOCKS[0])
    expected, known = stored.labels(), open_graph(stored.graph).particles
    assert known["agreement"].median() > 0.9
    for block in BLOCKS[1:3]:
        stitch_particles(*stored.places, block=block)
        np.testing.assert_array_equal(stored.labels(), expected)
        assert open_graph(stored.graph).particles.equals(known)
    assert check_particles(*stored.places) == []


def test_views_join_what_z_alone_leaves_in_pieces(tmp_path: Path) -> None:
    labels, detected = flattened()
    detected[(labels == 2) & (np.indices(labels.shape)[1] < 24)] = 3
    alone = write_volume(tmp_path / "z", labels, detected=detected)
    seen = write_volume(tmp_path / "zyx", labels, detected=detected, views=THREE)
    by_z, by_all = stitch_particles(*alone.places), stitch_particles(*seen.places)
    assert np.isnan(by_z.particles["agreement"]).all()
    assert len(by_z.particles) == 3
    assert len(by_all.particles) == 2
    assert by_all.tracks["particle"].nunique() == 2
    halves = by_all.candidates[by_all.candidates["reason"] == "views"]
    assert halves["joined"].all()
    assert not by_z.candidates.merge(halves, on=["a", "b"])["joined_x"].any()
    assert len(np.unique(seen.labels())) == 3
    assert by_all.particles["confidence"].min() > 0.9
    assert "views that differ" not in describe_path(alone.graph)
    described = describe_path(seen.graph).splitlines()
    assert "  by slices along z: 3 particles; views that differ drop 0" in described
    assert "  by slices along x: 2 particles; views that differ drop 0" in described


def test_views_separate_what_z_fuses(tmp_path: Path) -> None:
    labels, _ = flattened()
    stored = write_volume(tmp_path / "fused", labels, detected=np.minimum(labels, 1), views=THREE)
    fused = stitch_particles(*stored.places)
    assert len(fused.particles) == 2
    found = stored.labels()
    assert len(np.unique(found[labels == 1])) == len(np.unique(found[labels == 2])) == 1
    assert check_particles(*stored.places) == []


def test_a_view_that_differs_lowers_the_confidence(tmp_path: Path) -> None:
    labels, _ = flattened()
    apart = stitch_particles(*write_volume(tmp_path / "apart", labels, views=THREE).places).particles
    stored = write_volume(tmp_path / "fused", labels, detected=np.minimum(labels, 1), views=("z", "y"))
    fused = stitch_particles(*stored.places).particles
    assert fused["agreement"].min() < 0.6 < 0.98 < apart["agreement"].min()
    assert fused["confidence"].min() < apart["confidence"].min()


def test_borders_along_the_slices_of_one_view_are_those_of_the_others(tmp_path: Path) -> None:
    """Two balls on each other, of which z has the border 8 slices too high."""
    labels = np.zeros((64, 48, 48), np.int32)
    labels[ball_at(labels.shape, (18, 24, 24), 16)] = 1
    labels[ball_at(labels.shape, (46, 24, 24), 16) & (labels == 0)] = 2
    detected = labels.copy()
    detected[32:40][labels[32:40] == 2] = 1
    stored = write_volume(tmp_path, labels, detected=detected, views=THREE)
    stitch_particles(*stored.places)
    np.testing.assert_array_equal(stored.labels(), labels)


def test_corrections_hold_beside_views(tmp_path: Path) -> None:
    labels, detected = flattened()
    stored = write_volume(tmp_path, labels, detected=detected, views=THREE)
    tracks = stitch_particles(*stored.places).tracks
    before = stored.labels()
    a, b = (int(track) for track in tracks[tracks["particle"] == 2]["voxels"].nlargest(2).index)
    cut = edit_particles(*stored.places, [Edit("cut", a, b)])
    assert cut.tracks.particle[a] != cut.tracks.particle[b]
    assert cut.particles["agreement"].notna().all()
    corrected = stored.labels()
    assert len(np.unique(corrected)) == 4  # a person outvotes y and x, which see two particles
    np.testing.assert_array_equal(corrected == 1, before == 1)
    assert check_particles(*stored.places) == []
    stitch_particles(*stored.places, edits=[Edit("cut", a, b)])
    np.testing.assert_array_equal(stored.labels(), corrected)
    edit_particles(*stored.places, [])
    np.testing.assert_array_equal(stored.labels(), before)


def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = write_volume(tmp_path, flattened()[0], views=THREE)
    markers = Execution(markers=tmp_path / "markers")
    monkeypatch.setattr(
        "tomostat.stitch.particles._paint_particles", lambda *args: (_ for _ in ()).throw(OSError("full"))
    )
    with pytest.raises(OSError, match="full"):
        stitch_particles(*stored.places, execution=markers)
    monkeypatch.undo()
    before = (stored.graph / "y" / "tracks.parquet").stat().st_mtime_ns
    stitch_particles(*stored.places, execution=markers)
    assert (stored.graph / "y" / "tracks.parquet").stat().st_mtime_ns == before
    assert len(np.unique(stored.labels())) == 3


def test_tables_of_views_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    stored = write_volume(tmp_path / "one", flattened()[0], views=THREE)
    other = write_volume(tmp_path / "two", flattened()[0], views=THREE, run="b")
    shutil.rmtree(stored.folder / "x")
    with pytest.raises(FileNotFoundError, match=r"no instance tables in .*x; run `tomostat detect` first"):
        stitch_particles(*stored.places)
    shutil.copytree(other.folder / "x", stored.folder / "x")
    with pytest.raises(ValueError, match="are from runs with different options; run `tomostat detect` again"):
        stitch_particles(*stored.places)
    assert not stored.graph.exists()


def in_a_row(*lengths: int) -> np.ndarray:
    """Blocks of 32 x 32 voxels that touch one another along x."""
    labels = np.zeros((48, 48, 16 + sum(lengths)), np.int32)
    ends = 8 + np.cumsum([0, *lengths])
    for number, (start, stop) in enumerate(itertools.pairwise(ends), 1):
        labels[8:40, 8:40, start:stop] = number
    return labels


@pytest.mark.parametrize("action", ["cut", "join"])
def test_corrections_that_the_views_fulfil_change_nothing(tmp_path: Path, action: str) -> None:
    labels = np.zeros((48, 48, 116), np.int32)
    for number, x in enumerate((24, 58, 92), 1):
        labels[ball_at(labels.shape, (24, 24, x), 17)] = number
    detected = np.where(labels == 3, 2, np.minimum(labels, 1))  # z fuses two that the others have apart
    detected[20:24][detected[20:24] == 2] = 0  # and misses the third in four slices
    stored = write_volume(tmp_path, labels, detected=detected, views=THREE)
    before = stitch_particles(*stored.places)
    voxels, tracks = stored.labels(), before.tracks["particle"]
    assert len(before.particles) == 3
    third = tracks.index[tracks == voxels[24, 24, 92]]
    pair = (int(tracks.index[0]), int(third[0])) if action == "cut" else (int(third[0]), int(third[-1]))
    after = edit_particles(*stored.places, [Edit(action, *pair)])
    np.testing.assert_array_equal(stored.labels(), voxels)
    assert relabelled(before, after) == []


def test_two_views_that_differ_leave_no_hole(tmp_path: Path) -> None:
    labels = in_a_row(36, 38)
    detected = labels.copy()
    detected[..., 44:60][labels[..., 44:60] > 0] = 1
    stored = write_volume(tmp_path, labels, detected=detected, views=("z", "y"))
    stitch_particles(*stored.places)
    assert (stored.labels()[labels > 0] > 0).all()


def test_a_damaged_table_changes_nothing(tmp_path: Path) -> None:
    labels, detected = flattened()
    stored = write_volume(tmp_path, labels, detected=detected, views=THREE)
    tracks = stitch_particles(*stored.places).tracks
    a, b = (int(track) for track in tracks[tracks["particle"] == 2]["voxels"].nlargest(2).index)
    table = next((stored.graph / "overlaps").glob("*.parquet"))
    content = table.read_bytes()
    table.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="is damaged"):
        edit_particles(*stored.places, [Edit("cut", a, b)])
    table.write_bytes(content)
    assert edit_particles(*stored.places, [Edit("cut", a, b)]).tracks["particle"].nunique() == 3
    assert check_particles(*stored.places) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_random_corrections_repaint_what_they_change(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = random_balls((64, 72, 80), seed)
    detected = labels.copy()
    for z in range(0, 64, 5):  # every fifth slice has a particle in pieces, another missed
        detected[z][(labels[z] == rng.integers(1, 9)) & (np.indices((72, 80))[0] < 36)] = 40
        detected[z][labels[z] == rng.integers(1, 9)] = 0
    stored = write_volume(tmp_path, labels, detected=detected, views=THREE)
    graph = stitch_particles(*stored.places)
    before = stored.labels()
    pairs = graph.candidates.sample(min(2, len(graph.candidates)), random_state=seed)
    edits = [Edit("cut" if pair.joined else "join", int(pair.a), int(pair.b)) for pair in pairs.itertuples()]
    edit_particles(*stored.places, edits)
    repainted = stored.labels()
    stitch_particles(*stored.places, edits=edits)
    np.testing.assert_array_equal(stored.labels(), repainted)
    edit_particles(*stored.places, [])
    np.testing.assert_array_equal(stored.labels(), before)
