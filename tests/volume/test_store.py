"""Volumes on disk: chunks and shards, lazy opening, boxes, labels, and what is refused."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from tomostat.volume import (
    create_volume,
    is_volume,
    label_names,
    map_names,
    open_volume,
    read_box,
    remove_map,
    storage_layout,
    write_box,
)
from volumes import ODD_SHAPES, noise, whole_box


@pytest.mark.parametrize("shape", ODD_SHAPES)
def test_whole_chunks_in_whole_shards(shape):
    chunk, shard = storage_layout(shape)
    assert all(s % c == 0 for s, c in zip(shard, chunk, strict=True))
    assert all(s < 2 * n or s == 1 for s, n in zip(shard, shape, strict=True)), "no shard is mostly air"


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1024, 1024, 1024), (64, 256, 256)),
        ((2048, 2048, 2048), (64, 512, 512)),
        ((4000, 5000, 100), (64, 512, 128)),
        ((5, 60_000, 60_000), (8, 512, 512)),
    ],
)
def test_large_volumes_have_larger_shards(shape, expected):
    assert storage_layout(shape)[1] == expected


def test_open_volume_is_lazy_and_has_places(filled):
    array = noise((5, 70, 300))
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
    box = noise((10, 20, 30), "uint8")
    write_box(path, (60, 64, 250), box)
    assert np.array_equal(read_box(path, (slice(60, 70), slice(64, 84), slice(250, 280))), box)
    assert read_box(path, whole_box((70, 90, 300))).sum() == box.sum()


def test_replacing_a_label_leaves_the_others(filled):
    path = filled(noise((3, 40, 50)))
    for label in ("phases", "particles", "phases"):
        create_volume(path, shape=(3, 40, 50), dtype="uint8", spacing=(1, 1, 1), label=label)
        write_box(path, (0, 0, 0), np.ones((3, 40, 50), np.uint8), label)
    create_volume(path, shape=(3, 40, 50), dtype="uint8", spacing=(1, 1, 1), label="phases")
    assert read_box(path, whole_box((3, 40, 50)), "phases").sum() == 0
    assert read_box(path, whole_box((3, 40, 50)), "particles").all()
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


def test_maps_are_listed_and_removed(filled):
    path = filled(noise((3, 4, 5)))
    for name in ("maps/resistance", "maps/contact"):
        create_volume(path, shape=(3, 4, 5), dtype="float32", spacing=(1, 1, 1), label=name)
    assert map_names(path) == ["maps/contact", "maps/resistance"]
    assert np.isnan(read_box(path, whole_box((3, 4, 5)), "maps/contact")).all(), (
        "a map holds no value until one is written"
    )
    assert label_names(path) == []
    remove_map(path, "maps/contact")
    remove_map(path, "maps/contact")
    assert map_names(path) == ["maps/resistance"]
    remove_map(path, "phases")  # no map
    assert is_volume(path)
