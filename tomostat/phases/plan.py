"""Parameters that the steps of the phases stage share, and how a step reads a block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from dask.delayed import Delayed
from numpy.typing import NDArray

from tomostat.blocks import Block, Box, Shape, block_grid, box_within
from tomostat.execution import Execution
from tomostat.phases.kernels.outside import HALO, Outside, outside_mask
from tomostat.phases.options import PhasesOptions
from tomostat.volume import SHARD, VolumeInfo, read_box, without_shading

DIFFERENCE_BINS = 4096
"""Intervals of the histograms of grey-value differences, from which noise is found."""
LEAST_PAIRS = 1000
"""Fewest pairs of voxels deep in active material from which noise is found; of all voxels where there are fewer."""
MOST_PARTS = 64
"""Most parts of `tomostat.volume.SHARD` voxels from which thresholds and noise are found, 270 million voxels. Half as
many and fewer changed thresholds by less than an interval of the histograms."""
PERCENTILES = (0.005, 0.995)
"""Shares of the grey values that lie below those of `PhaseFit.percentiles`."""


@dataclass(frozen=True)
class PhasesPlan:
    """Parameters that all steps share.

    Attributes
    ----------
    info, options
        The volume, and the options of the stage.
    block
        Voxels (z, y, x) of the core of a block.
    execution
        Where tasks run.
    outside
        How voxels outside the field of view are recognised; None if the field of view is the whole volume.
    """

    info: VolumeInfo
    options: PhasesOptions
    block: Shape
    execution: Execution
    outside: Outside | None = None

    @property
    def path(self) -> Path:
        """Path of the volume."""
        return self.info.path

    def run(self, step: str, tasks: Mapping[str, Delayed]) -> list[Any]:
        """Run the tasks of a step and return their results in the order of `tasks`."""
        return list(self.execution.run(step, tasks).values())

    def blocks(self, halo: int) -> list[Block]:
        """Blocks of the volume, with a halo of so many voxels on each side."""
        return block_grid(self.info.shape, self.block, (halo,) * 3)

    def sample(self, halo: int) -> list[Block]:
        """Blocks with a halo from which thresholds are found: all of a volume, or some of a large one drawn at random.

        They depend on the shape of the volume alone, not on the blocks of work.
        """
        parts = block_grid(self.info.shape, SHARD, (halo,) * 3)
        if len(parts) <= MOST_PARTS:
            return parts
        return [parts[i] for i in np.sort(np.random.default_rng(0).choice(len(parts), MOST_PARTS, replace=False))]


def read_block(
    path: Path, box: Box, outside: Outside | None, *, keep_shading: bool
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Read the grey values of a box, and which of them lie in the field of view.

    Parameters
    ----------
    path, box
        The volume, and the box in it.
    outside
        How voxels outside the field of view are recognised; None if there are none.
    keep_shading
        Whether the shading stays in the grey values; it is subtracted otherwise.

    Returns
    -------
    grey : (nz, ny, nx) float32
        Grey values.
    in_field : (nz, ny, nx) bool or None
        Voxels in the field of view; None if all are.
    """
    margin = HALO if outside else 0
    z, *plane = box
    y, x = (slice(max(s.start - margin, 0), s.stop + margin) for s in plane)
    wide = z, y, x
    raw = read_box(path, wide)
    crop = box_within(box, wide)
    in_field = None
    if outside:
        in_field = ~outside_mask(raw, outside, [w.start for w in wide])[crop]
    grey = raw[crop].astype(np.float32)
    return (grey if keep_shading else without_shading(path, grey, box)), in_field
