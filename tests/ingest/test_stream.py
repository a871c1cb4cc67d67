"""Ingest: the same voxels from every kind of source and for any blocks; interrupted runs; what is refused."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster

from sources import GREY, SHAPE, SOURCES, assert_refused, hdf5, npy, raw, slices, tiff, zarr_array
from tomostat.execution import Execution
from tomostat.ingest import IngestOptions, Source, ingest_volume, probe, stream
from tomostat.ingest.stream import BLOCK_BYTES, block_shape
from tomostat.volume import open_volume, read_box, store


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(store, "CHUNK", (2, 16, 16))
    monkeypatch.setattr(store, "SHARD", (2, 32, 32))


ONE_OF_EACH = ("slices, packed, in strips", "pages, packed tiles", "HDF5, packed chunks", "npy", "NIfTI", "zarr v3")
"""Sources that are read in many blocks in `make test` too."""


@pytest.mark.parametrize(
    ("kind", "small"),
    [
        *(pytest.param(kind, False, id=f"one block-{kind}") for kind in SOURCES),
        *(
            pytest.param(kind, True, id=f"many blocks-{kind}", marks=() if kind in ONE_OF_EACH else pytest.mark.slow)
            for kind in SOURCES
        ),
    ],
)
def test_voxels_of_every_source(tmp_path, monkeypatch, kind, small):
    if small:
        monkeypatch.setattr(store, "CHUNK", (2, 16, 16))
        monkeypatch.setattr(store, "SHARD", (4, 32, 32))
        monkeypatch.setattr(stream, "BLOCK_BYTES", 4 * 32 * 64 * 2)
    source = SOURCES[kind](tmp_path)
    info = ingest_volume(source, tmp_path / "out" / "v.zarr", spacing=(2.0, 1.0, 1.0))
    assert (info.shape, info.dtype, info.spacing) == (SHAPE, np.uint16, (2.0, 1.0, 1.0))
    assert np.array_equal(open_volume(info.path).values, GREY)
    assert info.attributes["range"] == [int(GREY.min()), int(GREY.max())]
    assert info.attributes["source"]["path"] == source.name
    assert info.attributes["source"]["bytes"] > 1000
    assert read_box(info.path, tuple(slice(0, n) for n in info.levels[1]), level=1).any(), "the pyramid is there"
    assert sorted(path.name for path in info.path.parent.iterdir()) == ["v.zarr"], "nothing is left beside it"


@pytest.mark.parametrize("kind", SOURCES)
def test_a_box_is_read_without_the_rest(tmp_path, kind):
    """Any box, from a copy of the source that went through pickle as it does to a worker."""
    source: Source = pickle.loads(pickle.dumps(probe(SOURCES[kind](tmp_path), need_spacing=False)))
    rng = np.random.default_rng(1)
    for _ in range(5):
        start = [int(rng.integers(0, n)) for n in SHAPE]
        box = tuple(slice(a, int(rng.integers(a + 1, n + 1))) for a, n in zip(start, SHAPE, strict=True))
        found = source.read(box)
        assert np.array_equal(found, GREY[box])
        assert found.base is None or not isinstance(found.base, np.memmap), "the file is not kept open"


@pytest.mark.parametrize("name", ["image.tif", "image.npy", "image.h5", "image.zarr"])
def test_an_image_is_a_volume_of_one_slice(tmp_path, name):
    make = {".tif": tiff, ".npy": npy, ".zarr": zarr_array, ".h5": lambda p, a: hdf5(p, {"entry/image": a})}
    source = make[Path(name).suffix](tmp_path / name, GREY[0])
    options = IngestOptions(dataset="entry/image") if name.endswith("h5") else None
    info = ingest_volume(source, tmp_path / "v.zarr", spacing=0.05, options=options)
    assert info.shape == (1, *SHAPE[1:])
    assert np.array_equal(open_volume(info.path).values[0], GREY[0])


def test_options_are_noted(tmp_path):
    options = IngestOptions(shape=SHAPE, dtype="<u2")
    info = ingest_volume(raw(tmp_path / "a.raw"), tmp_path / "v.zarr", spacing=1, options=options)
    noted = info.attributes["ingest"]
    assert (noted["shape"], noted["dtype"], noted["dataset"], noted["reader"]) == (list(SHAPE), "<u2", None, None)


class Unread(Source):
    """Voxels that are not read."""

    def read(self, box):
        raise NotImplementedError


def test_blocks_are_whole_shards_and_bounded():
    for chunk, dtype in (((1, 1, 1), "u1"), ((1, 2048, 2048), "u1"), ((1, 2048, 2048), "f4"), ((2048, 1, 2048), "f4"),
                        ((64, 64, 64), "u2"), ((1, 8, 2048), "u1")):  # fmt: skip
        source = Unread(path=Path(), kind="", shape=(2048, 2048, 2048), dtype=np.dtype(dtype), chunk=chunk)
        core = block_shape(source, (64, 256, 256))
        assert all(c % s == 0 for c, s in zip(core, (64, 256, 256), strict=True))
        assert np.prod(core, dtype=float) * source.dtype.itemsize <= BLOCK_BYTES
    assert core == (64, 256, 2048), "strips are decoded once"
    box = Unread(path=Path(), kind="", shape=(512, 512, 512), dtype=np.dtype("u1"))
    assert block_shape(box, (64, 256, 256)) == (64, 256, 256), "no larger than needed"


def test_memory_is_bounded_by_the_block(tmp_path):
    """64 MB of float32 on a worker that holds far less than the volume, by what was allocated at most."""
    import tracemalloc

    path = tmp_path / "a.npy"
    array = np.lib.format.open_memmap(path, "w+", np.float32, (256, 256, 256))
    array[:] = np.arange(256, dtype=np.float32)
    array.flush()
    del array
    tracemalloc.start()
    with dask.config.set(num_workers=1):
        ingest_volume(path, tmp_path / "v.zarr", spacing=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    block = 64 * 256 * 256 * 4
    assert peak < 5 * block + 2**24, "of which the volume alone is 4 blocks, and a level halves 8 shards at once"


def test_on_a_cluster(tmp_path):
    source = slices(tmp_path / "s", compression="zlib")
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0") as cluster:
        with Client(cluster) as client:
            info = ingest_volume(source, tmp_path / "v.zarr", spacing=1, execution=Execution(client=client))
    assert np.array_equal(open_volume(info.path).values, GREY)


def fail_from(monkeypatch, number, error):
    """Every copy of a block fails from that number on; the number of calls is the length of what is returned."""
    real, calls = stream._copy_block, []

    def copy(*arguments):
        calls.append(1)
        if len(calls) >= number:
            raise type(error)(*error.args)  # a new one each time, as notes are added to it
        return real(*arguments)

    monkeypatch.setattr(stream, "_copy_block", copy)
    return calls


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch, small_blocks):
    source, target, markers = npy(tmp_path / "a.npy"), tmp_path / "v.zarr", tmp_path / "markers"
    with monkeypatch.context() as until_then, dask.config.set(num_workers=1):
        calls = fail_from(until_then, 8, KeyboardInterrupt("power cut"))
        with pytest.raises(KeyboardInterrupt, match="power cut"):
            ingest_volume(source, target, spacing=1, execution=Execution(markers=markers))
    assert not target.exists()
    assert len(calls) == 8
    calls = fail_from(monkeypatch, 100, KeyboardInterrupt())
    info = ingest_volume(source, target, spacing=1, execution=Execution(markers=markers))
    assert len(calls) == 27 - 7, "seven blocks of 27 stood"
    assert np.array_equal(open_volume(info.path).values, GREY)
    again = ingest_volume(source, target, spacing=1, execution=Execution(markers=markers))
    assert len(calls) == 20, "a finished volume is not written again"
    assert again.attributes == info.attributes


def test_without_markers_nothing_is_left_and_the_old_volume_stands(tmp_path, monkeypatch, small_blocks):
    target = tmp_path / "v.zarr"
    ingest_volume(npy(tmp_path / "a.npy"), target, spacing=1)
    fail_from(monkeypatch, 3, KeyboardInterrupt("power cut"))
    with pytest.raises(KeyboardInterrupt, match="power cut"):
        ingest_volume(npy(tmp_path / "b.npy", GREY[::-1]), target, spacing=1)
    assert not (tmp_path / "v.zarr.partial").exists()
    assert np.array_equal(open_volume(target).values, GREY)
    monkeypatch.undo()
    assert np.array_equal(open_volume(ingest_volume(tmp_path / "b.npy", target, spacing=1).path).values, GREY[::-1])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npy", "b.npy", "v.zarr"]


def test_stale_leftovers_are_cleared(tmp_path):
    target, markers = tmp_path / "v.zarr", tmp_path / "m"
    (tmp_path / "v.zarr.partial").mkdir()
    (tmp_path / "v.zarr.partial" / "zarr.json").write_text("half")
    ingest_volume(npy(tmp_path / "a.npy"), target, spacing=1, execution=Execution(markers=markers))
    shutil.rmtree(markers)
    ingest_volume(npy(tmp_path / "b.npy", GREY[::-1]), target, spacing=1, execution=Execution(markers=markers))
    assert np.array_equal(open_volume(target).values, GREY[::-1])


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_voxels_that_are_infinite(tmp_path, value):
    array = GREY.astype(np.float32)
    array[4, 5, 6] = value
    words = "infinite or beyond the range of float32, first seen at z 4, y 5, x 6"
    assert_refused(tmp_path, npy(tmp_path / "a.npy", array), words)


def test_voxels_that_are_no_numbers_get_one_grey_value(tmp_path, small_blocks, caplog):
    """NaN outside a round field of view, as reconstructions have it: stored as the lowest value of the middle slice."""
    array = GREY.astype(np.float32)
    outside = np.broadcast_to(np.hypot(*np.ogrid[-35:35, -42:43]) > 33, SHAPE)
    array[outside] = np.nan
    info = ingest_volume(npy(tmp_path / "a.npy", array), tmp_path / "v.zarr", spacing=1)
    lowest = float(np.nanmin(array[3]))
    assert info.attributes["not_a_number"] == {"voxels": int(outside.sum()), "stored_as": lowest}
    stored = open_volume(info.path).values
    assert np.array_equal(stored[~outside], array[~outside])
    assert (stored[outside] == lowest).all()
    assert "are NaN; taken as outside" in caplog.text
    array[3] = np.nan
    assert_refused(tmp_path, npy(tmp_path / "b.npy", array), "has no number in its middle slice")


def test_slices_of_one_grey_value_are_noted(tmp_path, small_blocks):
    """A frame that was dropped, and one that is no number throughout."""
    array = GREY.astype(np.float32)
    assert ingest_volume(npy(tmp_path / "a.npy", array), tmp_path / "a.zarr", spacing=1).blank_slices == ()
    array[1], array[5] = 0, np.nan
    assert ingest_volume(npy(tmp_path / "b.npy", array), tmp_path / "b.zarr", spacing=1).blank_slices == (1, 5)


def test_doubles_beyond_float32(tmp_path):
    array = GREY.astype(np.float64)
    array[0, 0, 0] = 1e300
    assert_refused(tmp_path, npy(tmp_path / "a.npy", array), "beyond the range of float32")


def test_a_constant_volume(tmp_path):
    assert_refused(tmp_path, npy(tmp_path / "a.npy", np.full(SHAPE, 7, np.uint8)), "is constant, every voxel is 7")
    markers = tmp_path / "m"
    assert_refused(tmp_path, tmp_path / "a.npy", "is constant", execution=Execution(markers=markers))
    assert not markers.exists(), "there is nothing to go on with"


def test_places_that_cannot_take_it(tmp_path, monkeypatch):
    source = npy(tmp_path / "a.npy")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "a.tex").write_text("years of work")
    with pytest.raises(ValueError, match="thesis exists and is no volume"):
        ingest_volume(source, tmp_path / "thesis", spacing=1)
    assert (tmp_path / "thesis" / "a.tex").exists()
    with pytest.raises(ValueError, match="is the source itself"):
        ingest_volume(source, source, spacing=1)
    with pytest.raises(ValueError, match="no right to write"):
        ingest_volume(source, source / "v.zarr", spacing=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    assert_refused(tmp_path, source, "0.00 GiB free; v.zarr takes up to")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_right_to_write(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(ValueError, match="no right to write"):
        ingest_volume(npy(tmp_path / "a.npy"), tmp_path / "locked" / "v.zarr", spacing=1)


@pytest.mark.parametrize(
    ("number", "match"),
    [(errno.ENOSPC, "no space left to write .*v.zarr"), (errno.EROFS, "no right to write .*v.zarr")],
)
def test_a_disk_that_fails_under_way(tmp_path, monkeypatch, small_blocks, number, match):
    fail_from(monkeypatch, 3, OSError(number, "disk"))
    assert_refused(tmp_path, npy(tmp_path / "a.npy"), match, execution=Execution(markers=tmp_path / "m"))


def test_a_worker_that_is_too_small(tmp_path, monkeypatch):
    monkeypatch.setattr(Execution, "memory_per_task", lambda self, *_: 1000)
    with pytest.raises(ValueError, match="ingest: one block needs about"):
        ingest_volume(npy(tmp_path / "a.npy"), tmp_path / "v.zarr", spacing=1)
