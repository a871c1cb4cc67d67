"""Results on disk."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from tomostat.datasets import open_dataset, write_dataset
from tomostat.files import atomic, write_text

SENTENCES = {"findings": "findings.txt", "notes": "limitations.txt"}
"""Files of the sentences, by attribute of the results."""
INTERVAL = "_interval"


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


def write_tables(folder: str | Path, results: xr.Dataset) -> None:
    """Write the dataset of `analyze_particles` as text, whole or not at all; an older folder is replaced.

    Parameters
    ----------
    folder
        The folder to write: a file VARIABLE.csv for every variable, with its coordinates, its value and, where it has
        an interval, ``lower`` and ``upper``; ``findings.txt`` and ``limitations.txt`` with a sentence a line.
    results
        From `analyze_particles`.
    """
    with atomic(folder) as part:
        part.mkdir()
        for name in map(str, results.data_vars):
            if not name.endswith(INTERVAL):
                columns = results[[name]].reset_coords(drop=True)
                if f"{name}{INTERVAL}" in results:
                    ends = results[f"{name}{INTERVAL}"].reset_coords(drop=True)
                    columns = columns.assign({str(end): ends.sel(bound=end, drop=True) for end in ends["bound"].values})
                table = columns.to_dataframe() if columns.sizes else columns.expand_dims(row=1).to_dataframe()
                table.to_csv(part / f"{name}.csv", index=bool(columns.sizes))
        for attribute, file in SENTENCES.items():
            write_text(part / file, "".join(f"{sentence}\n" for sentence in results.attrs[attribute]))
