"""The particle table: its columns with units and meaning, and how it is written and opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from tomostat.datasets import open_dataset, write_dataset
from tomostat.measure.inside import PROFILE


@dataclass(frozen=True)
class Column:
    """One variable of the table.

    Attributes
    ----------
    dtype
        numpy dtype; "U" is text.
    units
        UDUNITS name; "1" has no unit, "" is no quantity.
    long_name
        What it is, for axes and people.
    dims
        Dimensions after `particle`.
    """

    dtype: str
    units: str
    long_name: str
    dims: tuple[str, ...] = ()


AXES: dict[str, list[Any]] = {
    "axis": ["z", "y", "x"],
    "side": ["low", "high"],
    "rank": ["long", "middle", "short"],
    "reach": [1, 2, 3],
    "shell": [(k + 0.5) / PROFILE for k in range(PROFILE)],
}
"""Dimensions beside `particle`, with their coordinates."""

COLUMNS: dict[str, Column] = {
    "label": Column("u4", "", "particle number in its field"),
    "field": Column("U", "", "field of view"),
    "sample": Column("U", "", "electrode piece"),
    "condition": Column("U", "", "what was done to the sample"),
    "voxel_count": Column("i8", "1", "voxels of the filled particle"),
    "volume": Column("f8", "micrometer^3", "volume of the filled particle"),
    "equivalent_diameter": Column("f8", "micrometer", "diameter of the ball of equal volume"),
    "centroid": Column("f8", "micrometer", "centre of gravity", ("axis",)),
    "bbox": Column("i8", "1", "box in voxels, half open", ("side", "axis")),
    "axis_length": Column("f8", "micrometer", "axes of the ellipsoid of equal second moments", ("rank",)),
    "elongation": Column("f8", "1", "long over short axis"),
    "orientation": Column("f8", "1", "unit vector along the long axis, z component not negative", ("axis",)),
    "surface_area": Column("f8", "micrometer^2", "outer surface inside the field"),
    "surface_area_crofton": Column("f8", "micrometer^2", "whole surface by Crofton's formula, a check"),
    "sphericity": Column("f8", "1", "surface of the ball of equal volume over the surface"),
    "roughness": Column("f8", "micrometer", "spread of the surface's height over its mean within 5 voxels"),
    "detachment": Column("f8", "1", "share of the outer surface without contact to carbon-binder"),
    "detachment_std": Column("f8", "1", "uncertainty of the detachment, one standard deviation"),
    "detachment_at": Column("f8", "1", "detachment at a contact tolerance of 1, 2 and 3 voxels", ("reach",)),
    "contact_cbd": Column("f8", "micrometer^2", "outer surface in contact with carbon-binder"),
    "contact_particle": Column("f8", "micrometer^2", "outer surface that touches another particle"),
    "contact_collector": Column("f8", "micrometer^2", "outer surface that touches the current collector"),
    "contact_border": Column("f8", "micrometer^2", "surface cut by the border of the field"),
    "fully_detached": Column("?", "", "no contact to carbon-binder at all"),
    "resistance_mean": Column("f8", "1", "detour to the nearest contact over equivalent radius, mean over the surface"),
    "resistance_max": Column("f8", "1", "detour to the nearest contact over equivalent radius, largest"),
    "resistance_std": Column(
        "f8", "1", "detour to the nearest contact over equivalent radius, spread over the surface"
    ),
    "detour_mean": Column("f8", "micrometer", "detour to the nearest contact, mean over the surface"),
    "detour_max": Column("f8", "micrometer", "detour to the nearest contact, largest"),
    "detour_std": Column("f8", "micrometer", "detour to the nearest contact, spread over the surface"),
    "resistance_detached_mean": Column("f8", "1", "detour over equivalent radius, mean over the detached surface"),
    "conduction_resistance": Column(
        "f8", "1", "resistance of the solid between whole surface and contacts, times conductivity and radius"
    ),
    "conduction_detached": Column(
        "f8", "1", "resistance of the solid between detached surface and contacts, times conductivity and radius"
    ),
    "conduction_unreached": Column("f8", "1", "share of the active material that no contact reaches"),
    "mean_grey": Column("f8", "1", "mean grey value of the active material"),
    "std_grey": Column("f8", "1", "spread of the grey value of the active material"),
    "relative_intensity": Column("f8", "1", "mean grey value over that of the field's median particle, above pore"),
    "inner_grey": Column("f8", "1", "mean grey value of the active material clear of all edges"),
    "grey_profile": Column("f8", "1", "grey value clear of all edges by relative depth, surface to core", ("shell",)),
    "electron_density": Column("f8", "angstrom^-3", "electron density of the active material clear of all edges"),
    "electron_density_std": Column("f8", "angstrom^-3", "spread of the electron density within the particle"),
    "electron_density_profile": Column("f8", "angstrom^-3", "electron density by relative depth", ("shell",)),
    "soc": Column("f8", "1", "state of charge: lithium taken out, from electron density"),
    "soc_std": Column("f8", "1", "uncertainty of the state of charge from the noise of the density"),
    "soc_flag": Column("u1", "", "state of charge: 1 near the turning point, 2 outside the curve, 3 both"),
    "crack_fraction": Column("f8", "1", "void inside the filled particle over its volume"),
    "fragments": Column("i8", "1", "pieces of active material of at least 1 % of the volume"),
    "crack_surface": Column("f8", "micrometer^2", "surface of cracks and pores inside the filled particle"),
    "depth": Column("f8", "micrometer", "place along the depth axis"),
    "touches_border": Column("?", "", "cut by the border of the field"),
    "border_weight": Column("f8", "1", "1 / probability that a particle of this size lies inside the field"),
    "neighbours": Column("i8", "1", "particles that it touches"),
    "nearest_distance": Column("f8", "micrometer", "distance to the centre of the nearest particle"),
    "gap": Column("f8", "micrometer", "shortest way to another particle, where it lies within the shell"),
    "packing": Column("f8", "1", "share of the shell around the particle that other particles fill"),
    "counted_elsewhere": Column("?", "", "the same particle counts in another field that overlaps this one"),
    "too_small": Column("?", "", "too few voxels for its surface to be measured"),
}
"""All columns. An empty field has them too."""


def make_table(columns: Mapping[str, NDArray[Any]], count: int, attributes: Mapping[str, Any]) -> xr.Dataset:
    """The particle table of one field.

    Parameters
    ----------
    columns
        Arrays (n, ...) by name; what is not given is NaN, 0, false or empty.
    count
        Number of particles n.
    attributes
        Noted with the table.

    Raises
    ------
    ValueError
        When a name is no column, or a shape is wrong.
    """
    unknown = sorted(set(columns) - set(COLUMNS))
    if unknown:
        raise ValueError(f"column {unknown[0]!r} is not known; known columns are {', '.join(COLUMNS)}")
    variables = {}
    for name, column in COLUMNS.items():
        shape = (count, *(len(AXES[dim]) for dim in column.dims))
        values = np.asarray(columns[name]) if name in columns else _nothing(shape, column.dtype)
        if values.shape != shape:
            raise ValueError(f"column {name!r} has shape {values.shape}; expected {shape}")
        described = {"units": column.units, "long_name": column.long_name}
        variables[name] = (("particle", *column.dims), values.astype(column.dtype), described)
    return xr.Dataset(variables, coords=AXES, attrs=dict(attributes))


def _nothing(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    return np.full(shape, np.nan) if dtype == "f8" else np.zeros(shape, dtype)


def concatenate_particles(tables: Sequence[xr.Dataset]) -> xr.Dataset:
    """Join the tables of several fields; a row's key is (field, label)."""
    joined: xr.Dataset = xr.concat(
        tables, dim="particle", data_vars="minimal", coords="minimal", compat="override", join="exact",
        combine_attrs="drop_conflicts",
    )  # fmt: skip
    return joined


def write_particles(path: str | Path, particles: xr.Dataset, *, copies: bool = False) -> None:
    """Write a particle table, whole or not at all.

    Parameters
    ----------
    path
        ``NAME.zarr``.
    particles
        The table.
    copies
        Write ``NAME.csv`` and ``NAME.parquet`` beside it as well, one column per number.
    """
    path = Path(path)
    write_dataset(path, particles)
    if copies:
        flat = flatten(particles)
        for ending, write in ((".csv", _write_csv), (".parquet", _write_parquet)):
            aside = path.with_suffix(f"{ending}.part")
            write(flat, aside)
            aside.replace(path.with_suffix(ending))


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False)


def _write_parquet(table: pd.DataFrame, path: Path) -> None:
    table.to_parquet(path, index=False)


def flatten(particles: xr.Dataset) -> pd.DataFrame:
    """The table with one column per number: ``centroid_z``, ``bbox_low_y``, ... ."""
    columns: dict[str, NDArray[Any]] = {}
    for name, variable in particles.data_vars.items():
        names, values = [str(name)], variable.to_numpy()[..., None]
        for dim in variable.dims[1:]:
            names = [f"{head}_{tail}" for head in names for tail in particles[dim].values]
        values = variable.to_numpy().reshape(particles.sizes["particle"], len(names))
        columns.update(zip(names, values.T, strict=True))
    return pd.DataFrame(columns)


def open_particles(path: str | Path) -> xr.Dataset:
    """Open a particle table.

    Parameters
    ----------
    path
        ``particles.zarr``, or the output folder that holds it.

    Returns
    -------
    xarray.Dataset
        Dim `particle`; every variable carries ``units`` and ``long_name``.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such table.
    """
    path = Path(path)
    inside = path / "particles.zarr"
    found = open_dataset(inside if inside.exists() else path, "particle table", "tomostat measure")
    return found[[name for name in COLUMNS if name in found]]  # a folder lists its arrays in any order
