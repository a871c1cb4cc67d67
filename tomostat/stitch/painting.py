"""Particles as voxels: the masks of all views painted, their boundaries moved to those of phases and grey values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Block, box_within
from tomostat.stitch.agreement import labels_of_views
from tomostat.stitch.kernels.edges import move_edges
from tomostat.stitch.kernels.refine import refine_labels
from tomostat.stitch.plan import StitchPlan, paint_masks
from tomostat.volume import read_box, read_flat, write_box

LABEL = "particles"
"""Name of the label image."""


def paint_block(plan: StitchPlan, block: Block) -> int:
    """Paint, refine and write one block; returns the number of labelled voxels."""
    labels = block_labels(plan, block)
    write_box(plan.path, block.start, labels, LABEL)
    return int(np.count_nonzero(labels))


def block_labels(plan: StitchPlan, block: Block) -> NDArray[np.uint32]:
    """Labels of a block's core, from the masks, the phases and the grey values."""
    labels = labels_of_views(plan, block.outer) if plan.others else paint_masks(plan, block.outer)
    phases = read_box(plan.path, block.outer, "phases")
    labels = refine_labels(labels, phases, plan.options.margin)
    if plan.edges is None or not plan.options.margin:
        return labels[block.inner]
    near = block.with_halo(plan.edges.halo)
    rest = box_within(near.outer, block.outer)
    z, y, x = (s.start for s in near.outer)
    labels = np.ascontiguousarray(labels[rest])  # kernels are compiled for whole arrays
    labels = move_edges(labels, phases[rest], read_flat(plan.path, near.outer), plan.edges, (z, y, x))
    return labels[near.inner]
