"""Other views as evidence: the same for any blocks, joins that z alone does not make, tables that do not match."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from shapes import ball_at
from stitching import BLOCKS, random_balls, write_volume
from tomostat.execution import Execution
from tomostat.stitch import Edit, check_particles, edit_particles, open_graph, stitch_particles

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
