"""Corrections by hand: cut or join tracks and repaint what changes, without detection and without linking."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import dask
import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Block
from tomostat.execution import Execution
from tomostat.stitch.graph import Edit, MergeGraph, check_edits, open_graph
from tomostat.stitch.kernels.link import widest_gap
from tomostat.stitch.options import StitchOptions
from tomostat.stitch.particles import make_plan, paint_tasks, refresh_pyramid
from tomostat.stitch.tasks import LABEL, Plan, build_graph, mask_slab_again
from tomostat.volume import describe

PENDING = "edit-pending"
"""File that stands while an edit is on its way: after a kill everything is painted anew."""


def edit_particles(
    path: str | Path,
    folder: str | Path,
    graph: str | Path,
    edits: Iterable[Edit],
    *,
    execution: Execution | None = None,
) -> MergeGraph:
    """Correct the particles of a finished `stitch_particles` run.

    Particles that no edit touches keep their labels and their voxels. What a cut parts off gets a number after all
    others, and what a join brings together the smaller of the two.

    Parameters
    ----------
    path, folder, graph
        As given to `stitch_particles`.
    edits
        All corrections that shall hold; they replace earlier ones, so an empty list undoes them.
    execution
        Where to run, who is told, and where finished tasks are marked; threads of this process when not given.

    Returns
    -------
    MergeGraph
        The corrected graph.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no finished run, an edit names a track that is not there, or edits contradict each other; before
        anything is written.
    """
    edits = tuple(edits)
    before = open_graph(graph)
    check_edits(edits, len(before.tracks))
    made = describe(path, LABEL).attributes
    options = StitchOptions(**made["options"])
    plan = make_plan(describe(path), Path(folder), Path(graph), options, tuple(made["block"]))
    pending = plan.graph / PENDING
    everything = pending.exists()
    pending.touch()
    execution = (execution or Execution()).named("stitch")
    try:
        execution.run_here("merge graph", dask.delayed(build_graph)(plan, edits))
    except ValueError:  # edits that contradict each other by way of others: nothing was written
        if not everything:
            pending.unlink()
        raise
    after = open_graph(graph)
    slabs = plan.slabs if everything else _slabs_to_mask(plan, before, after)
    again = dask.delayed(mask_slab_again, pure=False)
    boxes = execution.run("masks", {plan.key(slab): again(plan, slab) for slab in slabs})
    changed = np.array([box for found in boxes.values() for box in found], np.int64).reshape(-1, 5)
    blocks = plan.blocks if everything else [block for block in plan.blocks if _touches(block, changed)]
    execution.run("paint", paint_tasks(plan, blocks))
    refresh_pyramid(plan, execution)
    pending.unlink()
    return after


def with_edits(known: Iterable[Edit], more: Iterable[Edit]) -> tuple[Edit, ...]:
    """Edits with more of them; of two on one pair of tracks the later holds."""
    return tuple({frozenset((edit.a, edit.b)): edit for edit in (*known, *more)}.values())


def _slabs_to_mask(plan: Plan, before: MergeGraph, after: MergeGraph) -> list[range]:
    """Blocks of slices near tracks that changed their particle."""
    tracks = after.tracks[after.tracks.particle != before.tracks.particle]
    reach = widest_gap(plan.options) + 1
    starts, stops = tracks.first_slice.to_numpy() - reach, tracks.last_slice.to_numpy() + reach
    return [slab for slab in plan.slabs if np.any((starts < slab.stop) & (stops >= slab.start))]


def _touches(block: Block, boxes: NDArray[np.int64]) -> bool:
    """Whether a changed mask lies where the block looks."""
    z, y, x = block.outer
    inside = (boxes[:, 0] >= z.start) & (boxes[:, 0] < z.stop)
    inside &= (boxes[:, 1] < y.stop) & (boxes[:, 3] > y.start)
    inside &= (boxes[:, 2] < x.stop) & (boxes[:, 4] > x.start)
    return bool(inside.any())
