"""Stitching a volume: the same labels for any blocks, workers and interruptions; unusable input is refused."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster

from properties import DEEP
from shapes import same_partition
from stitching import BLOCKS, SHAPE, random_balls, write_volume
from tomostat.blocks import Block
from tomostat.execution import Execution
from tomostat.stitch import StitchOptions, stitch_particles
from tomostat.stitch.painting import paint_block
from tomostat.stitch.particles import BYTES_PER_VOXEL
from tomostat.stitch.plan import StitchPlan
from tomostat.volume import create_volume, describe, open_volume


def damaged(labels: np.ndarray, seed: int = 3) -> np.ndarray:
    """A tenth of the instances missed."""
    rng = np.random.default_rng(seed)
    keep = rng.random((len(labels), labels.max() + 1)) > 0.1
    return np.where(keep[np.arange(len(labels))[:, None, None], labels], labels, 0)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as found,
    ):
        yield found


def test_true_instances_give_the_true_particles(tmp_path: Path) -> None:
    labels = random_balls()
    stored = write_volume(tmp_path, labels)
    graph = stitch_particles(*stored.places, options=StitchOptions(min_slices=1))
    found = stored.labels()
    assert same_partition(found, labels)
    firsts = np.unique(found, return_index=True)[1][1:]
    assert (np.diff(firsts) > 0).all()  # numbered by their first voxel
    assert found.max() == len(firsts) == graph.tracks.particle.max()
    info = describe(stored.path, "particles")
    assert info.dtype == np.uint32
    level = np.asarray(open_volume(stored.path, "particles", level=1).data)
    halved = found[::2, ::2, ::2][tuple(slice(0, n) for n in level.shape)]
    np.testing.assert_array_equal(level, halved)


def test_labels_do_not_depend_on_blocks_workers_or_tables(tmp_path: Path, client: Client) -> None:
    labels = random_balls()
    detected = damaged(labels)
    stored = write_volume(tmp_path, labels, detected=detected, edges=True)
    stitch_particles(*stored.places, block=BLOCKS[0])
    expected = stored.labels()
    assert len(np.unique(expected)) > 15
    for block in BLOCKS[1:] if DEEP else BLOCKS[-1:]:
        stitch_particles(*stored.places, block=block)
        np.testing.assert_array_equal(stored.labels(), expected)
    stitch_particles(*stored.places, block=BLOCKS[0], execution=Execution(client=client))
    np.testing.assert_array_equal(stored.labels(), expected)
    other = write_volume(tmp_path / "other", labels, step=7, detected=detected, edges=True)
    stitch_particles(*other.places)
    np.testing.assert_array_equal(other.labels(), expected)


def test_touching_particles_at_block_faces_stay_apart(tmp_path: Path) -> None:
    labels = random_balls()
    stored = write_volume(tmp_path, labels)
    stitch_particles(*stored.places, block=BLOCKS[0])
    found = stored.labels()
    inside = [int(np.bincount(found[labels == number]).argmax()) for number in (1, 2, 3, 4)]
    assert len(set(inside)) == 4


def test_missed_slices_are_filled(tmp_path: Path) -> None:
    labels = random_balls()
    detected = labels.copy()
    detected[[20, 21, 63, 64]] = 0
    stored = write_volume(tmp_path, labels, detected=detected)
    stitch_particles(*stored.places, options=StitchOptions(min_slices=1))
    found = stored.labels()
    assert np.mean(found[labels > 0] > 0) > 0.98
    assert same_partition(found[[19, 22]], labels[[19, 22]])


@pytest.mark.slow
def test_an_interrupted_run_is_continued_and_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = random_balls()
    stored = write_volume(tmp_path, labels, edges=True)
    stitch_particles(*stored.places)
    expected = stored.labels()
    painted: list[str] = []

    def paint_one(plan: StitchPlan, block: Block) -> int:
        if painted:
            raise OSError("the disk is full")
        painted.append("once")
        return paint_block(plan, block)

    monkeypatch.setattr("tomostat.stitch.particles.paint_block", paint_one)
    execution = Execution(markers=tmp_path / "markers")
    with pytest.raises(OSError, match="disk"):
        stitch_particles(*stored.places, execution=execution, block=BLOCKS[0])
    before = {path: path.stat().st_mtime_ns for path in stored.graph.rglob("*.parquet")}
    monkeypatch.undo()
    stitch_particles(*stored.places, execution=execution, block=BLOCKS[0])
    np.testing.assert_array_equal(stored.labels(), expected)
    assert {path: path.stat().st_mtime_ns for path in stored.graph.rglob("*.parquet")} == before


def test_no_instance_gives_no_label(tmp_path: Path) -> None:
    labels = np.zeros((5, 30, 30), np.int32)
    stored = write_volume(tmp_path, labels, step=2)
    graph = stitch_particles(*stored.places)
    assert not stored.labels().any()
    assert len(graph.tracks) == len(graph.candidates) == 0
    assert graph.to_networkx().number_of_nodes() == 0


def test_some_tables_without_an_instance(tmp_path: Path) -> None:
    labels = random_balls((40, 50, 50), seed=5)
    labels[:12] = labels[28:] = 0
    stored = write_volume(tmp_path, labels, step=6)
    stitch_particles(*stored.places, options=StitchOptions(min_slices=1))
    assert same_partition(stored.labels(), labels)


def test_one_slice_is_a_volume(tmp_path: Path) -> None:
    labels = random_balls((1, 200, 200), seed=2)
    stored = write_volume(tmp_path, labels)
    stitch_particles(*stored.places)
    assert labels.max() > 0
    assert same_partition(stored.labels(), labels)


def test_links_are_stored_with_their_evidence(tmp_path: Path) -> None:
    labels = random_balls((30, 60, 60), seed=4)
    stored = write_volume(tmp_path, labels)
    stitch_particles(*stored.places)
    table = pq.read_table(stored.graph / "links")
    assert {"first", "second", "gap", "overlap", "iou", "containment", "clean"} <= set(table.column_names)
    assert table.num_rows > 20


def test_tables_that_do_not_belong_are_refused(tmp_path: Path) -> None:
    labels = random_balls((20, 40, 40))
    stored = write_volume(tmp_path / "good", labels, step=5)
    stitch_particles(*stored.places)
    before = stored.labels()

    def refused(words: str, error: type[Exception] = ValueError) -> None:
        with pytest.raises(error, match=words):
            stitch_particles(*stored.places)
        np.testing.assert_array_equal(stored.labels(), before)

    table = stored.folder / "00005.parquet"
    whole = table.read_bytes()
    table.unlink()
    refused("slices 5 to 9")
    table.write_bytes(whole[: len(whole) // 2])
    refused("00005")
    other = write_volume(tmp_path / "other", random_balls((20, 30, 30)), step=5)
    table.write_bytes((other.folder / "00005.parquet").read_bytes())
    refused("30")
    twin = write_volume(tmp_path / "twin", labels, step=5, run="b")
    table.write_bytes((twin.folder / "00005.parquet").read_bytes())
    refused("different options")
    table.write_bytes(whole)
    (stored.folder / "00099.parquet").write_bytes(whole)
    refused("another table")
    for file in stored.folder.iterdir():
        file.unlink()
    refused("tomostat detect", FileNotFoundError)


def test_blocks_must_be_whole_shards_and_phases_must_be_there(tmp_path: Path) -> None:
    stored = write_volume(tmp_path, random_balls())
    with pytest.raises(ValueError, match="whole numbers of shards"):
        stitch_particles(*stored.places, block=(32, 256, 64))
    create_volume(tmp_path / "bare.zarr", shape=SHAPE, dtype="uint8", spacing=(1, 1, 1))
    with pytest.raises(ValueError, match="phases"):
        stitch_particles(tmp_path / "bare.zarr", stored.folder, stored.graph)


def test_memory_too_small_for_a_block_is_refused_before_painting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = write_volume(tmp_path, random_balls())
    monkeypatch.setattr(Execution, "memory_per_task", lambda execution, *_: 1000)
    with pytest.raises(ValueError, match="GiB"):
        stitch_particles(*stored.places)
    assert not stored.labels().any()


PAINT = """
import sys
from pathlib import Path
from tomostat.events import Meter, peak_memory
from tomostat.stitch import StitchOptions
from tomostat.stitch.particles import make_plan
from tomostat.stitch.painting import paint_block
from tomostat.volume import describe

def paint(folder):
    info = describe(folder / "field.zarr")
    plan = make_plan(info, folder / "instances", folder / "graph", StitchOptions(), info.shape)
    (block,) = plan.blocks
    Meter()  # sets the peak back to the present memory
    before = peak_memory()
    paint_block(plan, block)
    return peak_memory() - before

paint(Path(sys.argv[1]))  # compiles and loads everything
print(paint(Path(sys.argv[2])))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the peak memory of a task is known on Linux only"
)
def test_memory_of_painting_is_estimated(tmp_path: Path) -> None:
    """In a fresh process, on a block large enough to outweigh what an interpreter moves by itself."""
    shape = (64, 256, 256)
    for name, size in (("small", (64, 64, 64)), ("large", shape)):
        stored = write_volume(tmp_path / name, random_balls(size), step=16, edges=True)
        stitch_particles(*stored.places, block=size)
    command = [sys.executable, "-c", PAINT, str(tmp_path / "small"), str(tmp_path / "large")]
    used = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    estimate = BYTES_PER_VOXEL * math.prod(shape)  # the volume ends with the block, so that there is no halo
    assert used <= estimate
    assert estimate < 3 * used  # nor is it refused for no reason
