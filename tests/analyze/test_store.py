"""Statistics on disk."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import xarray as xr

from tables import study
from tomostat.analyze import AnalyzeOptions, analyze_particles, open_analysis, write_analysis, write_tables

FEW = AnalyzeOptions(resamples=100)


def test_stored_results_read_back(tmp_path: Path) -> None:
    results = analyze_particles(study(1, particles=10), options=FEW)
    write_analysis(tmp_path / "analysis.zarr", results)
    write_analysis(tmp_path / "analysis.zarr", results)
    xr.testing.assert_identical(open_analysis(tmp_path / "analysis.zarr"), results)
    assert [path.name for path in tmp_path.iterdir()] == ["analysis.zarr"]
    empty = analyze_particles(study().isel(particle=slice(0, 0)), options=FEW)
    write_analysis(tmp_path / "empty.zarr", empty)
    xr.testing.assert_identical(open_analysis(tmp_path / "empty.zarr"), empty)
    with pytest.raises(FileNotFoundError, match="tomostat analyze"):
        open_analysis(tmp_path / "none.zarr")


def test_results_as_text(tmp_path: Path) -> None:
    results = analyze_particles(study(1, particles=10), options=FEW)
    for _ in range(2):
        write_tables(tmp_path / "statistics", results)
    names = {path.name for path in (tmp_path / "statistics").iterdir()}
    plain = {str(name) for name in results.data_vars if not str(name).endswith("_interval")}
    assert names == {f"{name}.csv" for name in plain} | {"findings.txt", "limitations.txt"}
    table = pd.read_csv(tmp_path / "statistics" / "difference.csv", index_col=["pair", "size", "statistic"])
    row = table.loc[("1C - 0.1C", "all", "mean")]
    where = {"pair": "1C - 0.1C", "size": "all", "statistic": "mean"}
    assert row["difference"] == pytest.approx(results["difference"].sel(where).item())
    assert row[["lower", "upper"]].tolist() == pytest.approx(results["difference_interval"].sel(where).values)
    assert pd.read_csv(tmp_path / "statistics" / "size_split.csv")["size_split"].tolist() == [11]
    assert (tmp_path / "statistics" / "findings.txt").read_text().splitlines() == results.attrs["findings"]
