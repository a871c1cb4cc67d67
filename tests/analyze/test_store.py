"""Statistics on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr

from tables import study
from tomostat.analyze import AnalyzeOptions, analyze_particles, open_analysis, write_analysis

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
