"""Batches of particles: which ones, how they are read, how much memory that takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shapes import ball
from stores import store, three_balls
from tomostat.measure.batches import BATCH_VOXELS, Batch, make_batches
from tomostat.measure.shape.moments import block_moments
from tomostat.volume import describe

MEASURE_BATCH = """
import sys
from pathlib import Path
import numpy as np
from tomostat.events import Meter, peak_memory
from tomostat.measure import MeasureOptions
from tomostat.measure.batches import make_batches
from tomostat.measure.contact.mixture import PRIOR
from tomostat.measure.particles import grey_levels
from tomostat.measure.shape.moments import block_moments
from tomostat.measure.tasks import MeasurePlan, particle_tasks
from tomostat.volume import describe, read_box, read_fit

def measure(path, way):
    info = describe(path)
    labels = read_box(path, tuple(slice(0, n) for n in info.shape), "particles")
    moments = block_moments(labels, labels.astype(np.float32))
    del labels
    batches = make_batches(moments, info, np.arange(len(moments)), (10, 10, 10))
    options = MeasureOptions(shell=0.5, path=way)
    task = MeasurePlan(path, info, grey_levels(read_fit(path)), (PRIOR,) * 3, options, path.parent / "points")
    before = peak_memory_now()
    (delayed,) = particle_tasks(task, batches).values()
    delayed.compute(scheduler="synchronous")
    return peak_memory() - before, batches[0].need

def peak_memory_now():
    Meter()  # sets the peak back to the present memory
    return peak_memory()

for way in ("surface", "solid"):
    measure(Path(sys.argv[1]), way)  # compiles and loads everything
    print(*measure(Path(sys.argv[2]), way))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the peak memory of a task is known on Linux only"
)
def test_memory_of_a_batch_is_not_underestimated(tmp_path: Path) -> None:
    """In a fresh process, on a particle large enough to outweigh what an interpreter moves by itself."""
    stores = []
    for name, radius in (("small", 8), ("large", 40)):
        mask = ball(radius, margin=12)
        half = np.arange(mask.shape[2]) < mask.shape[2] // 2
        phases = np.where(mask > 0, 2, np.broadcast_to(half, mask.shape)).astype(np.uint8)
        stores.append(store(tmp_path / f"{name}.zarr", mask, phases))
    command = [sys.executable, "-c", MEASURE_BATCH, *map(str, stores)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        used, need = map(int, line.split())
        assert used <= need
    assert len(done.stdout.splitlines()) == 2


def test_a_batch_is_read_once_where_that_is_less(tmp_path: Path) -> None:
    near, far = np.array([[0, 0, 0], [60, 60, 60]]), np.array([[0, 0, 40], [60, 60, 100]])
    assert Batch.of(0, [(1, near), (2, far)]).whole.tolist() == [[0, 0, 0], [60, 60, 100]]
    apart = np.array([[900, 900, 900], [960, 960, 960]])
    batch = Batch.of(0, [(1, near), (2, apart)])
    assert batch.whole is None
    assert batch.need < Batch.of(0, [(1, near), (2, far)]).need
    np.testing.assert_array_equal(batch.boxes, [near, apart])


def test_every_particle_is_in_one_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels, phases = three_balls()
    info = describe(store(tmp_path / "f.zarr", labels, phases))
    moments = block_moments(labels, labels.astype(np.float32))
    for limit in (BATCH_VOXELS, 1):
        monkeypatch.setattr("tomostat.measure.batches.BATCH_VOXELS", limit)
        batches = make_batches(moments, info, np.arange(3), (4, 4, 4))
        assert sorted(label for batch in batches for label, _ in batch.members) == [3, 7, 12]
        assert len(batches) == (1 if limit > 1 else 3)
    assert len({batch.file for batch in batches}) == 3
    for label, box in (member for batch in batches for member in batch.members):
        inside = labels[tuple(slice(a, b) for a, b in box.T)] == label
        assert inside.sum() == (labels == label).sum()


def test_neighbours_are_read_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packing of 64 cubes, whose numbers say nothing about their places."""
    cell = np.zeros((16, 16, 16), np.uint32)
    cell[2:14, 2:14, 2:14] = 1
    numbers = np.random.default_rng(0).permutation(64).reshape(4, 4, 4).astype(np.uint32) + 1
    labels = np.kron(numbers, cell)
    info = describe(store(tmp_path / "f.zarr", labels, np.where(labels > 0, 2, 0).astype(np.uint8)))
    monkeypatch.setattr("tomostat.measure.batches.BATCH_VOXELS", 28**3 * 8)
    moments = block_moments(labels, labels.astype(np.float32))
    batches = make_batches(moments, info, np.arange(64), (8, 8, 8))
    assert sorted(label for batch in batches for label, _ in batch.members) == list(range(1, 65))
    read = 0
    for batch in batches:
        assert batch.whole is not None
        assert np.prod(batch.boxes[:, 1] - batch.boxes[:, 0], axis=1).sum() <= 28**3 * 8
        read += np.prod(batch.whole[1] - batch.whole[0])
    assert read < 4 * labels.size
