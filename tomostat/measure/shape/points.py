"""Surface points of many particles, and how they are sorted into blocks of voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Shape


@dataclass(frozen=True)
class SurfacePoints:
    """The outer surface of one or more particles.

    A surface point is a boundary voxel and a voxel belongs to one particle, so no two points share a voxel.

    Attributes
    ----------
    voxel
        (n, 3) int64, z y x in the field.
    resistance
        (n,) float32, detour to the nearest contact over the equivalent radius; NaN without a path to one.
    contact
        (n,) float32, contact with carbon-binder from 0 to 1, 1/2 on its border; NaN where it is unknown.
    """

    voxel: NDArray[np.int64]
    resistance: NDArray[np.float32]
    contact: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.voxel)

    def take(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> SurfacePoints:
        """Some of the points."""
        return SurfacePoints(self.voxel[chosen], self.resistance[chosen], self.contact[chosen])

    @classmethod
    def join(cls, parts: Sequence[SurfacePoints]) -> SurfacePoints:
        """The points of several particles, in their order."""
        empty = cls(np.empty((0, 3), np.int64), np.empty(0, np.float32), np.empty(0, np.float32))
        return cls(*(np.concatenate([getattr(part, name) for part in (empty, *parts)]) for name in vars(empty)))


def split_by_block(voxel: NDArray[np.int64], size: Shape) -> dict[Shape, tuple[NDArray[np.intp], NDArray[np.int64]]]:
    """Sort voxels into the blocks of a grid.

    Parameters
    ----------
    voxel
        (n, 3), z y x.
    size
        Voxels (z, y, x) of a block.

    Returns
    -------
    dict
        By index (z, y, x) of the block, ascending: the indices of its voxels in ascending order of their position, and
        that position, counted through the block in z, y, x order.
    """
    cell, inner = np.divmod(voxel, np.asarray(size))
    place = (inner[:, 0] * size[1] + inner[:, 1]) * size[2] + inner[:, 2]
    order = np.lexsort((place, *cell.T[::-1]))
    ends = np.flatnonzero((np.diff(cell[order], axis=0) != 0).any(axis=1)) + 1
    found: dict[Shape, tuple[NDArray[np.intp], NDArray[np.int64]]] = {}
    for rows in np.split(order, ends):
        if len(rows):
            z, y, x = cell[rows[0]].tolist()
            found[z, y, x] = rows, place[rows]
    return found


def blocks_of_boxes(boxes: NDArray[np.int64], size: Shape) -> set[Shape]:
    """Indices (z, y, x) of the blocks that some of (n, 2, 3) half-open boxes of voxels reach into."""
    first, last = boxes[:, 0] // np.asarray(size), -(-boxes[:, 1] // np.asarray(size))
    return {
        (z, y, x)
        for (z0, y0, x0), (z1, y1, x1) in zip(first.tolist(), last.tolist(), strict=True)
        for z in range(z0, z1)
        for y in range(y0, y1)
        for x in range(x0, x1)
    }


def fill_block(size: Shape, place: NDArray[np.int64], value: NDArray[np.float32]) -> NDArray[np.float32]:
    """Image of a block, (z, y, x) float32: `value` at the places of `split_by_block`, NaN everywhere else."""
    image = np.full(size, np.nan, np.float32)
    image.reshape(-1)[place] = value
    return image
