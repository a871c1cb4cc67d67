"""Digests of a study's results: labels, tables and statistics, for any names of files and any order of columns.

    python -m benchmarks.digests RESULTS [RESULTS ...]

prints one line per label image, column and statistic. Two versions of tomostat with equal results print equal lines;
`diff` shows which differ.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
import zarr


def digest(values: np.ndarray) -> str:
    """Short hash of values and shape; text by its characters."""
    plain = np.asarray(values)
    if plain.dtype.kind in "OUT":
        content = "\0".join(map(str, plain.ravel().tolist())).encode()
    else:
        content = np.ascontiguousarray(plain).tobytes()
    return hashlib.sha256(str(plain.shape).encode() + content).hexdigest()[:16]


def of_labels(root: Path) -> dict[str, str]:
    """Label images at full resolution, and maps."""
    found = {}
    for store in sorted((root / "fields").glob("*.zarr")):
        for image in [*sorted(store.glob("labels/*/0")), *sorted(store.glob("maps/*/0"))]:
            name = f"{store.stem}/{image.parent.relative_to(store)}"
            found[name] = digest(zarr.open_array(str(image), mode="r")[...])
    return found


def of_table(root: Path) -> dict[str, str]:
    """Columns of the particle table and of the contacts."""
    found = {}
    for name in ("particles", "contacts"):
        table = pd.read_parquet(root / f"{name}.parquet")
        found |= {f"{name}/{column}": digest(table[column].to_numpy()) for column in sorted(table.columns)}
    return found


def of_analysis(root: Path) -> dict[str, str]:
    """Statistics, along every dimension in the order of its coordinates."""
    results = xr.open_zarr(root / "analysis.zarr", consolidated=False).load()
    for dim in results.dims:
        if dim in results.coords and results[dim].dtype.kind in "OUT":
            results = results.sortby(dim)
    return {f"analysis/{name}": digest(results[name].to_numpy()) for name in sorted(map(str, results.data_vars))}


def main(folders: list[str]) -> None:
    """Print the digests of output folders."""
    for folder in folders:
        root = Path(folder)
        for name, value in {**of_labels(root), **of_table(root), **of_analysis(root)}.items():
            print(f"{name} {value}")


if __name__ == "__main__":
    main(sys.argv[1:])
