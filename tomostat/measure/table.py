"""The particle table: its columns with units and meaning, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xarray as xr
from numpy.typing import NDArray

from tomostat.datasets import GUIDE, column_guide, flatten, write_dataset
from tomostat.files import atomic
from tomostat.measure.measures import Measure, MeasureSet

KEYS = (
    Measure(
        name="label", dtype="u4", units="", long_name="particle number in its field", shown=("report",), digits=0,
        definition="Value of the particle's voxels in labels/particles; with field the key of a row.",
    ),
    Measure(
        name="field", dtype="U", units="", long_name="field of view", shown=("report",),
        definition="Name of the field in the study.",
    ),
    Measure(
        name="sample", dtype="U", units="", long_name="electrode piece", definition="Name of the sample in the study.",
    ),
    Measure(
        name="condition", dtype="U", units="", long_name="condition of the sample", shown=("report",),
        definition="Condition of the sample in the study.",
    ),
)  # fmt: skip
"""Columns for the origin of a particle, before those that are measured."""


def all_columns(measures: MeasureSet) -> dict[str, Measure]:
    """Every column of the table, in order. A field without particles has them too."""
    return {measure.name: measure for measure in KEYS} | measures.columns


def make_table(
    measures: MeasureSet,
    keys: Mapping[str, NDArray[Any] | str],
    columns: Mapping[str, NDArray[Any]],
    attributes: Mapping[str, Any],
) -> xr.Dataset:
    """The particle table of one field.

    Parameters
    ----------
    measures
        What is measured.
    keys
        Labels (n,) and names for the columns in `KEYS`.
    columns
        Arrays (n, ...) of all other columns.
    attributes
        Attributes of the table.
    """
    count = len(keys["label"])
    given = {name: np.full(count, value) if isinstance(value, str) else value for name, value in keys.items()}
    given |= columns
    known = all_columns(measures)
    variables = {
        name: (
            ("particle", *(axis.name for axis in measure.dims)),
            given[name].astype(measure.dtype),
            measure.attributes(),
        )
        for name, measure in known.items()
    }
    axes = {axis.name: list(axis.coordinates) for measure in known.values() for axis in measure.dims}
    return xr.Dataset(variables, coords=axes, attrs=dict(attributes))


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
        Write ``NAME.csv`` and ``NAME.parquet`` beside it as well, one column per number. ``NAME.columns.csv`` and the
        metadata of the fields in ``NAME.parquet`` hold unit and meaning of every column, see
        `tomostat.datasets.column_guide`.
    """
    path = Path(path)
    write_dataset(path, particles)
    if copies:
        flat, guide = flatten(particles), column_guide(particles)
        with atomic(path.with_suffix(".csv")) as part:
            flat.to_csv(part, index=False)
        with atomic(path.with_suffix(".columns.csv")) as part:
            guide.to_csv(part, index=False)
        with atomic(path.with_suffix(".parquet")) as part:
            pq.write_table(_with_guide(pa.Table.from_pandas(flat, preserve_index=False), guide), part)


def _with_guide(table: pa.Table, guide: pd.DataFrame) -> pa.Table:
    """A table whose fields carry their row of the guide as metadata."""
    described = [{key: row[key] for key in GUIDE[1:] if row[key]} for row in guide.to_dict("records")]
    fields = [field.with_metadata(metadata) for field, metadata in zip(table.schema, described, strict=True)]
    return table.cast(pa.schema(fields, table.schema.metadata))
