"""Apply edits to a stitched volume and repaint what changes, without detecting or linking again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import dask
import numpy as np
import pandas as pd
from dask.delayed import Delayed
from numpy.typing import NDArray

from tomostat.blocks import Block
from tomostat.execution import Execution
from tomostat.stitch.agreement import read_agreement
from tomostat.stitch.edits import Edit, check_edits
from tomostat.stitch.graph import MergeGraph, open_graph
from tomostat.stitch.kernels.link import widest_gap
from tomostat.stitch.particles import decide, paint, plan_of_run
from tomostat.stitch.plan import StitchPlan
from tomostat.stitch.tasks import boxes_of_particles, update_masks

PENDING = "edit-pending"
"""File that exists while edits are applied: where a killed run left it, the next one repaints everything."""


def edit_particles(
    path: str | Path,
    folder: str | Path,
    graph: str | Path,
    edits: Iterable[Edit],
    *,
    execution: Execution | None = None,
) -> MergeGraph:
    """Correct the particles of a finished `stitch_particles` run.

    Particles that no edit concerns keep their labels and their voxels. The part that a cut separates gets a new label
    after all others; joined particles get the smaller of their labels.

    Parameters
    ----------
    path, folder, graph
        As given to `stitch_particles`.
    edits
        All corrections; they replace earlier ones, so that an empty list undoes them.
    execution
        Where tasks run, the listener to their events, and markers of finished ones; threads of this process when not
        given.

    Returns
    -------
    MergeGraph
        The corrected graph.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no finished run, an edit names an unknown track, or edits contradict each other. Nothing has been
        written then.
    """
    edits = tuple(edits)
    plan = plan_of_run(path, Path(folder), Path(graph))
    z = plan.of_view("z")
    tracks = open_graph(z.graph).tracks
    check_edits(edits, len(tracks))
    agreed = read_agreement(plan.graph)
    pending = plan.graph / PENDING
    everything = pending.exists()
    pending.touch()
    execution = (execution or Execution()).for_stage("stitch")
    try:
        execution.run_here("merge graph", dask.delayed(decide)(plan, edits))
    except ValueError:  # edits contradict each other by way of other tracks: nothing was written
        if not everything:
            pending.unlink()
        raise
    slabs = z.slabs if everything else _slabs_to_mask(z, tracks, open_graph(z.graph).tracks)
    update = dask.delayed(update_masks, pure=False)
    boxes = list(execution.run("masks", {z.key(slab): update(z, slab) for slab in slabs}).values())
    if len(agreed) and not everything:
        boxes += execution.run("boxes of views", _tasks_of_changed(plan, agreed, read_agreement(plan.graph))).values()
    changed = np.array([box for found in boxes for box in found], np.int64).reshape(-1, 6)
    blocks = plan.blocks if everything else [block for block in plan.blocks if _overlaps(block, changed)]
    paint(plan, blocks, execution)
    pending.unlink()
    return open_graph(graph)


def _tasks_of_changed(plan: StitchPlan, before: pd.DataFrame, after: pd.DataFrame) -> dict[str, Delayed]:
    """Tasks that find the masks whose particle, by what the views agree on, is another after corrections."""
    changed = pd.concat([before, after]).drop_duplicates(keep=False)
    find = dask.delayed(boxes_of_particles, pure=False)
    tasks = {}
    for name in plan.views:
        own, seen = plan.of_view(name), sorted(set(changed["seen"][changed["view"] == name].tolist()))
        tasks.update({f"{name}-{plan.key(slab)}": find(own, name, slab, seen) for slab in own.slabs if seen})
    return tasks


def _slabs_to_mask(plan: StitchPlan, before: pd.DataFrame, after: pd.DataFrame) -> list[range]:
    """Blocks of slices near tracks whose particle has changed."""
    tracks = after[after["particle"] != before["particle"]]
    reach = widest_gap(plan.options) + 1
    starts, stops = tracks.first_slice.to_numpy() - reach, tracks.last_slice.to_numpy() + reach
    return [slab for slab in plan.slabs if np.any((starts < slab.stop) & (stops >= slab.start))]


def _overlaps(block: Block, boxes: NDArray[np.int64]) -> bool:
    """Whether a changed mask overlaps a block or its halo."""
    start, stop = ([getattr(part, end) for part in block.outer] for end in ("start", "stop"))
    return bool(((boxes[:, :3] < stop) & (boxes[:, 3:] > start)).all(1).any())
