"""xarray datasets on disk: whole or not at all, with text that zarr v3 and numpy both know."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr


def write_dataset(path: str | Path, dataset: xr.Dataset) -> None:
    """Write a dataset as zarr; what stood there is replaced once the new one is whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.part")
    if aside.exists():
        shutil.rmtree(aside)
    _with_text(dataset, np.dtypes.StringDType()).to_zarr(aside, mode="w", consolidated=False, zarr_format=3)
    if path.exists():
        shutil.rmtree(path)
    aside.rename(path)


def open_dataset(path: str | Path, what: str, command: str) -> xr.Dataset:
    """Read what `write_dataset` wrote, into memory.

    Parameters
    ----------
    path
        The zarr folder.
    what, command
        What it should hold and the command that makes it, for messages.

    Raises
    ------
    FileNotFoundError
        When there is nothing.
    ValueError
        When it is something else.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no {what} at {path}; run `{command}`")
    try:
        dataset: xr.Dataset = xr.open_zarr(path, consolidated=False).load()
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise ValueError(f"{path} holds no {what}: {error}") from None
    return _with_text(dataset, np.dtype(str))


def counted_once(particles: xr.Dataset) -> xr.Dataset:
    """Rows of a particle table without those that count in another, overlapping field: what statistics are of."""
    if "counted_elsewhere" not in particles:
        return particles
    return particles.isel(particle=np.flatnonzero(~particles["counted_elsewhere"].to_numpy().astype(bool)))


def _with_text(dataset: xr.Dataset, dtype: Any) -> xr.Dataset:
    """Text variables in another dtype: zarr v3 knows strings of any length, numpy is at home with fixed ones."""
    plain = {
        name: (variable.dims, np.array(variable.to_numpy().tolist(), dtype=dtype), variable.attrs)
        for name, variable in dataset.variables.items()
        if variable.dtype.kind in "UTO"
    }
    coords = {name: plain.pop(name) for name in list(plain) if name in dataset.coords}
    return dataset.assign(plain).assign_coords(coords)
