"""What all tasks of the stitch stage know, and the tables by slices that they share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tomostat.blocks import Block, Box, Shape, block_grid
from tomostat.stitch.kernels.edges import EdgeModel
from tomostat.stitch.kernels.masks import Masks
from tomostat.stitch.kernels.paint import paint_box
from tomostat.stitch.kernels.refine import refine_halo
from tomostat.stitch.options import StitchOptions
from tomostat.stitch.tables import read_table
from tomostat.views import View, ViewName


@dataclass(frozen=True)
class StitchPlan:
    """What all tasks need to know; small, because it is sent with each of them.

    Attributes
    ----------
    path, folder, graph
        The volume, the folder of instance tables, the folder of the merge graph.
    shape, spacing
        Voxels (z, y, x) of the volume, and their size in micrometers.
    block
        Voxels (z, y, x) of a block of work.
    options
        How to stitch.
    edges
        What the edges of active material look like; None where there is none, and boundaries stay where the phases
        are.
    others
        Views beside z.
    """

    path: Path
    folder: Path
    graph: Path
    shape: Shape
    spacing: tuple[float, float, float]
    block: Shape
    options: StitchOptions
    edges: EdgeModel | None
    others: tuple[ViewName, ...] = ()

    @property
    def views(self) -> tuple[ViewName, ...]:
        """All views, z first."""
        return ("z", *self.others)

    def of_view(self, name: ViewName) -> StitchPlan:
        """The plan of one view by itself: slices along its axis, its instance tables, a merge graph of its own."""
        if not self.others:
            return self
        view = View(name)
        return replace(
            self, folder=self.folder / view.folder, graph=self.graph / name, shape=view.turned(self.shape),
            spacing=view.turned(self.spacing), block=view.turned(self.block), others=(),
        )  # fmt: skip

    @property
    def slabs(self) -> list[range]:
        """Blocks of slices."""
        step = self.block[0]
        return [range(z, min(z + step, self.shape[0])) for z in range(0, self.shape[0], step)]

    @property
    def blocks(self) -> list[Block]:
        """Blocks of voxels, with the halo on which refined labels depend."""
        return block_grid(self.shape, self.block, (self.halo,) * 3)

    @property
    def halo(self) -> int:
        """Voxels around a block that its labels depend on."""
        moved = self.edges.halo if self.edges and self.options.margin else 0
        return refine_halo(self.options.margin) + moved

    @staticmethod
    def key(slab: range) -> str:
        """Name of a block of slices; names sort in the order of the slices."""
        return f"{slab.start:05d}-{slab.stop:05d}"

    def table(self, kind: str, slab: range) -> Path:
        """Path of the part of a table for a block of slices."""
        return self.graph / kind / f"{self.key(slab)}.parquet"


def read_slices(plan: StitchPlan, kind: str, slices: range) -> pa.Table:
    """Rows of a table that belong to some slices."""
    slabs = [slab for slab in plan.slabs if slab.start < slices.stop and slab.stop > slices.start]
    return pa.concat_tables([read_table(plan.table(kind, slab), slices) for slab in slabs])


def paint_masks(plan: StitchPlan, box: Box) -> NDArray[np.uint32]:
    """Labels of a box of the volume by the final masks of one view; the box is in the order of its axes."""
    masks = read_slices(plan, "masks", range(box[0].start, box[0].stop))
    return paint_box(Masks.from_table(masks, (plan.shape[1], plan.shape[2])), box)
