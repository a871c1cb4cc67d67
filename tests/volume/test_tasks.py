"""Tasks that write volumes: the same voxels and levels for any blocks, in any order; whole shards only."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest

from tomostat.execution import Execution
from tomostat.volume import (
    create_volume,
    describe,
    label_names,
    level_shapes,
    pyramid_tasks,
    read_box,
    split_blocks,
    store,
    store_tasks,
    write_box,
)
from volumes import ODD_SHAPES, noise, whole_box


@pytest.mark.parametrize("shape", ODD_SHAPES)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_levels_are_means_of_the_level_above(filled, shape, dtype):
    array = noise(shape, dtype)
    path = filled(array)
    info = describe(path)
    assert list(info.levels) == level_shapes(shape)
    for level, after in enumerate(info.levels[1:], 1):
        above = read_box(path, whole_box(info.levels[level - 1]), level=level - 1).astype(np.float64)
        for axis, (n, m) in enumerate(zip(above.shape, after, strict=True)):
            if n > 1:
                pair = np.split(above.take(np.arange(2 * m), axis), m, axis)
                above = np.concatenate([p.mean(axis=axis, keepdims=True) for p in pair], axis)
        found = read_box(path, whole_box(after), level=level)
        assert np.abs(found - above).max() <= (1e-4 if dtype == "float32" else 0.5)


def test_labels_are_picked_not_averaged(filled):
    array = noise((9, 130, 70), "uint32")
    path = filled(noise((9, 130, 70), "uint8"))
    create_volume(path, shape=array.shape, dtype="uint32", spacing=(1, 1, 1), label="particles")
    write_box(path, (0, 0, 0), array, "particles")
    for tasks in pyramid_tasks(path, "particles"):
        Execution().run("pyramid", tasks)
    first = describe(path, "particles").levels[1]
    assert np.array_equal(read_box(path, whole_box(first), "particles", 1), array[:8:2, :130:2, :70:2])
    assert label_names(path) == ["particles"]


def test_pyramid_is_the_same_by_any_blocks(monkeypatch, tmp_path):
    array = noise((34, 70, 50), "uint8")
    results = []
    for shard in ((8, 16, 16), (16, 64, 32), (64, 256, 256)):
        monkeypatch.setattr(store, "CHUNK", (8, 16, 16))
        monkeypatch.setattr(store, "SHARD", shard)
        path = tmp_path / f"{shard[0]}.zarr"
        create_volume(path, shape=array.shape, dtype="uint8", spacing=(1, 1, 1))
        for tasks in store_tasks(da.from_array(array, chunks=describe(path).shards), path), *pyramid_tasks(path):
            Execution().run("write", tasks)
        levels = describe(path).levels
        assert describe(path).shards[0] == min(shard[0], 64)
        results.append([read_box(path, whole_box(shape), level=i) for i, shape in enumerate(levels)])
    for others in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], others, strict=True))


def test_order_of_writing_changes_nothing(filled):
    """Blocks written in any order give one and the same array."""
    array = noise((70, 300, 270), "uint8")
    path = filled(np.zeros_like(array))
    tasks = store_tasks(da.from_array(array, chunks=(64, 256, 256)), path)
    with dask.config.set(num_workers=4):
        Execution().run("write", dict(reversed(list(tasks.items()))))
    assert np.array_equal(read_box(path, whole_box(array.shape)), array)


def test_tasks_that_would_share_a_shard_are_refused(filled):
    path = filled(np.zeros((70, 300, 300), np.uint8))
    for chunks in ((64, 128, 256), (32, 256, 256), (64, 256, 300 - 1)):
        with pytest.raises(ValueError, match="whole numbers of shards"):
            store_tasks(da.zeros((70, 300, 300), chunks=chunks, dtype="u1"), path)
    with pytest.raises(ValueError, match="array has shape"):
        store_tasks(da.zeros((70, 300, 299), chunks=(64, 256, 256), dtype="u1"), path)


def test_a_block_carries_its_own_tasks_only():
    """A block's graph does not grow with the volume, so that scheduling 10^5 blocks stays linear."""
    sizes = []
    for blocks in (3, 6):
        lazy = da.map_blocks(np.add, da.ones((8 * blocks,) * 3, chunks=8), 1).map_overlap(lambda a: a, depth=1)
        parts = split_blocks(lazy)
        sizes.append(max(len(part.dask) for part in parts.values()))
        index = (1, 1, 1)
        assert np.array_equal(parts[index].compute(scheduler="synchronous"), np.full((8, 8, 8), 2.0))
    assert sizes[0] == sizes[1]


def test_building_tasks_computes_nothing(filled):
    path = filled(np.zeros((70, 300, 300), np.uint8))

    def boom(block):
        raise AssertionError("computed")

    tasks = store_tasks(da.zeros((70, 300, 300), chunks=(64, 256, 256), dtype="u1").map_blocks(boom, dtype="u1"), path)
    assert len(tasks) == 8
