"""Apply edits to a stitched volume and repaint what changes, without detecting or linking again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import dask
import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Block
from tomostat.execution import Execution
from tomostat.stitch.edits import Edit, check_edits
from tomostat.stitch.graph import MergeGraph, open_graph
from tomostat.stitch.kernels.link import widest_gap
from tomostat.stitch.particles import paint, plan_of_run
from tomostat.stitch.tasks import StitchPlan, build_graph, update_masks

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
    before = open_graph(graph)
    check_edits(edits, len(before.tracks))
    plan = plan_of_run(path, Path(folder), Path(graph))
    pending = plan.graph / PENDING
    everything = pending.exists()
    pending.touch()
    execution = (execution or Execution()).for_stage("stitch")
    try:
        execution.run_here("merge graph", dask.delayed(build_graph)(plan, edits))
    except ValueError:  # edits contradict each other by way of other tracks: nothing was written
        if not everything:
            pending.unlink()
        raise
    after = open_graph(graph)
    slabs = plan.slabs if everything else _slabs_to_mask(plan, before, after)
    update = dask.delayed(update_masks, pure=False)
    boxes = execution.run("masks", {plan.key(slab): update(plan, slab) for slab in slabs})
    changed = np.array([box for found in boxes.values() for box in found], np.int64).reshape(-1, 5)
    blocks = plan.blocks if everything else [block for block in plan.blocks if _overlaps(block, changed)]
    paint(plan, blocks, execution)
    pending.unlink()
    return after


def _slabs_to_mask(plan: StitchPlan, before: MergeGraph, after: MergeGraph) -> list[range]:
    """Blocks of slices near tracks whose particle has changed."""
    tracks = after.tracks[after.tracks.particle != before.tracks.particle]
    reach = widest_gap(plan.options) + 1
    starts, stops = tracks.first_slice.to_numpy() - reach, tracks.last_slice.to_numpy() + reach
    return [slab for slab in plan.slabs if np.any((starts < slab.stop) & (stops >= slab.start))]


def _overlaps(block: Block, boxes: NDArray[np.int64]) -> bool:
    """Whether a changed mask overlaps a block or its halo."""
    z, y, x = block.outer
    overlap = (boxes[:, 0] >= z.start) & (boxes[:, 0] < z.stop)
    overlap &= (boxes[:, 1] < y.stop) & (boxes[:, 3] > y.start)
    overlap &= (boxes[:, 2] < x.stop) & (boxes[:, 4] > x.start)
    return bool(overlap.any())
