"""Edits applied to a stitched volume."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from shapes import ball_at
from stitching import BLOCKS, SHAPE, Stored, write_volume
from tomostat.blocks import Block
from tomostat.stitch import Edit, edit_particles, open_graph, stitch_particles
from tomostat.stitch.painting import paint_block
from tomostat.stitch.plan import StitchPlan
from tomostat.stitch.repaint import PENDING
from tomostat.volume import write_box


@pytest.fixture(scope="module")
def stitched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Edit, np.ndarray]:
    """Folder of two balls, the first two tracks that only the merge graph joins; the cut between them; the labels."""
    z = np.arange(SHAPE[0])[:, None, None]
    first = ball_at(SHAPE, (35, 40, 30), 24)
    labels = first + 2 * ball_at(SHAPE, (35, 230, 30), 24).astype(np.int32)
    detected = np.where((np.abs(z - 35) <= 2) & first, 0, labels)
    folder = tmp_path_factory.mktemp("balls") / "stored"
    stored = write_volume(folder, labels, detected=detected, edges=True)
    graph = stitch_particles(*stored.places, block=BLOCKS[0])
    tracks = graph.tracks[graph.tracks.particle == graph.tracks.particle[1]].sort_values("voxels").index[-2:]
    return folder, Edit("cut", int(tracks[0]), int(tracks[1])), stored.labels()


@pytest.fixture
def two_balls(stitched: tuple[Path, Edit, np.ndarray], tmp_path: Path) -> tuple[Stored, Edit, np.ndarray]:
    """A copy of them to be edited, the cut, and the labels."""
    folder, cut, labels = stitched
    copy = shutil.copytree(folder, tmp_path / "copy")
    return Stored(copy / "field.zarr", copy / "instances", copy / "graph"), cut, labels


def test_a_cut_repaints_only_what_it_separates_and_is_undone(
    two_balls: tuple[Stored, Edit, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, cut, before = two_balls
    assert set(np.unique(before)) == {0, 1, 2}
    blocks: list[str] = []

    def paint(plan: StitchPlan, block: Block) -> int:
        blocks.append(block.key)
        return paint_block(plan, block)

    monkeypatch.setattr("tomostat.stitch.particles.paint_block", paint)
    graph = edit_particles(*stored.places, [cut])
    after = stored.labels()
    assert set(np.unique(after)) == {0, 1, 2, 3}
    np.testing.assert_array_equal(after == 2, before == 2)
    assert all(key.split("-")[1] == "00000" for key in blocks)  # the second ball's blocks were left alone
    assert graph.edits == (cut,)
    assert open_graph(stored.graph).tracks.particle[[cut.a, cut.b]].nunique() == 2
    edit_particles(*stored.places, [])
    np.testing.assert_array_equal(stored.labels(), before)


def test_a_join_brings_two_particles_together(two_balls: tuple[Stored, Edit, np.ndarray]) -> None:
    stored, cut, before = two_balls
    other = int(open_graph(stored.graph).tracks.query("particle == 2").voxels.idxmax())
    edit_particles(*stored.places, [Edit("join", cut.a, other)])
    after = stored.labels()
    assert set(np.unique(after)) == {0, 1}
    assert np.count_nonzero((after > 0) != (before > 0)) < 1e-3 * np.count_nonzero(before)


def test_after_a_killed_edit_everything_is_repainted(two_balls: tuple[Stored, Edit, np.ndarray]) -> None:
    stored, _, before = two_balls
    write_box(stored.path, (0, 0, 0), np.zeros((64, 256, 60), np.uint32), "particles")
    (stored.graph / PENDING).touch()
    edit_particles(*stored.places, [])
    np.testing.assert_array_equal(stored.labels(), before)
    assert not (stored.graph / PENDING).exists()


def test_impossible_edits_change_nothing(two_balls: tuple[Stored, Edit, np.ndarray]) -> None:
    stored, cut, before = two_balls
    for edits, words in (([Edit("cut", 1, 10_000)], "10000"), ([cut, Edit("join", cut.a, cut.b)], "join")):
        with pytest.raises(ValueError, match=words):
            edit_particles(*stored.places, edits)
    assert open_graph(stored.graph).edits == ()
    np.testing.assert_array_equal(stored.labels(), before)
