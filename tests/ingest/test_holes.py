"""Chunks that are not stored: lost ones are refused, those left out on purpose are not."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import zarr

from sources import GREY, SHAPE, assert_refused, zarr_array
from tomostat.ingest import IngestOptions, open_source, probe

ROUND = np.where(np.hypot(*np.meshgrid(np.arange(70) - 35, np.arange(85) - 42, indexing="ij")) < 33, GREY + 1, 0)


def lose(folder, number=3):
    """Remove a chunk file from a zarr array."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith((".", "zarr")))
    files[number].unlink()


@pytest.mark.parametrize(
    "options",
    [
        {"zarr_format": 2, "chunks": (3, 32, 32)},
        {"zarr_format": 2, "chunks": (3, 32, 32), "chunk_key_encoding": {"name": "v2", "separator": "/"}},
        {"zarr_format": 3, "chunks": (3, 32, 32)},
        {"zarr_format": 3, "chunks": (3, 16, 16), "shards": (3, 32, 32)},
    ],
)
def test_a_lost_file_of_zarr(tmp_path, options):
    path = zarr_array(tmp_path / "a.zarr", GREY + 1, **options)
    probe(path, spacing=1)
    lose(path)
    words = "1 of 18 chunks are not stored, first at z 0, y 32, x 0, and no voxel beside them has the fill value 0"
    assert_refused(tmp_path, path, words)
    voxels = probe(path, spacing=1, options=IngestOptions(incomplete=True)).read_all()
    assert np.count_nonzero(voxels == 0) == 3 * 32 * 32


@pytest.mark.parametrize("fill", [0, 77])
def test_chunks_left_out_on_purpose(tmp_path, fill):
    """Around a round field of view, whatever the fill value."""
    array = np.where(ROUND == 0, fill, ROUND).astype(np.uint16)
    path = zarr_array(tmp_path / "a.zarr", array, chunks=(3, 8, 8), fill_value=fill)
    assert np.array_equal(probe(path, spacing=1).read_all(), array)
    lose(path, 60)
    assert_refused(tmp_path, path, "are not stored")


def test_without_fill_value_every_chunk_is_needed(tmp_path):
    array = ROUND.astype(np.uint16)
    path = zarr_array(tmp_path / "a.zarr", array, zarr_format=2, chunks=(3, 8, 8), fill_value=None)
    lose(path, 60)
    assert_refused(tmp_path, path, "there is no fill value")


def test_labels_may_leave_out_background(tmp_path):
    labels = np.zeros(SHAPE, np.uint32)
    labels[2:4, 5:12, 5:12] = 7
    path = zarr_array(tmp_path / "a.zarr", labels, chunks=(3, 16, 16))
    assert np.array_equal(open_source(path).read_all(), labels)


def test_chunks_of_hdf5_that_were_never_written(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("x", SHAPE, "u2", chunks=(1, 70, 85))
        made[:4] = GREY[:4] + 1
    assert_refused(tmp_path, tmp_path / "a.h5", "2 of 6 chunks are not stored, first at z 4, y 0, x 0")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("x", SHAPE, "u2")
    assert_refused(tmp_path, tmp_path / "b.h5", "b.h5:/x was never written")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.create_dataset("x", SHAPE, "u2", chunks=(1, 70, 85), fillvalue=5)[:5] = GREY[:5] + 6
    assert_refused(tmp_path, tmp_path / "c.h5", "has the fill value 5")


def test_a_lost_chunk_of_another_channel_does_not_matter(tmp_path):
    array = np.stack([GREY + 1, GREY + 1])
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("x", shape=array.shape, dtype=array.dtype, chunks=(1, 3, 32, 32))[...] = array
    lose(tmp_path / "a.zarr" / "x", 2)
    assert_refused(tmp_path, tmp_path / "a.zarr", "are not stored", options=IngestOptions(channel=0))
    assert np.array_equal(probe(tmp_path / "a.zarr", spacing=1, options=IngestOptions(channel=1)).read_all(), GREY + 1)


def test_links_out_of_a_zarr_folder(tmp_path):
    path = zarr_array(tmp_path / "a.zarr", chunks=(3, 70, 85))
    chunk = path / "c" / "0" / "0" / "0"
    chunk.rename(tmp_path / "elsewhere")
    chunk.symlink_to(tmp_path / "elsewhere")
    assert_refused(tmp_path, path, "elsewhere', outside its folder")
    assert probe(path, spacing=1, options=IngestOptions(outside=True)).shape == SHAPE
