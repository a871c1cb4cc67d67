"""xarray datasets stored as zarr v3, written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from tomostat.files import atomic

CODECS = ({"name": "zstd", "configuration": {"level": 0, "checksum": False}}, {"name": "crc32c"})
"""Codecs of a chunk, as zarr names them: its own default, and a checksum that is compared whenever a chunk is read."""

ORDER = "variables"
"""Attribute that holds the names of the variables in order: a zarr folder lists its arrays in any order."""

FEWEST = 10
"""Particles of a group below which nothing is said of others: no curve, no interval of percentiles, no comparison."""

GUIDE = ("column", "units", "long_name", "definition", "missing")
"""Columns of `column_guide`; all but the first are attributes of a column in the table."""


def write_dataset(path: str | Path, dataset: xr.Dataset) -> None:
    """Write a dataset as zarr; an existing one is replaced once the new one is complete."""
    stored = _with_text(dataset, np.dtypes.StringDType()).assign_attrs(
        {ORDER: [str(name) for name in dataset.data_vars]}
    )
    encoding = {name: {"compressors": CODECS} for name in stored.variables}
    with atomic(path) as part:
        stored.to_zarr(part, mode="w", consolidated=False, zarr_format=3, encoding=encoding)


def open_dataset(path: str | Path, what: str, command: str) -> xr.Dataset:
    """Read a dataset written by `write_dataset` into memory.

    Parameters
    ----------
    path
        The zarr folder.
    what, command
        What the dataset is, and the command that makes it, for messages.

    Raises
    ------
    FileNotFoundError
        When `path` does not exist.
    ValueError
        When it is no dataset.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no {what} at {path}; run `{command}`")
    try:
        dataset: xr.Dataset = xr.open_zarr(path, chunks=None, consolidated=False).load()
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise ValueError(f"{path} holds no {what}: {error}") from None
    names = dataset.attrs.pop(ORDER, list(dataset.data_vars))
    return _with_text(dataset[[name for name in names if name in dataset]], np.dtype(str))


def open_particles(path: str | Path) -> xr.Dataset:
    """Open a particle table.

    Parameters
    ----------
    path
        ``particles.zarr``, or the output folder that holds it.

    Returns
    -------
    xarray.Dataset
        Dim `particle`; every variable has the attributes ``units`` and ``long_name``, and those of
        `tomostat.measure.measures.Measure`.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such table.
    """
    path = Path(path)
    table = path / "particles.zarr"
    return open_dataset(table if table.exists() else path, "particle table", "tomostat measure")


def flatten(particles: xr.Dataset) -> pd.DataFrame:
    """A particle table as a DataFrame with one column per number: ``centroid_z``, ``bbox_low_y``, ... ."""
    columns: dict[str, NDArray[Any]] = {}
    for name, heads in flat_names(particles).items():
        values = particles[name].to_numpy().reshape(particles.sizes["particle"], len(heads))
        columns.update(zip(heads, values.T, strict=True))
    return pd.DataFrame(columns)


def flat_names(particles: xr.Dataset) -> dict[str, list[str]]:
    """Columns of `flatten` by the variable that they are part of."""
    found: dict[str, list[str]] = {}
    for name, variable in particles.data_vars.items():
        if variable.dims[:1] != ("particle",):
            continue
        found[str(name)] = [str(name)]
        for dim in variable.dims[1:]:
            found[str(name)] = [f"{head}_{tail}" for head in found[str(name)] for tail in particles[dim].values]
    return found


def column_guide(particles: xr.Dataset) -> pd.DataFrame:
    """What the columns of `flatten` are, one row each.

    Returns
    -------
    pandas.DataFrame
        Text columns ``column``, ``units`` (UDUNITS), ``long_name``, ``definition`` and ``missing`` (when a particle has
        no value); empty where the table does not say.
    """
    rows = []
    for name, heads in flat_names(particles).items():
        described = [str(particles[name].attrs.get(key, "")) for key in GUIDE[1:]]
        rows += [[head, *described] for head in heads]
    return pd.DataFrame(rows, columns=list(GUIDE))


def counted_once(particles: xr.Dataset) -> xr.Dataset:
    """A particle table without particles that are counted in another, overlapping field, as statistics need it."""
    if "counted_elsewhere" not in particles:
        return particles
    return particles.isel(particle=np.flatnonzero(~particles["counted_elsewhere"].to_numpy().astype(bool)))


def shown_in(particles: xr.Dataset, place: str) -> list[str]:
    """Names of the columns whose attribute ``shown`` contains `place`, in their order.

    Parameters
    ----------
    particles
        Particle table.
    place
        ``report`` for the table of the report, ``statistics`` for medians and relations to the detachment.
    """
    return [str(name) for name, variable in particles.data_vars.items() if place in variable.attrs.get("shown", ())]


def _with_text(dataset: xr.Dataset, dtype: Any) -> xr.Dataset:
    """A dataset with its text in another dtype: zarr v3 stores strings of any length, numpy prefers fixed lengths."""
    plain = {
        name: (variable.dims, np.array(variable.to_numpy().tolist(), dtype=dtype), variable.attrs)
        for name, variable in dataset.variables.items()
        if variable.dtype.kind in "UTO"
    }
    coords = {name: plain.pop(name) for name in list(plain) if name in dataset.coords}
    return dataset.assign(plain).assign_coords(coords)
