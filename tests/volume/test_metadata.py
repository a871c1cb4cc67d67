"""Metadata of volumes: valid OME-Zarr, attributes, and what is refused."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import xarray as xr
import zarr
from ome_zarr_models import open_ome_zarr
from ome_zarr_models.v05 import Image, ImageLabel, Labels

from tomostat.volume import (
    create_volume,
    describe,
    remove_map,
    update_attributes,
    write_shading,
)
from volumes import ODD_SHAPES, noise


@pytest.mark.parametrize("shape", ODD_SHAPES)
def test_metadata_are_valid_ome_zarr(filled, shape):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = filled(noise(shape, "uint8"))
        create_volume(path, shape=shape, dtype="uint32", spacing=(1.0, 0.5, 0.25), label="particles")
        create_volume(path, shape=shape, dtype="uint8", spacing=(1.0, 0.5, 0.25), label="phases")
        image = open_ome_zarr(zarr.open_group(path, mode="r"))
        assert isinstance(image, Image)
        assert isinstance(open_ome_zarr(zarr.open_group(path, path="labels", mode="r")), Labels)
        assert isinstance(open_ome_zarr(zarr.open_group(path, path="labels/phases", mode="r")), ImageLabel)
    scales = image.attributes.ome.multiscales[0]
    assert [axis.unit for axis in scales.axes] == ["micrometer"] * 3
    assert image.ome_attributes.multiscales[0].datasets[0].coordinateTransformations[0].scale == [1.0, 0.5, 0.25]


def test_maps_are_listed_beside_the_grey_image(filled):
    """OME-Zarr lets a group hold several images: viewers show the first, and find the others by name."""
    path = filled(noise((3, 40, 80)))
    before = describe(path)
    for name in ("resistance", "contact"):
        create_volume(path, shape=(3, 40, 80), dtype="float32", spacing=(1.0, 0.5, 0.25), label=f"maps/{name}")
    image = open_ome_zarr(zarr.open_group(path, mode="r"))
    assert [scales.name for scales in image.ome_attributes.multiscales] == ["grey", "contact", "resistance"]
    paths = [dataset.path for dataset in image.ome_attributes.multiscales[1].datasets]
    assert paths == ["maps/contact/0", "maps/contact/1"]
    assert all((path / one / "zarr.json").is_file() for one in paths)
    assert describe(path) == before
    remove_map(path, "maps/contact")
    image = open_ome_zarr(zarr.open_group(path, mode="r"))
    assert [scales.name for scales in image.ome_attributes.multiscales] == ["grey", "resistance"]


def test_xarray_opens_the_finest_level(filled):
    """The levels of one group have the same dimensions of other lengths: the coarser ones are left out by name."""
    grey = noise((3, 40, 80))
    path = filled(grey)
    write_shading(path, np.zeros((1, 3, 4), np.float32))
    coarser = [str(level) for level in range(1, len(describe(path).levels))]
    found = xr.open_zarr(path, consolidated=False, drop_variables=coarser)
    assert found["0"].dims == ("z", "y", "x")
    np.testing.assert_array_equal(found["0"], grey)


def test_only_codecs_of_the_specification(filled):
    path = filled(noise((5, 40, 40)))
    metadata = json.loads((path / "0" / "zarr.json").read_text())
    [shards] = metadata["codecs"]
    assert shards["name"] == "sharding_indexed"
    assert [codec["name"] for codec in shards["configuration"]["codecs"]] == ["bytes", "blosc", "crc32c"]
    assert metadata["dimension_names"] == ["z", "y", "x"]


def test_attributes_are_added(filled):
    path = filled(noise((3, 4, 5)))
    update_attributes(path, {"density_scale": 1e-9})
    update_attributes(path, {"note": [1, 2]})
    assert describe(path).attributes == {"spacing": [1.0, 0.5, 0.25], "density_scale": 1e-9, "note": [1, 2]}


def test_what_is_no_volume_is_told(tmp_path, filled):
    with pytest.raises(FileNotFoundError, match="no volume at"):
        describe(tmp_path / "none.zarr")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="not an OME-Zarr volume"):
        describe(tmp_path / "empty")
    with pytest.raises(ValueError, match="labels 'phases'"):
        describe(filled(noise((2, 3, 4))), "phases")
    zarr.open_group(tmp_path / "plain.zarr", mode="w").create_array("a", shape=(2, 2), dtype="u1")
    with pytest.raises(ValueError, match="no OME-Zarr"):
        describe(tmp_path / "plain.zarr")


def test_grey_range_and_calibration_are_read_from_the_attributes(filled):
    path = filled(noise((3, 4, 5)))
    info = describe(path)
    assert (info.grey_range, info.calibration) == (None, None)
    update_attributes(path, {"range": [2, 9], "density_scale": 1e-8})
    info = describe(path)
    assert info.grey_range == (2.0, 9.0)
    assert (info.calibration.scale, info.calibration.offset) == (1e-8, 0.0)
    update_attributes(path, {"density_offset": -3e-7})
    assert describe(path).calibration.offset == -3e-7
