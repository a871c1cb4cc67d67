"""The particle table: what is written is what is opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import xarray as xr
from numpy.typing import NDArray

from tomostat.datasets import flatten, open_particles
from tomostat.measure import (
    MeasureOptions,
    MeasureSet,
    all_columns,
    chosen_measures,
    concatenate_particles,
    write_particles,
)
from tomostat.measure.table import make_table


def random_columns(measures: MeasureSet, count: int) -> dict[str, NDArray]:
    """Values of the right dtype for every column."""
    rng = np.random.default_rng(0)
    random = {name: 9 * rng.random((count, *measure.shape)) for name, measure in measures.columns.items()}
    return {name: values.astype(measures.columns[name].dtype) for name, values in random.items()}


def table(name: str, count: int = 3) -> xr.Dataset:
    measures = chosen_measures(MeasureOptions())
    keys = {"label": np.arange(1, count + 1, dtype=np.uint32), "field": name, "sample": "s", "condition": "1C"}
    return make_table(measures, keys, random_columns(measures, count), {"plugins": []})


def test_written_and_opened(tmp_path: Path) -> None:
    """Values, order, dims and attributes of the columns, and the copies for spreadsheets."""
    written = concatenate_particles([table("a"), table("b")])
    write_particles(tmp_path / "particles.zarr", written, copies=True)
    found = open_particles(tmp_path)
    assert found.sizes["particle"] == 6
    assert list(found.data_vars) == list(written.data_vars) == list(all_columns(chosen_measures(MeasureOptions())))
    for name in written.data_vars:
        np.testing.assert_array_equal(found[name].to_numpy(), written[name].to_numpy(), err_msg=str(name))
        assert found[name].dims == written[name].dims
        assert found[name].attrs == written[name].attrs
    assert found.attrs == written.attrs
    flat = pd.read_csv(tmp_path / "particles.csv")
    assert flat["centroid_z"].tolist() == pytest.approx(found["centroid"].sel(axis="z").to_numpy().tolist())
    assert list(flat) == list(pd.read_parquet(tmp_path / "particles.parquet")) == list(flatten(found))
    assert not list(tmp_path.glob("*.part*"))


def test_copies_carry_units(tmp_path: Path) -> None:
    """Beside the CSV, and in the metadata of the Parquet file's fields."""
    write_particles(tmp_path / "particles.zarr", table("a"), copies=True)
    guide = pd.read_csv(tmp_path / "particles.columns.csv", keep_default_na=False).set_index("column")
    assert list(guide.index) == list(pd.read_csv(tmp_path / "particles.csv"))
    assert guide.loc["volume", "units"] == "micrometer^3"
    assert guide.loc["centroid_y", "units"] == "micrometer"
    assert "NaN" not in guide.loc["label", "missing"]
    for name, field in zip(guide.index, pq.read_schema(tmp_path / "particles.parquet"), strict=True):
        told = {key.decode(): text.decode() for key, text in (field.metadata or {}).items()}
        assert told == {key: text for key, text in guide.loc[name].items() if text}


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="tomostat measure"):
        open_particles(tmp_path / "particles.zarr")
