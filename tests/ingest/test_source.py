"""Axes and voxel types: which are a volume, which are converted, which are refused."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr

from sources import GREY, SHAPE, assert_refused, npy, ome, tiff
from tomostat.ingest import ingest_volume, probe
from tomostat.ingest.conversion import Conversion, find_conversion
from tomostat.volume import open_volume


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
    assert find_conversion("x", ">u2") == Conversion(np.dtype("uint16"), 1, 0)
    assert find_conversion("x", "int16") == Conversion(np.dtype("uint16"), 1, 32768)


def test_colours(tmp_path):
    rgb = np.zeros((64, 70, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb")
    assert_refused(tmp_path, tmp_path / "a.tif", "colour image \\(RGB\\)")
    assert_refused(tmp_path, npy(tmp_path / "a.npy", rgb), "colour image \\(RGB\\)")
    (tmp_path / "s").mkdir()
    for z in range(3):
        tifffile.imwrite(tmp_path / "s" / f"{z}.tif", rgb, photometric="rgb")
    assert_refused(tmp_path, tmp_path / "s", "0.tif holds colours")
    tiff(tmp_path / "c.tif", GREY[:3], imagej=True)
    assert_refused(tmp_path, tmp_path / "c.tif", "colours or channels \\(channel 3")
    group = zarr.open_group(ome(tmp_path / "a.zarr", "0.5", axes="tczyx"), mode="r+")
    group.create_array("s0", shape=(1, 2, *SHAPE), dtype="u2", overwrite=True)
    assert_refused(tmp_path, tmp_path / "a.zarr", "holds colours or channels \\(channel 2")
