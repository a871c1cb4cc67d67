"""Datasets on disk: what is written is read back; particle tables opened, flattened, and without duplicates."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import xarray as xr

from tables import particle_table, study
from tomostat.datasets import counted_once, flatten, open_dataset, open_particles, shown_in, write_dataset


@pytest.fixture
def dataset():
    """Variables of several types and sizes, not in alphabetical order, with text as values and as coordinate."""
    return xr.Dataset(
        {
            "volume": ("particle", np.array([1.5, np.nan, 3.0]), {"units": "micrometer^3"}),
            "field": ("particle", np.array(["a", "a long name", "µ"])),
            "area": ("particle", np.array([3, 1, 2], np.uint32)),
            "centroid": (("particle", "axis"), np.arange(9.0).reshape(3, 3), {"long_name": "centroid"}),
            "border": ("particle", np.array([True, False, True])),
        },
        coords={"axis": list("zyx")},
        attrs={"study": "s", "options": {"reach": [1, 2]}},
    )


def test_a_dataset_is_read_back(tmp_path, dataset):
    write_dataset(tmp_path / "a.zarr", dataset)
    found = open_dataset(tmp_path / "a.zarr", "table", "tomostat measure")
    shutil.rmtree(tmp_path / "a.zarr")  # all of it is in memory
    xr.testing.assert_identical(found, dataset)
    assert list(found.data_vars) == list(dataset.data_vars), "in the order in which they were written"
    for name, variable in dataset.variables.items():
        assert found[name].dtype.kind == variable.dtype.kind
    assert found["area"].dtype == np.uint32


def test_a_dataset_is_replaced(tmp_path, dataset):
    write_dataset(tmp_path / "a.zarr", dataset)
    write_dataset(tmp_path / "a.zarr", dataset[["volume"]].isel(particle=[0]))
    assert list(open_dataset(tmp_path / "a.zarr", "table", "x").data_vars) == ["volume"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_an_empty_dataset_is_read_back(tmp_path, dataset):
    write_dataset(tmp_path / "a.zarr", dataset.isel(particle=[]))
    found = open_dataset(tmp_path / "a.zarr", "table", "x")
    assert dict(found.sizes) == {"particle": 0, "axis": 3}
    assert list(found.data_vars) == list(dataset.data_vars)


def test_what_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no particle table at .*none\.zarr; run `tomostat measure`"):
        open_particles(tmp_path / "none.zarr")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="folder holds no analysis"):
        open_dataset(tmp_path / "folder", "analysis", "tomostat analyze")
    (tmp_path / "a.zarr").write_text("text")
    with pytest.raises(ValueError, match=r"a\.zarr holds no particle table"):
        open_particles(tmp_path / "a.zarr")


def test_particles_are_opened_from_the_output_folder_too(tmp_path):
    table = particle_table({"equivalent_diameter": np.array([3.0, 4.0])})
    write_dataset(tmp_path / "particles.zarr", table)
    for path in (tmp_path, str(tmp_path / "particles.zarr")):
        xr.testing.assert_identical(open_particles(path), table)


def test_flatten_has_one_column_per_number():
    centroid, box = np.arange(6.0).reshape(2, 3), np.arange(12).reshape(2, 3, 2)
    table = xr.Dataset(
        {
            "label": ("particle", np.array([4, 9], np.uint32)),
            "bbox": (("particle", "axis", "side"), box),
            "centroid": (("particle", "axis"), centroid),
            "reach": ("axis", np.ones(3)),  # not per particle
        },
        coords={"axis": list("zyx"), "side": ["low", "high"]},
    )
    frame = flatten(table)
    sides = [f"bbox_{axis}_{side}" for axis in "zyx" for side in ("low", "high")]
    assert list(frame.columns) == ["label", *sides, "centroid_z", "centroid_y", "centroid_x"]
    assert frame["label"].dtype == np.uint32
    np.testing.assert_array_equal(frame[sides].to_numpy(), box.reshape(2, 6))
    np.testing.assert_array_equal(frame["centroid_y"], centroid[:, 1])


def test_particles_of_overlapping_fields_count_once():
    table = study(fields=1, particles=6)
    assert counted_once(table) is table, "fields that do not overlap"
    elsewhere = np.arange(table.sizes["particle"]) % 3 == 0
    marked = table.assign(counted_elsewhere=("particle", elsewhere))
    xr.testing.assert_identical(counted_once(marked), marked.isel(particle=np.flatnonzero(~elsewhere)))


def test_columns_are_shown_where_the_table_says():
    table = xr.Dataset({
        "b": ("particle", [1.0], {"shown": ["report", "statistics"]}),
        "a": ("particle", [1.0], {"shown": ["report"]}),
        "c": ("particle", [1.0]),
    })  # fmt: skip
    assert shown_in(table, "report") == ["b", "a"]
    assert shown_in(table, "statistics") == ["b"]
