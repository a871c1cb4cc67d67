"""The seam check: holes between the stages, labels that no particle owns, particles cut flat at seams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Block
from tomostat.execution import Execution
from tomostat.instances import read_metadata
from tomostat.stitch.graph import open_graph
from tomostat.stitch.options import StitchOptions
from tomostat.stitch.particles import check_tables, make_plan
from tomostat.stitch.tasks import LABEL, Plan, block_labels
from tomostat.volume import describe, read_box

LEAST_CUT = 60
"""Voxels of a particle's face below which a flat end is not told from a small one."""
FLAT = 0.6
"""Share of a particle's largest section near a seam that ends there, from which on it counts as cut."""
NEAR = 4
"""Planes on either side of a seam that are compared with it."""


@dataclass(frozen=True)
class Problem:
    """Something that a run should not leave.

    Attributes
    ----------
    what
        One line.
    place
        A voxel (z, y, x) where it can be seen.
    """

    what: str
    place: tuple[int, int, int]


def check_particles(
    path: str | Path,
    folder: str | Path,
    graph: str | Path,
    *,
    execution: Execution | None = None,
) -> list[Problem]:
    """Look for what goes wrong where blocks, tiles and stages meet.

    Every block is computed again from the masks and compared with what is stored (holes, blocks of another run), every
    label must belong to one particle of the graph, and no particle may end flat where blocks of detection, of painting
    or tiles of slices meet.

    Parameters
    ----------
    path, folder, graph
        As given to `stitch_particles`.
    execution
        Where to run, who is told, and where finished tasks are marked; threads of this process when not given.

    Returns
    -------
    list of Problem
        Empty when all is well.

    Raises
    ------
    FileNotFoundError, ValueError
        When the run is not finished, or its tables do not belong together.
    """
    made = describe(path, LABEL).attributes
    options = StitchOptions(**made["options"])
    plan = make_plan(describe(path), Path(folder), Path(graph), options, tuple(made["block"]))
    check_tables(plan.folder, plan.shape)
    count = int(open_graph(graph).tracks.particle.max() or 0)
    execution = (execution or Execution()).named("check")
    look = dask.delayed(_look_at_block, pure=False)
    found = execution.run("blocks", {block.key: look(plan, block, count) for block in plan.blocks})
    seams = {f"{'zyx'[axis]}{at}": (axis, at) for axis in range(3) for at in _seams(plan, axis)}
    cut = dask.delayed(_look_at_seam, pure=False)
    ends = execution.run("seams", {key: cut(plan, axis, at) for key, (axis, at) in seams.items()})
    rows = [row for rows in (*found.values(), *ends.values()) for row in rows]
    return [Problem(what, (z, y, x)) for what, z, y, x in rows]


def _seams(plan: Plan, axis: int) -> list[int]:
    """Planes at which blocks of painting, tables of detection or tiles of slices meet."""
    seams = set(range(plan.block[axis], plan.shape[axis], plan.block[axis]))
    about = [read_metadata(file) for file in sorted(plan.folder.glob("*.parquet"))]
    if axis == 0:
        seams |= {entry["slices"][0] for entry in about if "slices" in entry}
    else:
        options: dict[str, Any] = about[0].get("options", {}) if about else {}
        tile, overlap = options.get("tile", 0), options.get("overlap", 0)
        if tile > overlap:
            seams |= set(range(tile - overlap // 2, plan.shape[axis] - overlap // 2, tile - overlap))
    return sorted(at for at in seams if 0 < at < plan.shape[axis])


def _look_at_block(plan: Plan, block: Block, count: int) -> list[list[Any]]:
    """Problems inside one block, as rows [what, z, y, x]."""
    stored = read_box(plan.path, block.core, LABEL)
    problems = []
    for wrong, what in (
        (stored > count, "label {} belongs to no particle of the merge graph"),
        (stored != block_labels(plan, block), "label {} is not what the masks give"),
    ):
        if wrong.any():
            first = np.argwhere(wrong)[0]
            place = [int(a + b) for a, b in zip(first, block.start, strict=True)]
            problems.append([f"{what.format(stored[tuple(first)])} ({np.count_nonzero(wrong)} voxels)", *place])
    return problems


def _look_at_seam(plan: Plan, axis: int, at: int) -> list[list[Any]]:
    """Particles that end flat at a plane, as rows [what, z, y, x]."""
    low, high = max(at - NEAR, 0), min(at + NEAR, plan.shape[axis])
    box = tuple(slice(low, high) if a == axis else slice(0, n) for a, n in enumerate(plan.shape))
    planes = np.moveaxis(read_box(plan.path, box, LABEL), axis, 0)  # type: ignore[arg-type]
    problems = []
    for number, row, column in flat_ends(planes, at - low):
        place = [row, column]
        place.insert(axis, at)
        problems.append([f"particle {number} is cut flat at {'zyx'[axis]} = {at}", *place])
    return problems


def flat_ends(planes: NDArray[np.uint32], at: int) -> Sequence[tuple[int, int, int]]:
    """Particles that stop, or start, with a large face between two planes of labels.

    A particle that ends by itself thins out; one that is cut ends with the section it has.

    Parameters
    ----------
    planes
        (n, rows, columns) labels of neighbouring planes.
    at
        The seam lies between the planes ``at - 1`` and ``at``.

    Returns
    -------
    sequence
        Particle, row and column of a voxel of its face.
    """
    found = []
    for last, beyond, side in ((planes[at - 1], planes[at], planes[:at]), (planes[at], planes[at - 1], planes[at:])):
        face = (last > 0) & (last != beyond)
        cut = np.bincount(last[face])
        if not cut.any():
            continue
        sections = np.stack([np.bincount(plane.ravel(), minlength=len(cut))[: len(cut)] for plane in side])
        flat = (cut >= LEAST_CUT) & (cut >= FLAT * sections.max(0)) & (len(side) > 1)
        for number in np.flatnonzero(flat):
            row, column = np.argwhere(face & (last == number))[0]
            found.append((int(number), int(row), int(column)))
    return found
