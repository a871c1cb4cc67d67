"""Meshes of particles as PLY files, from the labels and maps of a measured field."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dask
import numpy as np
import xarray as xr
from dask.delayed import Delayed
from numpy.typing import NDArray

from tomostat.blocks import box_between
from tomostat.execution import Execution
from tomostat.files import atomic
from tomostat.measure.maps import MAPS, check_maps
from tomostat.measure.shape.mesh import encode_ply, particle_mesh
from tomostat.volume import describe, read_box

GROUP = 16
"""Particles of one task."""

BYTES_PER_VOXEL = 60
"""Memory of a voxel in the box of a particle."""

Member = tuple[int, NDArray[np.int64]]
"""Label, and first and last voxel + 1 of the box, (2, 3)."""


def write_meshes(
    path: str | Path,
    particles: xr.Dataset,
    folder: str | Path,
    *,
    labels: Sequence[int] | None = None,
    execution: Execution | None = None,
) -> list[Path]:
    """Write the surfaces of particles as PLY files, for ParaView and Blender.

    A file holds one particle at its place in the field: vertices x, y, z in micrometers with the properties
    ``resistance`` and ``contact`` from the maps (NaN where the field cuts the particle, and where nothing is known),
    and triangles that face outwards.

    Parameters
    ----------
    path
        Field store with ``labels/particles`` and ``maps/``.
    particles
        Table of the field's particles, of which `label` and `bbox` are read.
    folder
        Where the files go, as ``FIELD-LABEL.ply``.
    labels
        Particles to write; all when not given.
    execution
        Where tasks run, who receives their events, and where their results are kept; threads of this process when not
        given.

    Returns
    -------
    list of Path
        The files, in the order of their labels.

    Raises
    ------
    FileNotFoundError, ValueError
        When the store or its maps are missing, or there is no such particle; nothing is written then.
    """
    path, folder = Path(path), Path(folder)
    check_maps(path)
    members = _members(path, particles, labels)
    folder.mkdir(parents=True, exist_ok=True)
    need = max((int(np.prod(box[1] - box[0] + 10)) for _, box in members), default=0) * BYTES_PER_VOXEL
    execution = (execution or Execution()).named("mesh")
    execution.run("particles", mesh_tasks(path, folder, members), need=need)
    return [_file(path, folder, label) for label, _ in members]


def _members(path: Path, particles: xr.Dataset, labels: Sequence[int] | None) -> list[Member]:
    """Boxes of the chosen particles, labels ascending."""
    boxes: dict[int, Any] = dict(zip(particles["label"].values.tolist(), particles["bbox"].values, strict=True))
    unknown = sorted(set(labels or ()) - set(boxes))
    if unknown:
        known = f"labels go from {min(boxes)} to {max(boxes)}" if boxes else "it has no particles"
        raise ValueError(f"field {path.stem!r} has no particle {unknown[0]}; {known}")
    return [(label, boxes[label]) for label in sorted(set(boxes if labels is None else labels))]


def mesh_tasks(path: Path, folder: Path, members: Sequence[Member]) -> dict[str, Delayed]:
    """One task per group of particles."""
    task = dask.delayed(_write_group, pure=False)
    return {f"{i:06d}": task(path, folder, members[i : i + GROUP]) for i in range(0, len(members), GROUP)}


def _write_group(path: Path, folder: Path, members: Sequence[Member]) -> int:
    """Write some meshes, each whole or not at all."""
    spacing = describe(path, "particles").spacing
    for label, corners in members:
        box = box_between(*corners)
        values = {name: read_box(path, box, f"maps/{name}") for name in MAPS}
        mesh = particle_mesh(read_box(path, box, "particles"), label, values, spacing, corners[0].tolist())
        meaning = [f"{name}: {text}" for name, (_, text) in MAPS.items()]
        comments = [f"particle {label} of field {path.stem}", "x y z in micrometer", *meaning]
        with atomic(_file(path, folder, label)) as part:
            part.write_bytes(encode_ply(mesh, comments))
    return len(members)


def _file(path: Path, folder: Path, label: int) -> Path:
    return folder / f"{path.stem}-{label}.ply"
