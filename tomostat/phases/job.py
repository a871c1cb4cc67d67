"""What the steps of the phases stage share, and how they read a block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numpy as np
from dask.delayed import Delayed
from numpy.typing import NDArray

from tomostat.blocks import Block, Box, Shape, block_grid
from tomostat.options import PhasesOptions
from tomostat.phases.outside import REACH, Outside, outside_mask
from tomostat.runner import Progress, execute
from tomostat.volume import VolumeInfo, describe, read_box, read_shading, spread_grid

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class Job:
    """What the steps share.

    Attributes
    ----------
    info, options
        The volume and what was asked for.
    block
        Voxels (z, y, x) of a block of work.
    markers, client, progress
        As for `tomostat.phases.segment_phases`.
    outside
        What lies outside the field of view; None where the field is the whole volume.
    """

    info: VolumeInfo
    options: PhasesOptions
    block: Shape
    markers: Path | None
    client: Client | None
    progress: Progress | None
    outside: Outside | None = None

    @property
    def path(self) -> Path:
        """The volume."""
        return self.info.path

    def run(self, step: str, tasks: Mapping[str, Delayed]) -> list[Any]:
        """Results of a step's tasks, in order."""
        markers = None if self.markers is None else self.markers / step
        label = f"phases, {step}"
        return list(execute(tasks, label=label, markers=markers, client=self.client, progress=self.progress).values())

    def blocks(self, halo: int) -> list[Block]:
        """Blocks of the volume with a halo."""
        return block_grid(self.info.shape, self.block, (halo,) * 3)

    def started(self, step: str) -> bool:
        """Whether an earlier call finished part of a step."""
        return self.markers is not None and any((self.markers / step).glob("*.json"))


def load(
    path: Path, box: Box, beyond: Outside | None, flat: bool
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Grey values (less the shading, if `flat`) and field of view of a box."""
    margin = REACH if beyond else 0
    z, *plane = box
    y, x = (slice(max(s.start - margin, 0), s.stop + margin) for s in plane)
    wide = z, y, x
    raw = read_box(path, wide)
    shape = describe(path).shape
    crop = tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(box, wide, strict=True))
    inside = None
    if beyond:
        inside = ~outside_mask(raw, beyond[0], beyond[1], [w.start for w in wide])[crop]
    grey = raw[crop].astype(np.float32)
    grid = read_shading(path) if flat else None
    return (grey if grid is None else grey - spread_grid(grid, shape, box)), inside


def lazy(job: Job, box: Box, flat: bool) -> tuple[da.Array, da.Array | None]:
    """Grey values and field of view of a box as lazy arrays of one chunk; no field of view where it is everything."""
    grey, inside = dask.delayed(load, pure=False, nout=2)(job.path, box, job.outside, flat)
    shape = tuple(s.stop - s.start for s in box)
    mask = da.from_delayed(inside, shape, dtype=bool) if job.outside else None
    return da.from_delayed(grey, shape, dtype=np.float32), mask
