"""The seam check: voxels that are not what the masks give, labels without a particle, particles cut flat at seams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dask
import numpy as np

from tomostat.blocks import Block
from tomostat.execution import Execution
from tomostat.instances import InstanceMetadata
from tomostat.kernels.tiles import tile_size, tile_starts
from tomostat.stitch.graph import open_graph
from tomostat.stitch.kernels.seams import flat_ends
from tomostat.stitch.painting import LABEL, block_labels
from tomostat.stitch.particles import check_tables, plan_of_run
from tomostat.stitch.plan import StitchPlan
from tomostat.views import View
from tomostat.volume import read_box

PLANES = 4
"""Planes on either side of a seam whose sections are compared."""

Found = tuple[str, int, int, int]
"""What a task returns for a problem: message, z, y, x."""


@dataclass(frozen=True)
class Problem:
    """A fault in the labels of a finished run.

    Attributes
    ----------
    what
        One line.
    place
        A voxel (z, y, x) at which it shows.
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
    """Check the labels of a finished run, mainly where blocks and tiles meet.

    Every block is computed again from the masks and compared with what is stored, which shows holes and blocks of
    another run. Every label must belong to a particle of the merge graph. No particle may end flat where blocks of
    detection or painting, or tiles of slices, meet.

    Parameters
    ----------
    path, folder, graph
        As given to `stitch_particles`.
    execution
        Where tasks run, the listener to their events, and markers of finished ones; threads of this process when not
        given.

    Returns
    -------
    list of Problem
        Empty when nothing is wrong.

    Raises
    ------
    FileNotFoundError, ValueError
        When the run is not finished, or its tables do not belong together.
    """
    plan = plan_of_run(path, Path(folder), Path(graph))
    seams = {f"{'zyx'[axis]}{at}": (axis, at) for axis, at in _seams_of_views(plan)}
    count = int(open_graph(graph).particles.index.to_numpy().max(initial=0))
    execution = (execution or Execution()).for_stage("check")
    check_block = dask.delayed(_check_block, pure=False)
    in_blocks = execution.run("blocks", {block.key: check_block(plan, block, count) for block in plan.blocks})
    check_seam = dask.delayed(_check_seam, pure=False)
    at_seams = execution.run("seams", {key: check_seam(plan, axis, at) for key, (axis, at) in seams.items()})
    found = [entry for entries in (*in_blocks.values(), *at_seams.values()) for entry in entries]
    return [Problem(what, (z, y, x)) for what, z, y, x in found]


def _seams_of_views(plan: StitchPlan) -> list[tuple[int, int]]:
    """Axis of the volume and plane across it, wherever blocks, tables or tiles of any view meet."""
    seams: set[tuple[int, int]] = set()
    for name in plan.views:
        own = plan.of_view(name)
        tables = check_tables(own.folder, own.shape)
        for turned, axis in enumerate(View(name).turned(range(3))):
            seams |= {(axis, at) for at in _seams(own, tables, turned)}
    return sorted(seams)


def _seams(plan: StitchPlan, tables: Sequence[InstanceMetadata], axis: int) -> list[int]:
    """Planes at which blocks of painting or tables of detection meet, or tiles of slices begin or end."""
    seams = set(range(plan.block[axis], plan.shape[axis], plan.block[axis]))
    if axis == 0:
        seams |= {table.slices.start for table in tables if table.slices is not None}
    else:
        options = tables[0].options
        tile, overlap = options.get("tile", 0), options.get("overlap", 0)
        if tile > overlap:
            size = tile_size(plan.shape[axis], tile, overlap)
            starts = tile_starts(plan.shape[axis], size, overlap)
            seams |= {*starts} | {start + size for start in starts}
    return sorted(at for at in seams if 0 < at < plan.shape[axis])


def _check_block(plan: StitchPlan, block: Block, count: int) -> list[Found]:
    """Problems inside one block."""
    stored = read_box(plan.path, block.core, LABEL)
    problems = []
    for wrong, what in (
        (stored > count, "label {} belongs to no particle of the merge graph"),
        (stored != block_labels(plan, block), "label {} is not what the masks give"),
    ):
        if wrong.any():
            first = np.argwhere(wrong)[0]
            z, y, x = (int(a + b) for a, b in zip(first, block.start, strict=True))
            problems.append((f"{what.format(stored[tuple(first)])} ({np.count_nonzero(wrong)} voxels)", z, y, x))
    return problems


def _check_seam(plan: StitchPlan, axis: int, at: int) -> list[Found]:
    """Particles that end flat at a plane."""
    low, high = max(at - PLANES, 0), min(at + PLANES, plan.shape[axis])
    box = tuple(slice(low, high) if a == axis else slice(0, n) for a, n in enumerate(plan.shape))
    planes = np.moveaxis(read_box(plan.path, box, LABEL), axis, 0)  # type: ignore[arg-type]
    problems = []
    for number, row, column in flat_ends(planes, at - low):
        voxel = [row, column]
        voxel.insert(axis, at)
        z, y, x = voxel
        problems.append((f"particle {number} is cut flat at {'zyx'[axis]} = {at}", z, y, x))
    return problems
