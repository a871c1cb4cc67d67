"""The particle tables of all fields in one: particles that are in several overlapping fields count once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tomostat.datasets import open_particles
from tomostat.kernels.arrays import Doubles
from tomostat.measure.contact_table import read_contacts, write_contacts
from tomostat.measure.sampling.overlap import duplicates
from tomostat.measure.sampling.window import Window, overlap, union_weights
from tomostat.measure.table import concatenate_particles, write_particles


def collect_particles(
    tables: Sequence[Path],
    contacts: Sequence[Path],
    particles: Path,
    joined_contacts: Path,
    *,
    offsets: Mapping[str, Sequence[float]],
) -> None:
    """Join the tables and the contacts of all fields.

    Parameters
    ----------
    tables, contacts
        What `measure_particles` made of each field.
    particles, joined_contacts
        Where the joined tables are written; the particle table as .csv and .parquet as well.
    offsets
        Place (z, y, x) in micrometers of a field's first voxel in its sample's frame, by the field's name.
    """
    opened = [open_particles(path) for path in tables]
    joined = concatenate_particles(weigh_overlapping_fields(flag_duplicates(opened, offsets), offsets))
    write_particles(particles, joined, copies=True)
    write_contacts(joined_contacts, [read_contacts(path) for path in contacts])


def flag_duplicates(tables: Sequence[xr.Dataset], offsets: Mapping[str, Sequence[float]]) -> list[xr.Dataset]:
    """Flag the particles that are in several overlapping fields of one sample, in all fields but one.

    Parameters
    ----------
    tables
        Particle tables, one per field.
    offsets
        Place (z, y, x) in micrometers of a field's first voxel in its sample's frame, by the field's name. Fields
        without overlap no other.

    Returns
    -------
    list of xarray.Dataset
        The tables with the column ``counted_elsewhere``; no row is dropped.
    """
    flags = [np.zeros(table.sizes["particle"], bool) for table in tables]
    for members in _by_sample(tables, offsets):
        chosen = [tables[index] for index in members]
        place = [table["centroid"].to_numpy() + _offset(table, offsets) for table in chosen]
        ends = np.cumsum([len(centres) for centres in place])[:-1]
        found = duplicates(
            np.repeat(np.arange(len(members)), [len(centres) for centres in place]),
            np.concatenate(place),
            np.concatenate([table["equivalent_diameter"].to_numpy() / 2 for table in chosen]),
            np.concatenate([table["touches_border"].to_numpy() for table in chosen]),
        )
        for index, flag in zip(members, np.split(found, ends), strict=True):
            flags[index] = flag
    return [_with_column(table, "counted_elsewhere", flag) for table, flag in zip(tables, flags, strict=True)]


def weigh_overlapping_fields(tables: Sequence[xr.Dataset], offsets: Mapping[str, Sequence[float]]) -> list[xr.Dataset]:
    """Weights of particles in overlapping fields, where they count once: those of the fields' union.

    Parameters
    ----------
    tables, offsets
        As in `flag_duplicates`; tables without the attribute `window` keep their weights.

    Returns
    -------
    list of xarray.Dataset
        The tables with the column ``border_weight`` made anew where a field overlaps another of its sample.
    """
    weighed = list(tables)
    for members in _by_sample(tables, offsets):
        known = [index for index in members if "window" in tables[index].attrs]
        windows = [Window(**tables[index].attrs["window"]) for index in known]
        places = np.array([_offset(tables[index], offsets) for index in known])
        for group in _overlapping(windows, places):
            for k in group:
                box = tables[known[k]]["bbox"].to_numpy()
                extent = (box[:, 1] - box[:, 0]) * windows[k].spacing
                weight = union_weights(extent, [windows[i] for i in group], places[group])
                weighed[known[k]] = _with_column(tables[known[k]], "border_weight", weight)
    return weighed


def _by_sample(tables: Sequence[xr.Dataset], offsets: Mapping[str, Sequence[float]]) -> list[list[int]]:
    """Numbers of the tables of each sample, of those that hold particles and whose place is known."""
    samples: dict[str, list[int]] = {}
    for index, table in enumerate(tables):
        if table.sizes["particle"] and str(table["field"].values[0]) in offsets:
            samples.setdefault(str(table["sample"].values[0]), []).append(index)
    return list(samples.values())


def _offset(table: xr.Dataset, offsets: Mapping[str, Sequence[float]]) -> Doubles:
    return np.asarray(offsets[str(table["field"].values[0])], np.float64)


def _overlapping(windows: Sequence[Window], places: Doubles) -> list[list[int]]:
    """Groups of two and more windows that overlap directly or through others."""
    n = len(windows)
    meet = [[overlap(windows[i], windows[j], places[[i, j]]) for j in range(n)] for i in range(n)]
    group = connected_components(coo_array(np.array(meet, bool).reshape(n, n)), directed=False)[1]
    groups = [np.flatnonzero(group == number).tolist() for number in np.unique(group)]
    return [members for members in groups if len(members) > 1]


def _with_column(table: xr.Dataset, name: str, values: NDArray[Any]) -> xr.Dataset:
    described = table[name].attrs if name in table else {}
    return table.assign({name: ("particle", values, described)})
