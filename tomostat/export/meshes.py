"""Surfaces of particles, one file each: what the formats of meshes share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from tomostat.blocks import box_between
from tomostat.datasets import column_guide, flatten, shown_in
from tomostat.export.format import Format, Plan, Results
from tomostat.measure.maps import MAPS
from tomostat.measure.shape.mesh import Mesh, particle_mesh
from tomostat.volume import describe, map_names, read_box

GROUP = 16
"""Particles of one piece of work."""

BYTES_PER_VOXEL = 60
"""Memory of a voxel in the box of a particle."""


@dataclass(frozen=True)
class Columns:
    """What the columns of a field's particles are.

    Attributes
    ----------
    units
        UDUNITS by the name of the column.
    prominent
        Names of those that the report shows.
    highest_resistance
        Largest local resistance of all particles; 1 where none is known.
    """

    units: Mapping[str, str]
    prominent: tuple[str, ...]
    highest_resistance: float

    @classmethod
    def of(cls, particles: xr.Dataset) -> Columns:
        """Of a particle table."""
        guide = column_guide(particles)
        known = [float(value) for value in particles.get("resistance_max", np.zeros(0)) if np.isfinite(value)]
        return cls(
            dict(zip(guide["column"], guide["units"], strict=True)),
            tuple(shown_in(particles, "report")),
            max(known, default=0.0) or 1.0,
        )


@dataclass(frozen=True)
class Surface:
    """The surface of a particle and what is known of the particle.

    Attributes
    ----------
    field, label
        Which particle.
    mesh
        Triangles with resistance and contact at their corners, where the field has maps of them.
    row
        The particle's numbers by column, NaN where they are missing.
    columns
        What the columns are.
    """

    field: str
    label: int
    mesh: Mesh
    row: Mapping[str, float]
    columns: Columns

    def comments(self) -> list[str]:
        """Lines of text on what the file holds."""
        meaning = [f"{name}: {MAPS[name][1]}" for name in self.mesh.values]
        return [f"particle {self.label} of field {self.field}", "x y z in micrometer", *meaning]


class MeshFormat(Format):
    """A format that holds one surface per file, ``FIELD-LABEL.SUFFIX``.

    Attributes
    ----------
    suffix
        Ending of the files' names.
    """

    chooses = True
    suffix: ClassVar[str]

    @abstractmethod
    def encode(self, surface: Surface) -> bytes:
        """The content of a file."""

    def plan(self, results: Results) -> Plan:
        """Groups of particles of every field."""
        pieces, largest = {}, 0
        for field in results.fields:
            particles = results.particles_of(field)
            _check_labels(field, particles, results.labels)
            columns, numbers = Columns.of(particles), flatten(particles).select_dtypes(["number", "bool"]).astype(float)
            box: Any = particles["bbox"].to_numpy()
            rows: Any = numbers.to_dict("records")
            largest = max([largest, *np.prod(box[:, 1] - box[:, 0] + 10, axis=1).tolist()])
            for first in range(0, len(rows), GROUP):
                some = slice(first, first + GROUP)
                write = partial(write_group, self, results.layout.volume(field), field, columns, rows[some], box[some])
                pieces[f"{field}-{first:06d}"] = write
        return Plan(pieces, memory=largest * BYTES_PER_VOXEL)

    def file(self, field: str, label: int) -> str:
        """Name of a file."""
        return f"{field}-{label}.{self.suffix}"


def _check_labels(field: str, particles: xr.Dataset, wanted: Sequence[int] | None) -> None:
    unknown = sorted(set(wanted or ()) - set(particles["label"].to_numpy().tolist()))
    if unknown:
        raise ValueError(f"field {field!r} has no particle {unknown[0]}")


def write_group(
    form: MeshFormat,
    path: Path,
    field: str,
    columns: Columns,
    rows: Sequence[Mapping[str, float]],
    boxes: np.ndarray[Any, Any],
    folder: Path,
) -> int:
    """Write the surfaces of some particles; returns how many.

    Parameters
    ----------
    form
        How they are encoded.
    path, field
        Volume and name of the field.
    columns, rows
        Columns of the particle table, and the row of every particle.
    boxes
        (n, 2, 3) first voxel and last voxel + 1 of every particle.
    folder
        Where the files go.
    """
    spacing, maps = describe(path, "particles").spacing, {name: f"maps/{name}" for name in MAPS}
    there = map_names(path)
    for row, corners in zip(rows, boxes, strict=True):
        box, label = box_between(*corners), int(row["label"])
        values = {name: read_box(path, box, image) for name, image in maps.items() if image in there}
        mesh = particle_mesh(read_box(path, box, "particles"), label, values, spacing, corners[0].tolist())
        (folder / form.file(field, label)).write_bytes(form.encode(Surface(field, label, mesh, row, columns)))
    return len(rows)
