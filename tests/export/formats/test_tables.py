"""The particle table in other programs' formats: values, units, definitions."""

from __future__ import annotations

import numpy as np
import openpyxl
import pytest
import xarray as xr

from tomostat import export_study
from tomostat.datasets import column_guide, flatten, open_particles
from tomostat.export.formats import xlsx


@pytest.fixture(scope="module")
def particles(results):
    return open_particles(results.root)


def test_workbook(exported, particles, results):
    book = openpyxl.load_workbook(exported / "xlsx" / "particles.xlsx", read_only=True)
    assert book.sheetnames == ["particles", "columns", "contacts"]
    names, units, *rows = book["particles"].iter_rows(values_only=True)
    flat, guide = flatten(particles), column_guide(particles)
    assert list(names) == list(flat)
    assert dict(zip(names, units, strict=True))["volume"] == "micrometer^3"
    assert len(rows) == len(flat)
    for name, column in zip(names, zip(*rows, strict=True), strict=True):
        if flat[name].dtype == float:
            found = np.array([np.nan if value is None else float(value) for value in column])
            np.testing.assert_allclose(found, flat[name], rtol=1e-12, err_msg=name)
        else:
            assert list(column) == flat[name].tolist(), name
    told = list(book["columns"].iter_rows(values_only=True))
    assert told[0] == tuple(guide)
    assert [row[0] for row in told[1:]] == list(flat)
    assert all(row[3] for row in told[1:]), "every column is defined"
    assert list(next(book["contacts"].iter_rows(min_row=2, values_only=True))[3:]) == ["micrometer^2"]


def test_text_is_never_a_formula(tmp_path, particles):
    """A sample's name is what the user chose."""
    particles = particles.assign(sample=("particle", np.full(particles.sizes["particle"], "=1+1")))
    contacts = flatten(particles)[["field", "label"]].head(0)
    contacts[["b", "area"]] = 0
    xlsx.write_workbook(particles, contacts, tmp_path)
    sheet = openpyxl.load_workbook(tmp_path / "particles.xlsx")["particles"]
    column = list(flatten(particles)).index("sample") + 1
    assert (sheet.cell(3, column).value, sheet.cell(3, column).data_type) == ("=1+1", "s")


def test_more_rows_than_a_sheet_holds(study, results, tmp_path, monkeypatch):
    monkeypatch.setattr(xlsx, "ROWS", 10)
    with pytest.raises(ValueError, match=r"xlsx holds 8 rows but there are \d+ particles; netcdf has no such limit"):
        export_study(study, tmp_path / "to", ["xlsx"])


def test_netcdf(exported, particles):
    with xr.open_dataset(exported / "netcdf" / "particles.nc", engine="h5netcdf") as found:
        assert dict(found.sizes) == dict(particles.sizes)
        for name, variable in particles.variables.items():
            np.testing.assert_array_equal(found[name].to_numpy(), variable.to_numpy(), err_msg=str(name))
            assert found[name].dims == variable.dims
            for key in ("units", "long_name", "definition"):
                assert found[name].attrs.get(key) == variable.attrs.get(key)


def test_one_field_only(study, results, particles, tmp_path):
    export_study(study, tmp_path, ["netcdf"], field="fast-1")
    with xr.open_dataset(tmp_path / "netcdf" / "particles.nc", engine="h5netcdf") as found:
        assert set(found["field"].values) == {"fast-1"}
        assert found.sizes["particle"] == (particles["field"] == "fast-1").sum()
