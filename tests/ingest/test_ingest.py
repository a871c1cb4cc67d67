"""Ingest: every kind of source gives the same voxels, spacing where it is told, and bad input one clear line."""

from __future__ import annotations

import errno
import logging
import os
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import dask
import h5py
import numpy as np
import pytest
import tifffile
import zarr
from distributed import Client, LocalCluster
from hypothesis import given
from hypothesis import strategies as st
from tomostat.ingest.tiff import natural_order

from tomostat import volume
from tomostat.execution import Execution
from tomostat.ingest import ingest_volume, probe, stream
from tomostat.ingest import spacing as sizes
from tomostat.ingest.options import IngestOptions
from tomostat.ingest.source import Source, target_dtype, volume_axes
from tomostat.ingest.stream import BLOCK_BYTES, block_shape
from tomostat.volume import create_volume, open_volume, read_box, write_box

SHAPE = (6, 70, 85)
GREY = np.random.default_rng(0).integers(0, 60000, SHAPE).astype(np.uint16)


def tiff(path, array=GREY, **options):
    tifffile.imwrite(path, array, photometric="minisblack", **options)
    return path


def slices(folder, array=GREY, name="slice_{}.tif", **options):
    folder.mkdir()
    for z, image in enumerate(array):
        tiff(folder / name.format(z + 5), image, **options)
    return folder


def zarr_array(path, array=GREY, **options):
    made = zarr.create_array(path, shape=array.shape, dtype=array.dtype, **options)
    made[...] = array
    return path


def hdf5(path, datasets, **options):
    with h5py.File(path, "w") as file:
        for name, array in datasets.items():
            file.create_dataset(name, data=array, **options)
    return path


def ome(path, version, array=GREY, axes="zyx", unit="nanometer", scale=(200.0, 100.0, 100.0)):
    """An OME-Zarr image as other programs write it."""
    extra = len(axes) - 3
    full = array.reshape((1,) * extra + array.shape)
    named = [{"name": a, "type": "space", "unit": unit} if a in "zyx" else {"name": a, "type": "time"} for a in axes]
    transform = {"type": "scale", "scale": [1.0] * extra + list(scale)}
    scales = [{"axes": named, "datasets": [{"path": "s0", "coordinateTransformations": [transform]}]}]
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    group.create_array("s0", shape=full.shape, dtype=full.dtype, chunks=(1,) * extra + (3, 32, 32))[...] = full
    if version == "0.4":
        group.attrs["multiscales"] = [{**scales[0], "version": "0.4"}]
    else:
        group.attrs["ome"] = {"version": version, "multiscales": scales}
    return path


def raw(path, array=GREY):
    path.write_bytes(array.tobytes())
    return path


def npy(path, array=GREY):
    np.save(path, array)
    return path


SOURCES = {
    "slices": lambda d: slices(d / "s"),
    "slices, packed, in strips": lambda d: slices(d / "s", compression="zlib", rowsperstrip=16),
    "slices, big-endian": lambda d: slices(d / "s", byteorder=">"),
    "pages": lambda d: tiff(d / "a.tif"),
    "pages, packed": lambda d: tiff(d / "a.tif", compression="lzw", predictor=True),
    "pages, packed tiles": lambda d: tiff(d / "a.tif", compression="zstd", tile=(32, 48)),
    "pages, big-endian": lambda d: tiff(d / "a.tif", byteorder=">"),
    "pages, no description": lambda d: tiff(d / "a.tif", compression="deflate", metadata=None),
    "BigTIFF": lambda d: tiff(d / "a.btf", bigtiff=True, compression="zlib", rowsperstrip=7),
    "ImageJ": lambda d: tiff(d / "a.tif", imagej=True),
    "OME-TIFF": lambda d: tiff(d / "a.ome.tif", metadata={"axes": "ZYX"}, compression="zlib"),
    "HDF5": lambda d: hdf5(d / "a.h5", {"entry/data": GREY, "entry/angles": np.arange(9.0)}),
    "HDF5, packed chunks": lambda d: hdf5(d / "a.nxs", {"x": GREY}, chunks=(1, 70, 85), compression="gzip"),
    "HDF5, one frame": lambda d: hdf5(d / "a.hdf", {"x": GREY[None]}),
    "npy": lambda d: npy(d / "a.npy"),
    "npy, other order": lambda d: npy(d / "a.npy", np.asfortranarray(GREY)),
    "npy, big-endian": lambda d: npy(d / "a.npy", GREY.astype(">u2")),
    "zarr v2": lambda d: zarr_array(d / "a.zarr", zarr_format=2, chunks=(4, 32, 32)),
    "zarr v3": lambda d: zarr_array(d / "a.zarr", zarr_format=3, chunks=(4, 32, 32)),
    "OME-Zarr 0.4": lambda d: ome(d / "a.zarr", "0.4", axes="tczyx"),
    "OME-Zarr 0.5": lambda d: ome(d / "a.zarr", "0.5"),
}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("small", [False, True], ids=["one block", "many blocks"])
def test_voxels_of_every_source(tmp_path, monkeypatch, kind, small):
    if small:
        monkeypatch.setattr(volume, "CHUNK", (2, 16, 16))
        monkeypatch.setattr(volume, "SHARD", (4, 32, 32))
        monkeypatch.setattr(stream, "BLOCK_BYTES", 4 * 32 * 64 * 2)
    source = SOURCES[kind](tmp_path)
    info = ingest_volume(source, tmp_path / "out" / "v.zarr", spacing=(2.0, 1.0, 1.0))
    assert (info.shape, info.dtype, info.spacing) == (SHAPE, np.uint16, (2.0, 1.0, 1.0))
    assert np.array_equal(open_volume(info.path).values, GREY)
    assert info.attributes["range"] == [int(GREY.min()), int(GREY.max())]
    assert info.attributes["source"]["path"] == str(source)
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


def test_raw_of_any_endianness(tmp_path):
    for dtype in ("<u2", ">u2", "uint16"):
        source = raw(tmp_path / "a.raw", GREY.astype(dtype))
        options = IngestOptions(shape=SHAPE, dtype=dtype)
        info = ingest_volume(source, tmp_path / "v.zarr", spacing=1.0, options=options)
        assert np.array_equal(open_volume(info.path).values, GREY)


def test_slices_in_natural_order(tmp_path):
    folder = slices(tmp_path / "s", name="b{}.TIFF")  # b5 .. b10: text order would put b10 first
    (folder / "notes.txt").write_text("not a slice")
    assert np.array_equal(open_volume(ingest_volume(folder, tmp_path / "v.zarr", spacing=1).path).values, GREY)


@given(st.lists(st.tuples(st.text("ab", max_size=2), st.integers(0, 200)), unique=True))
def test_natural_order(names):
    """Names with plain numbers, shuffled by text order, come back in order of (text, number)."""
    files = [Path(f"{text}_{number}.tif") for text, number in names]
    found = natural_order(sorted(files))
    assert found == [Path(f"{text}_{number}.tif") for text, number in sorted(names)]


def test_a_folder_of_one_file_is_that_file(tmp_path):
    (tmp_path / "s").mkdir()
    tiff(tmp_path / "s" / "all.tif")
    assert probe(tmp_path / "s", spacing=1).shape == SHAPE


@pytest.mark.parametrize("name", ["image.tif", "image.npy", "image.h5", "image.zarr"])
def test_an_image_is_a_volume_of_one_slice(tmp_path, name):
    make = {".tif": tiff, ".npy": npy, ".zarr": zarr_array, ".h5": lambda p, a: hdf5(p, {"entry/image": a})}
    source = make[Path(name).suffix](tmp_path / name, GREY[0])
    options = IngestOptions(dataset="entry/image") if name.endswith("h5") else None
    info = ingest_volume(source, tmp_path / "v.zarr", spacing=0.05, options=options)
    assert info.shape == (1, *SHAPE[1:])
    assert np.array_equal(open_volume(info.path).values[0], GREY[0])


# --- voxel types


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_types_are_kept(tmp_path, dtype):
    array = (GREY // 300).astype(dtype) / (7 if dtype == "float32" else 1)
    array = array.astype(dtype)
    info = ingest_volume(npy(tmp_path / "a.npy", array), tmp_path / "v.zarr", spacing=1)
    assert info.dtype == dtype
    assert np.array_equal(open_volume(info.path).values, array)
    assert "grey_shift" not in info.attributes


@pytest.mark.parametrize(
    ("dtype", "stored", "shift"),
    [("int8", "uint8", 128), ("int16", "uint16", 32768), ("float64", "float32", 0), ("float16", "float32", 0)],
)
def test_types_are_converted_without_loss(tmp_path, dtype, stored, shift):
    low, high = (-128, 127) if dtype == "int8" else (-30000, 30000)
    array = np.random.default_rng(0).integers(low, high, SHAPE).astype(dtype)
    density = {"density_scale": 2.0, "density_offset": 1.0}
    info = ingest_volume(npy(tmp_path / "a.npy", array), tmp_path / "v.zarr", spacing=1, attributes=density)
    found = open_volume(info.path).values
    assert found.dtype == stored
    assert np.array_equal(found.astype(float) - shift, array.astype(float))
    assert info.attributes.get("grey_shift", 0) == shift
    delta = found.astype(float) * info.attributes["density_scale"] + info.attributes["density_offset"]
    assert np.allclose(delta, array.astype(float) * 2.0 + 1.0), "the same density from the stored grey values"


@pytest.mark.parametrize("dtype", ["uint32", "int32", "int64", "bool", "complex64"])
def test_types_are_refused(tmp_path, dtype):
    with pytest.raises(ValueError, match=rf"holds {dtype} voxels; expected uint8, uint16 or float32"):
        probe(npy(tmp_path / "a.npy", np.ones(SHAPE, dtype)), spacing=1)


def test_target_types():
    assert target_dtype("x", ">u2") == (np.dtype("uint16"), 0)
    assert target_dtype("x", "int16") == (np.dtype("uint16"), 32768)


# --- voxel sizes


def test_spacing_of_tiff(tmp_path):
    cases = {
        "imagej": ({"imagej": True, "resolution": (20, 20), "metadata": {"spacing": 0.1, "unit": "um", "axes": "ZYX"}},
                   (0.1, 0.05, 0.05)),
        "imagej, nanometers": ({"imagej": True, "resolution": (0.02, 0.04), "metadata": {"spacing": 70, "unit": "nm",
                                "axes": "ZYX"}}, (0.07, 0.025, 0.05)),
        "imagej, no unit": ({"imagej": True, "resolution": (20, 20)}, None),
        "ome": ({"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 50.0, "PhysicalSizeXUnit": "nm",
                 "PhysicalSizeY": 0.05, "PhysicalSizeZ": 0.2}}, (0.2, 0.05, 0.05)),
        "centimeters": ({"resolution": (2e5, 2e5), "resolutionunit": "CENTIMETER"}, (0.05, 0.05, 0.05)),
        "printer, inch": ({"resolution": (300, 300), "resolutionunit": "INCH"}, None),
        "printer, centimeters": ({"resolution": (118, 118), "resolutionunit": "CENTIMETER"}, None),
        "not square": ({"resolution": (2e5, 1e5), "resolutionunit": "CENTIMETER"}, None),
    }  # fmt: skip
    for name, (options, expected) in cases.items():
        found = probe(tiff(tmp_path / f"{name}.tif", **options), need_spacing=False).spacing
        assert found == (pytest.approx(expected) if expected else None), name


def test_spacing_of_hdf5(tmp_path):
    path = hdf5(tmp_path / "a.h5", {"v": GREY})
    for attributes, expected in (
        ({"element_size_um": [0.3, 0.2, 0.1]}, (0.3, 0.2, 0.1)),
        ({"voxel_size": 50.0, "units": "nm"}, (0.05, 0.05, 0.05)),
        ({"pixel_size_mm": [0.01, 0.02, 0.02]}, (10.0, 20.0, 20.0)),
        ({"spacing": [1.0, 1.0, 1.0]}, None),
        ({"note": "spacing unknown"}, None),
    ):
        with h5py.File(path, "a") as file:
            for key in list(file["v"].attrs):
                del file["v"].attrs[key]
            file["v"].attrs.update(attributes)
        found = probe(path, need_spacing=False).spacing
        assert found == (pytest.approx(expected) if expected else None), attributes


def nexus(path, step=0.05, units="um"):
    """A NeXus file with defaults, axes, a second volume and a link to the first."""
    with h5py.File(path, "w") as file:
        data = file.create_group("entry/reconstruction")
        file.attrs["default"] = "entry"
        file["entry"].attrs["default"] = "reconstruction"
        data.attrs["signal"] = "values"
        data.attrs["axes"] = ["z", "y", "x"]
        data["values"] = GREY
        for axis, n, factor in zip("zyx", SHAPE, (2, 1, 1), strict=True):
            data[axis] = np.arange(n) * step * factor
            data[axis].attrs["units"] = units
        file["entry/flats"] = GREY[:, ::2]
        file["entry/link"] = h5py.SoftLink("/entry/reconstruction/values")
    return path


def test_nexus_tells_its_volume_and_spacing(tmp_path):
    info = ingest_volume(nexus(tmp_path / "a.nxs"), tmp_path / "v.zarr")
    assert info.spacing == pytest.approx((0.1, 0.05, 0.05))
    assert np.array_equal(open_volume(info.path).values, GREY)
    assert info.attributes["source"]["dataset"] == "/entry/reconstruction/values"
    found = probe(tmp_path / "a.nxs", spacing=1, options=IngestOptions(dataset="entry/flats"))
    assert found.shape == (6, 35, 85)
    assert probe(nexus(tmp_path / "b.nxs", units="furlong"), need_spacing=False).spacing is None


def test_spacing_of_ome_zarr(tmp_path):
    for i, version in enumerate(("0.4", "0.5")):
        found = probe(ome(tmp_path / f"{i}.zarr", version))
        assert found.spacing == pytest.approx((0.2, 0.1, 0.1))
        assert found.kind == f"OME-Zarr {version}"
    assert probe(ome(tmp_path / "no.zarr", "0.5", unit="parsec"), need_spacing=False).spacing is None


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [(5, "µm", 5), ("2", "Microns", 2), (50, "nm", 0.05), (1, "\\u00B5m", 1), (3, b"mm", 3000), (1, "Meter", 1e6),
     (2, "M", 2e6), (1, None, None), (1, "pixel", None), (0, "um", None), (-1, "um", None), ("x", "um", None),
     (float("nan"), "um", None), (float("inf"), "um", None)],
)  # fmt: skip
def test_units(value, unit, expected):
    assert sizes.micrometers(value, unit) == (pytest.approx(expected) if expected else None)


def test_the_spacing_given_wins_and_a_contradiction_is_told(tmp_path, caplog):
    path = tiff(tmp_path / "a.tif", resolution=(2e5, 2e5), resolutionunit="CENTIMETER")
    with caplog.at_level(logging.WARNING):
        assert ingest_volume(path, tmp_path / "v.zarr", spacing=(0.1, 0.1, 0.1)).spacing == (0.1, 0.1, 0.1)
    assert "taking (0.1, 0.1, 0.1) as given" in caplog.text


@pytest.mark.parametrize("spacing", [0, -1.0, (1, 1), (1, 2, float("nan")), (0, 1, 1)])
def test_bad_spacing(tmp_path, spacing):
    with pytest.raises(ValueError, match="spacing is"):
        probe(npy(tmp_path / "a.npy"), spacing=spacing)


# --- what goes along


def test_a_tomostat_volume_keeps_what_it_knows(tmp_path):
    path = tmp_path / "phantom.zarr"
    known = {"density_scale": 1e-8, "density_offset": -2e-7, "phantom": {"seed": 4}}
    create_volume(path, shape=SHAPE, dtype="uint16", spacing=(0.2, 0.1, 0.1), attributes=known)
    write_box(path, (0, 0, 0), GREY)
    create_volume(path, shape=SHAPE, dtype="uint32", spacing=(0.2, 0.1, 0.1), label="truth_particles")
    info = ingest_volume(path, tmp_path / "v.zarr")
    assert info.spacing == (0.2, 0.1, 0.1)
    assert {key: info.attributes[key] for key in known} == known
    assert info.attributes["source"]["kind"] == "OME-Zarr 0.5"
    other = ingest_volume(path, tmp_path / "w.zarr", attributes={"density_scale": 5.0})
    assert other.attributes["density_scale"] == 5.0


def test_options_are_noted(tmp_path):
    options = IngestOptions(shape=SHAPE, dtype="<u2")
    info = ingest_volume(raw(tmp_path / "a.raw"), tmp_path / "v.zarr", spacing=1, options=options)
    assert info.attributes["ingest"] == {"dataset": None, "shape": list(SHAPE), "dtype": "<u2"}


# --- blocks


class Unread(Source):
    """Voxels that nobody reads."""

    def read(self, box):
        raise NotImplementedError


def test_blocks_are_whole_shards_and_bounded():
    for unit, dtype in (((1, 1, 1), "u1"), ((1, 2048, 2048), "u1"), ((1, 2048, 2048), "f4"), ((2048, 1, 2048), "f4"),
                        ((64, 64, 64), "u2"), ((1, 8, 2048), "u1")):  # fmt: skip
        source = Unread(path=Path(), kind="", shape=(2048, 2048, 2048), dtype=np.dtype(dtype), unit=unit)
        core = block_shape(source, (64, 256, 256))
        assert all(c % s == 0 for c, s in zip(core, (64, 256, 256), strict=True))
        assert np.prod(core, dtype=float) * source.dtype.itemsize <= BLOCK_BYTES
    assert core == (64, 256, 2048), "strips are decoded once"
    box = Unread(path=Path(), kind="", shape=(512, 512, 512), dtype=np.dtype("u1"))
    assert block_shape(box, (64, 256, 256)) == (64, 256, 256), "no larger than needed"


def test_packed_strips_outside_a_box_are_not_decoded(tmp_path, monkeypatch):
    """Of a packed page, only what the rows touch is read from the file."""
    source = probe(tiff(tmp_path / "a.tif", compression="zlib", rowsperstrip=10), spacing=1)
    read = []
    real = tifffile.FileHandle.read
    monkeypatch.setattr(tifffile.FileHandle, "read", lambda self, *a: (read.append(a), real(self, *a))[1])
    with tifffile.TiffFile(source.path) as tif:
        sizes_of_strips = set(tif.pages.first.databytecounts) | {c for page in tif.pages for c in page.databytecounts}
    read.clear()
    assert np.array_equal(source.read((slice(2, 3), slice(20, 40), slice(0, 85))), GREY[2:3, 20:40])
    assert len([a for a in read if a and a[0] in sizes_of_strips]) == 2


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


# --- an interrupted run


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(volume, "CHUNK", (2, 16, 16))
    monkeypatch.setattr(volume, "SHARD", (2, 32, 32))


def fail_at(monkeypatch, number, error):
    real, calls = stream._copy_block, []

    def copy(*arguments):
        calls.append(1)
        if len(calls) == number:
            raise error
        return real(*arguments)

    monkeypatch.setattr(stream, "_copy_block", copy)
    return calls


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch, small_blocks):
    source, target, markers = npy(tmp_path / "a.npy"), tmp_path / "v.zarr", tmp_path / "markers"
    calls = fail_at(monkeypatch, 8, RuntimeError("power cut"))
    with dask.config.set(num_workers=1), pytest.raises(RuntimeError, match="power cut"):
        ingest_volume(source, target, spacing=1, markers=markers)
    assert not target.exists()
    info = ingest_volume(source, target, spacing=1, markers=markers)
    assert len(calls) == 8 + 27 - 7, "seven blocks of 27 stood"
    assert np.array_equal(open_volume(info.path).values, GREY)
    again = ingest_volume(source, target, spacing=1, markers=markers)
    assert len(calls) == 28, "a finished volume is not written again"
    assert again.attributes == info.attributes


def test_without_markers_nothing_is_left_and_the_old_volume_stands(tmp_path, monkeypatch, small_blocks):
    target = tmp_path / "v.zarr"
    ingest_volume(npy(tmp_path / "a.npy"), target, spacing=1)
    fail_at(monkeypatch, 3, RuntimeError("power cut"))
    with pytest.raises(RuntimeError, match="power cut"):
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
    ingest_volume(npy(tmp_path / "a.npy"), target, spacing=1, markers=markers)
    shutil.rmtree(markers)
    ingest_volume(npy(tmp_path / "b.npy", GREY[::-1]), target, spacing=1, markers=markers)
    assert np.array_equal(open_volume(target).values, GREY[::-1])


# --- bad input: one line that says what, where and what to do; nothing half-written


def refused(tmp_path, source, match, error=ValueError, **arguments):
    target = tmp_path / "out" / "v.zarr"
    with pytest.raises(error, match=match) as caught:
        ingest_volume(source, target, **{"spacing": 1.0, **arguments})
    assert "\n" not in str(caught.value)
    if error is not FileNotFoundError:
        assert Path(source).name in str(caught.value) or "v.zarr" in str(caught.value)
    assert not target.exists()
    assert not list(tmp_path.rglob("*.partial"))


def test_a_missing_file(tmp_path):
    refused(tmp_path, tmp_path / "none.tif", "no file or folder at .*none.tif", FileNotFoundError)


def test_no_spacing(tmp_path):
    refused(tmp_path, npy(tmp_path / "a.npy"), "tells no voxel size; give spacing", spacing=None)


@pytest.mark.parametrize("part", [0.05, 0.3, 0.7, 0.97])
@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"imagej": True}, {"metadata": None, "tile": (32, 32)}]
)
def test_a_truncated_tiff(tmp_path, part, options):
    content = tiff(tmp_path / "a.tif", **options).read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: int(len(content) * part)])
    refused(tmp_path, tmp_path / "a.tif", "truncated|damaged")


def test_a_truncated_slice(tmp_path):
    folder = slices(tmp_path / "s", compression="zlib")
    path = folder / "slice_7.tif"
    path.write_bytes(path.read_bytes()[:4000])
    refused(tmp_path, folder, "slice_7.tif.*(truncated|damaged)")


def test_a_tiff_with_damaged_voxels(tmp_path):
    source = tiff(tmp_path / "a.tif", compression="zlib")
    with tifffile.TiffFile(source) as tif:
        place = tif.pages[3].aspage().dataoffsets[0]
    content = bytearray(source.read_bytes())
    content[place : place + 40] = bytes(40)
    source.write_bytes(content)
    refused(tmp_path, source, "page 3 cannot be decoded")


def test_slices_that_differ(tmp_path):
    folder = slices(tmp_path / "s")
    tiff(folder / "slice_8.tif", GREY[0, :60])
    refused(tmp_path, folder, "slice_8.tif is 60 x 85 uint16 but slice_5.tif is 70 x 85 uint16")
    tiff(folder / "slice_8.tif", GREY[0].astype(np.uint8))
    refused(tmp_path, folder, "slice_8.tif is 70 x 85 uint8 but")
    tiff(folder / "slice_8.tif", GREY[:2])
    refused(tmp_path, folder, "slice_8.tif holds 2 pages")


def test_pages_that_differ(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for image in (GREY[0], GREY[1, :50]):
            writer.write(image, photometric="minisblack")
    refused(tmp_path, tmp_path / "a.tif", "50 x 85 uint16 and 70 x 85 uint16")


def test_a_folder_without_images(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a.txt").write_text("x")
    refused(tmp_path, tmp_path / "s", "holds no TIFF files")


def test_colours(tmp_path):
    rgb = np.zeros((64, 70, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb")
    refused(tmp_path, tmp_path / "a.tif", "colour image \\(RGB\\)")
    refused(tmp_path, npy(tmp_path / "a.npy", rgb), "colour image \\(RGB\\)")
    (tmp_path / "s").mkdir()
    for z in range(3):
        tifffile.imwrite(tmp_path / "s" / f"{z}.tif", rgb, photometric="rgb")
    refused(tmp_path, tmp_path / "s", "0.tif is a colour image")
    tiff(tmp_path / "c.tif", GREY[:3], imagej=True)
    refused(tmp_path, tmp_path / "c.tif", "colours or channels \\(C 3")
    group = zarr.open_group(ome(tmp_path / "a.zarr", "0.5", axes="tczyx"), mode="r+")
    group.create_array("s0", shape=(1, 2, *SHAPE), dtype="u2", overwrite=True)
    refused(tmp_path, tmp_path / "a.zarr", "one channel")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_numbers(tmp_path, value):
    array = GREY.astype(np.float32)
    array[4, 5, 6] = value
    refused(tmp_path, npy(tmp_path / "a.npy", array), "NaN or infinite voxels, first seen at z 4, y 5, x 6")


def test_doubles_beyond_float32(tmp_path):
    array = GREY.astype(np.float64)
    array[0, 0, 0] = 1e300
    refused(tmp_path, npy(tmp_path / "a.npy", array), "beyond the range of float32")


def test_a_constant_volume(tmp_path):
    refused(tmp_path, npy(tmp_path / "a.npy", np.full(SHAPE, 7, np.uint8)), "is constant, every voxel is 7")
    markers = tmp_path / "m"
    refused(tmp_path, tmp_path / "a.npy", "is constant", markers=markers)
    assert not markers.exists(), "there is nothing to go on with"


def test_hdf5_that_does_not_tell_its_volume(tmp_path):
    two = hdf5(tmp_path / "a.h5", {"raw": GREY, "deep/seg": GREY[:, :9]})
    refused(tmp_path, two, r"/deep/seg \(6 x 9 x 85\), /raw \(6 x 70 x 85\); expected exactly one")
    refused(tmp_path, two, "no dataset 'seg'", options=IngestOptions(dataset="seg"))
    refused(tmp_path, hdf5(tmp_path / "b.h5", {"angles": np.arange(9)}), "holds no 3D dataset")
    refused(tmp_path, hdf5(tmp_path / "c.h5", {"v": np.zeros((2, 3, 4, 5))}), "no 3D dataset")
    damaged = tmp_path / "d.h5"
    damaged.write_bytes(two.read_bytes()[:3000])
    refused(tmp_path, damaged, "d.h5 is no HDF5 file, or truncated")


def test_zarr_that_does_not_tell_its_volume(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    refused(tmp_path, tmp_path / "a.zarr", "holds no 3D array")
    for name in ("raw", "other"):
        group.create_array(name, shape=SHAPE, dtype="u2")[...] = GREY
    refused(tmp_path, tmp_path / "a.zarr", r"other \(6 x 70 x 85\).*expected exactly one")
    refused(tmp_path, tmp_path / "a.zarr", "no dataset 'seg'", options=IngestOptions(dataset="seg"))
    assert probe(tmp_path / "a.zarr", spacing=1, options=IngestOptions(dataset="raw")).shape == SHAPE
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "zarr.json").write_text("{")
    refused(tmp_path, tmp_path / "b.zarr", "b.zarr is no zarr store, or it is damaged")


def test_raw_that_does_not_fit(tmp_path):
    path = raw(tmp_path / "a.raw")
    refused(tmp_path, path, "neither TIFF, HDF5, npy nor zarr; if it is raw")
    refused(tmp_path, path, "71400 bytes; shape 6 x 70 x 84", options=IngestOptions(shape=(6, 70, 84), dtype="u2"))
    refused(tmp_path, path, "dtype is 'grey'", options=IngestOptions(shape=SHAPE, dtype="grey"))
    options = IngestOptions(shape=SHAPE, dtype="u2")
    refused(tmp_path, npy(tmp_path / "a.npy"), "shape and dtype are for raw files", options=options)
    (tmp_path / "empty.raw").touch()
    refused(tmp_path, tmp_path / "empty.raw", "is empty", options=options)


def test_a_truncated_npy(tmp_path):
    path = npy(tmp_path / "a.npy")
    path.write_bytes(path.read_bytes()[:5000])
    refused(tmp_path, path, "no npy file, or truncated")
    np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
    refused(tmp_path, path, "no npy file")


def test_shapes_that_are_no_volume():
    with pytest.raises(ValueError, match="x has shape 5"):
        volume_axes("x", (5,))
    with pytest.raises(ValueError, match="x has shape 0 x 5 x 5"):
        volume_axes("x", (0, 5, 5))
    with pytest.raises(ValueError, match="one channel and one point in time"):
        volume_axes("x", (2, 5, 5, 5))
    assert volume_axes("x", (1, 1, 5, 6, 7)) == (2, 3, 4)
    assert volume_axes("x", (9, 9, 3)) == (0, 1, 2), "too small to be a colour image"


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
    refused(tmp_path, source, "0.00 GiB free; v.zarr takes up to")


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
    fail_at(monkeypatch, 3, OSError(number, "disk"))
    refused(tmp_path, npy(tmp_path / "a.npy"), match, markers=tmp_path / "m")


def test_a_worker_that_is_too_small(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "memory_per_task", lambda client: 1000)
    with pytest.raises(ValueError, match="ingest: one block needs about"):
        ingest_volume(npy(tmp_path / "a.npy"), tmp_path / "v.zarr", spacing=1)


# --- real files


def test_real_stack(data, tmp_path):
    info = ingest_volume(data / "nmc_phases.tif", tmp_path / "v.zarr", spacing=0.3)
    assert info.shape == (251, 301, 301)
    assert np.array_equal(open_volume(info.path).values, tifffile.imread(data / "nmc_phases.tif"))


def test_real_slice_and_a_colour_image(data, tmp_path):
    info = ingest_volume(data / "nmc_fullres.tif", tmp_path / "v.zarr", spacing=0.05)
    assert info.shape == (1, 655, 1024)
    with pytest.raises(ValueError, match="colour image"):
        probe(data / "sand_ct_truth.tif", spacing=1)
