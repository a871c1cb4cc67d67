"""Volumes on disk: metadata that others read, odd shapes, levels, shading, and what is refused."""

from __future__ import annotations

import itertools
import json
import warnings

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from ome_zarr_models import open_ome_zarr
from ome_zarr_models.v05 import Image, ImageLabel, Labels

from tomostat import volume
from tomostat.execution import Execution
from tomostat.volume import (
    create_volume,
    describe,
    halve,
    halve_sparse,
    label_names,
    level_shapes,
    open_flat,
    open_volume,
    pyramid_tasks,
    read_box,
    read_flat,
    read_shading,
    split_blocks,
    spread_grid,
    storage_layout,
    store_tasks,
    update_attributes,
    write_box,
    write_shading,
)

SHAPES = [(1, 1, 1), (1, 70, 90), (70, 1, 33), (5, 7, 300), (33, 65, 129), (130, 20, 64)]


def numbers(shape, dtype="uint16", seed=0):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


def whole(shape):
    return tuple(slice(0, n) for n in shape)


@pytest.fixture
def filled(tmp_path):
    """A volume of a given array with its pyramid."""

    def fill(array):
        path = tmp_path / "v.zarr"
        create_volume(path, shape=array.shape, dtype=array.dtype, spacing=(1.0, 0.5, 0.25))
        write_box(path, (0, 0, 0), array)
        for tasks in pyramid_tasks(path):
            Execution().run("pyramid", tasks)
        return path

    return fill


@pytest.mark.parametrize("shape", SHAPES)
def test_metadata_are_valid_ome_zarr(filled, shape):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = filled(numbers(shape, "uint8"))
        create_volume(path, shape=shape, dtype="uint32", spacing=(1.0, 0.5, 0.25), label="particles")
        create_volume(path, shape=shape, dtype="uint8", spacing=(1.0, 0.5, 0.25), label="phases")
        image = open_ome_zarr(zarr.open_group(path, mode="r"))
        assert isinstance(image, Image)
        assert isinstance(open_ome_zarr(zarr.open_group(path, path="labels", mode="r")), Labels)
        assert isinstance(open_ome_zarr(zarr.open_group(path, path="labels/phases", mode="r")), ImageLabel)
    scales = image.attributes.ome.multiscales[0]
    assert [axis.unit for axis in scales.axes] == ["micrometer"] * 3
    assert image.ome_attributes.multiscales[0].datasets[0].coordinateTransformations[0].scale == [1.0, 0.5, 0.25]


def test_only_codecs_of_the_specification(filled):
    path = filled(numbers((5, 40, 40)))
    metadata = json.loads((path / "0" / "zarr.json").read_text())
    [shards] = metadata["codecs"]
    assert shards["name"] == "sharding_indexed"
    assert [codec["name"] for codec in shards["configuration"]["codecs"]] == ["bytes", "blosc"]
    assert metadata["dimension_names"] == ["z", "y", "x"]


@pytest.mark.parametrize("shape", SHAPES)
def test_whole_chunks_in_whole_shards(shape):
    chunk, shard = storage_layout(shape)
    assert all(s % c == 0 for s, c in zip(shard, chunk, strict=True))
    assert all(s < 2 * n or s == 1 for s, n in zip(shard, shape, strict=True)), "no shard is mostly air"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_levels_are_means_of_the_level_above(filled, shape, dtype):
    array = numbers(shape, dtype)
    path = filled(array)
    info = describe(path)
    assert list(info.levels) == level_shapes(shape)
    for level, after in enumerate(info.levels[1:], 1):
        above = read_box(path, whole(info.levels[level - 1]), level=level - 1).astype(np.float64)
        for axis, (n, m) in enumerate(zip(above.shape, after, strict=True)):
            if n > 1:
                pair = np.split(above.take(np.arange(2 * m), axis), m, axis)
                above = np.concatenate([p.mean(axis=axis, keepdims=True) for p in pair], axis)
        found = read_box(path, whole(after), level=level)
        assert np.abs(found - above).max() <= (1e-4 if dtype == "float32" else 0.5)


def test_labels_are_picked_not_averaged(filled):
    array = numbers((9, 130, 70), "uint32")
    path = filled(numbers((9, 130, 70), "uint8"))
    create_volume(path, shape=array.shape, dtype="uint32", spacing=(1, 1, 1), label="particles")
    write_box(path, (0, 0, 0), array, "particles")
    for tasks in pyramid_tasks(path, "particles"):
        Execution().run("pyramid", tasks)
    first = describe(path, "particles").levels[1]
    assert np.array_equal(read_box(path, whole(first), "particles", 1), array[:8:2, :130:2, :70:2])
    assert label_names(path) == ["particles"]


def test_pyramid_is_the_same_by_any_blocks(monkeypatch, tmp_path):
    array = numbers((40, 130, 90), "uint8")
    results = []
    for shard in ((8, 16, 16), (16, 64, 32), (64, 256, 256)):
        monkeypatch.setattr(volume, "CHUNK", (8, 16, 16))
        monkeypatch.setattr(volume, "SHARD", shard)
        path = tmp_path / f"{shard[0]}.zarr"
        create_volume(path, shape=array.shape, dtype="uint8", spacing=(1, 1, 1))
        for tasks in store_tasks(da.from_array(array, chunks=describe(path).shards), path), *pyramid_tasks(path):
            Execution().run("write", tasks)
        levels = describe(path).levels
        results.append([read_box(path, whole(shape), level=i) for i, shape in enumerate(levels)])
    for others in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], others, strict=True))


def test_open_volume_is_lazy_and_has_places(filled):
    array = numbers((5, 70, 300))
    path = filled(array)
    opened = open_volume(path)
    assert isinstance(opened.data, da.Array)
    assert opened.data.chunksize == (5, 70, 256)
    assert opened.dims == ("z", "y", "x")
    assert np.array_equal(opened.values, array)
    assert opened.attrs["spacing"] == (1.0, 0.5, 0.25)
    assert np.allclose(opened["y"], 0.5 * np.arange(70))
    assert opened["x"].attrs["units"] == "micrometer"
    half = open_volume(path, level=1)
    assert np.allclose(half["x"], 0.25 * (2 * np.arange(150) + 0.5)), "a halved voxel lies between its two"
    with pytest.raises(ValueError, match="level is 7"):
        open_volume(path, level=7)


def test_boxes_are_written_and_read(filled):
    path = filled(np.zeros((70, 90, 300), np.uint8))
    box = numbers((10, 20, 30), "uint8")
    write_box(path, (60, 64, 250), box)
    assert np.array_equal(read_box(path, (slice(60, 70), slice(64, 84), slice(250, 280))), box)
    assert read_box(path, whole((70, 90, 300))).sum() == box.sum()


def test_attributes_are_added(filled):
    path = filled(numbers((3, 4, 5)))
    update_attributes(path, {"density_scale": 1e-9})
    update_attributes(path, {"note": [1, 2]})
    assert describe(path).attributes == {"spacing": [1.0, 0.5, 0.25], "density_scale": 1e-9, "note": [1, 2]}


def test_replacing_a_label_leaves_the_others(filled):
    path = filled(numbers((3, 40, 50)))
    for label in ("phases", "particles", "phases"):
        create_volume(path, shape=(3, 40, 50), dtype="uint8", spacing=(1, 1, 1), label=label)
        write_box(path, (0, 0, 0), np.ones((3, 40, 50), np.uint8), label)
    create_volume(path, shape=(3, 40, 50), dtype="uint8", spacing=(1, 1, 1), label="phases")
    assert read_box(path, whole((3, 40, 50)), "phases").sum() == 0
    assert read_box(path, whole((3, 40, 50)), "particles").all()
    assert label_names(path) == ["particles", "phases"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spacing": (1, 1)}, "three positive numbers"),
        ({"spacing": (1, 0, 1)}, "three positive numbers"),
        ({"spacing": (1, float("nan"), 1)}, "three positive numbers"),
        ({"shape": (4, 5)}, "three positive integers"),
        ({"shape": (4, 5, 0)}, "three positive integers"),
        ({"dtype": "float64"}, "dtype is float64"),
    ],
)
def test_bad_volumes_are_refused(tmp_path, change, message):
    asked = {"shape": (4, 5, 6), "dtype": "uint8", "spacing": (1, 1, 1)} | change
    with pytest.raises(ValueError, match=message):
        create_volume(tmp_path / "v.zarr", **asked)
    assert not (tmp_path / "v.zarr").exists()


def test_a_folder_that_is_no_volume_is_not_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(ValueError, match="no volume"):
        create_volume(tmp_path / "thesis", shape=(1, 2, 3), dtype="uint8", spacing=(1, 1, 1))
    assert (tmp_path / "thesis" / "chapter.tex").exists()


def test_what_is_no_volume_is_told(tmp_path, filled):
    with pytest.raises(FileNotFoundError, match="no volume at"):
        describe(tmp_path / "none.zarr")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="not an OME-Zarr volume"):
        describe(tmp_path / "empty")
    with pytest.raises(ValueError, match="labels 'phases'"):
        describe(filled(numbers((2, 3, 4))), "phases")
    zarr.open_group(tmp_path / "plain.zarr", mode="w").create_array("a", shape=(2, 2), dtype="u1")
    with pytest.raises(ValueError, match="no OME-Zarr"):
        describe(tmp_path / "plain.zarr")


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


grids = st.tuples(*[st.integers(1, 5)] * 3)


@settings(deadline=None)
@given(grids, st.tuples(*[st.integers(1, 9)] * 3), st.randoms(use_true_random=False))
def test_a_grid_is_spread_linearly(nodes, shape, random):
    """Against interpolation written out voxel by voxel; and a voxel's value does not depend on the box asked for."""
    grid = np.array([random.uniform(-5, 5) for _ in range(int(np.prod(nodes)))], np.float32).reshape(nodes)
    found = spread_grid(grid, shape, whole(shape))
    for place in itertools.product(*map(range, shape)):
        value = 0.0
        for corner in itertools.product((0, 1), repeat=3):
            weight, index = 1.0, []
            for axis in range(3):
                t = place[axis] * (nodes[axis] - 1) / max(shape[axis] - 1, 1)
                low = min(int(t), max(nodes[axis] - 2, 0))
                weight *= (t - low) if corner[axis] else 1 - (t - low)
                index.append(min(low + corner[axis], nodes[axis] - 1))
            value += weight * float(grid[tuple(index)])
        assert abs(found[place] - value) < 1e-4
    box = tuple(slice(n // 3, n) for n in shape)
    assert np.array_equal(spread_grid(grid, shape, box), found[box])


def test_flat_is_grey_less_shading(filled):
    array = numbers((9, 40, 300), "uint8")
    path = filled(array)
    assert read_shading(path) is None
    assert np.array_equal(read_flat(path, whole(array.shape)), array.astype(np.float32))
    grid = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)
    write_shading(path, grid)
    box = (slice(2, 7), slice(10, 30), slice(250, 280))
    flat = array - spread_grid(grid, array.shape, whole(array.shape))
    assert np.array_equal(read_flat(path, box), flat[box])
    assert np.array_equal(open_flat(path).compute(scheduler="synchronous"), flat)
    write_shading(path, None)
    assert read_shading(path) is None
    write_shading(path, None)


def test_halving_keeps_thin_axes():
    fine = np.arange(12, dtype=np.uint8).reshape(1, 4, 3)
    assert np.array_equal(halve(fine, (1, 2, 1), mean=True), [[[2], [8]]])
    assert np.array_equal(halve(fine, (1, 2, 1), mean=False), [[[0], [6]]])


def test_order_of_writing_changes_nothing(filled):
    """Blocks written in any order give one and the same array."""
    array = numbers((70, 300, 270), "uint8")
    path = filled(np.zeros_like(array))
    tasks = store_tasks(da.from_array(array, chunks=(64, 256, 256)), path)
    with dask.config.set(num_workers=4):
        execute(dict(reversed(list(tasks.items()))), label="write")
    assert np.array_equal(read_box(path, whole(array.shape)), array)


def test_maps_are_averaged_over_what_is_known():
    fine = np.full((1, 4, 6), np.nan, np.float32)
    fine[0, 0, 0], fine[0, 1, 1], fine[0, 3, 5] = 1, 4, 7
    np.testing.assert_array_equal(halve_sparse(fine, (1, 2, 3)), [[[2.5, np.nan, np.nan], [np.nan, np.nan, 7]]])
