"""Results on disk."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from tomostat.datasets import open_dataset, write_dataset


def write_analysis(path: str | Path, results: xr.Dataset) -> None:
    """Write the dataset of `analyze_particles` as zarr, whole or not at all; an older one is replaced.

    Parameters
    ----------
    path
        The zarr folder to write, ``analysis.zarr``.
    results
        From `analyze_particles`.
    """
    write_dataset(path, results)


def open_analysis(path: str | Path) -> xr.Dataset:
    """Read what `write_analysis` wrote, into memory.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is nothing at the path, or something else.
    """
    return open_dataset(path, "analysis", "tomostat analyze")
