"""What the steps of the phases stage share, and how they read a block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from dask.delayed import Delayed
from numpy.typing import NDArray

from tomostat.blocks import Block, Box, Shape, block_grid
from tomostat.execution import Execution
from tomostat.phases.kernels.outside import REACH, Outside, outside_mask
from tomostat.phases.options import PhasesOptions
from tomostat.volume import VolumeInfo, describe, read_box, read_shading, spread_grid


@dataclass(frozen=True)
class Context:
    """What the steps share.

    Attributes
    ----------
    info, options
        The volume and what was asked for.
    block
        Voxels (z, y, x) of a block of work.
    execution
        Where tasks run.
    outside
        What lies outside the field of view; None where the field is the whole volume.
    """

    info: VolumeInfo
    options: PhasesOptions
    block: Shape
    execution: Execution
    outside: Outside | None = None

    @property
    def path(self) -> Path:
        """The volume."""
        return self.info.path

    def run(self, step: str, tasks: Mapping[str, Delayed]) -> list[Any]:
        """Results of a step's tasks, in order."""
        return list(self.execution.run(step, tasks).values())

    def blocks(self, halo: int) -> list[Block]:
        """Blocks of the volume with a halo."""
        return block_grid(self.info.shape, self.block, (halo,) * 3)


def read_block(
    path: Path, box: Box, outside: Outside | None, *, shading: bool
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Grey values of a box, and which of them lie in the field of view (None where all do).

    Parameters
    ----------
    path, box
        The volume, and the box in it.
    outside
        What lies outside the field of view.
    shading
        Leave the shading in.
    """
    margin = REACH if outside else 0
    z, *plane = box
    y, x = (slice(max(s.start - margin, 0), s.stop + margin) for s in plane)
    wide = z, y, x
    raw = read_box(path, wide)
    crop = tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(box, wide, strict=True))
    inside = None
    if outside:
        inside = ~outside_mask(raw, outside.value, outside.circle, [w.start for w in wide])[crop]
    grey = raw[crop].astype(np.float32)
    grid = None if shading else read_shading(path)
    return (grey if grid is None else grey - spread_grid(grid, describe(path).shape, box)), inside
