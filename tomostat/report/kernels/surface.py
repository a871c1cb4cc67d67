"""Coarse surfaces of particles for the page: few triangles, small numbers."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import marching_cubes

from tomostat.kernels.arrays import Floats
from tomostat.report.kernels.sections import grid_places

STEPS = 254
"""Values run from 0 to this; `UNKNOWN` stands beyond."""
UNKNOWN = 255
FAINT = 1e-3
"""Share of a cell's surroundings that must have a value."""


@dataclass(frozen=True)
class Surface:
    """A closed surface of triangles with values at its corners.

    Attributes
    ----------
    vertex
        (n, 3) uint8, x, y, z: 0 to 255 over the box's edge.
    face
        (m, 3) uint16, corners of the triangles.
    values
        (n,) uint8 each: 0 to `STEPS`, or `UNKNOWN`.
    """

    vertex: NDArray[np.uint8]
    face: NDArray[np.uint16]
    values: tuple[NDArray[np.uint8], ...]

    def encode(self) -> bytes:
        """As bytes: numbers of corners and of triangles (uint16), then vertex, values and face column by column.

        Corners of triangles are differences between neighbours in a column, and all is deflated (zlib, RFC 1950):
        neighbours in the list share corners.
        """
        counts = np.array([len(self.vertex), len(self.face)], "<u2")
        steps = np.diff(self.face.astype("<u2"), axis=0, prepend=np.zeros((1, 3), "<u2"))
        columns = [np.ascontiguousarray(self.vertex.T), *self.values, np.ascontiguousarray(steps.T)]
        return zlib.compress(counts.tobytes() + b"".join(column.tobytes() for column in columns), 9)


def coarse_surface(
    own: NDArray[np.bool_],
    values: Sequence[tuple[NDArray[np.float32], float]],
    middle: Sequence[float],
    reach: Sequence[float],
    cells: int,
) -> Surface | None:
    """The surface of a particle on a coarse grid; None where the particle is finer than the grid.

    Parameters
    ----------
    own
        (z, y, x) whether a voxel of a box is the particle's.
    values
        Maps (z, y, x) of the box, NaN off the surface and where they are unknown, each with the value of `STEPS`.
    middle, reach
        The cube that is shown: its middle, and half its edge, in voxels of the box along z, y, x.
    cells
        Cells of the grid along an edge of the cube.
    """
    hats = [_hats(n, m, r, cells) for n, m, r in zip(own.shape, middle, reach, strict=True)]
    level = np.pad(_on_grid(own.astype(np.float32), hats), 1)
    if level.max() <= 0.5:
        return None
    corner, face, _, _ = marching_cubes(level, 0.5)
    place = (corner - 0.5) / cells  # from 0 to 1 over the cube
    if len(corner) > np.iinfo(np.uint16).max:
        raise ValueError(f"a surface has {len(corner)} corners; expected no more than {np.iinfo(np.uint16).max}")
    return Surface(
        vertex=np.clip(np.rint(place[:, ::-1] * 255), 0, 255).astype(np.uint8),
        face=face.astype(np.uint16),
        values=tuple(_at(corner - 1.0, image, top, hats) for image, top in values),
    )


def _hats(count: int, middle: float, reach: float, cells: int) -> Floats:
    """How much every voxel of an axis counts for every cell, (cells, count): a hat as wide as two cells, of sum 1."""
    step = 2 * reach / cells
    width = max(step, 1.0)
    far = np.abs(np.arange(count) - grid_places(middle, reach, cells)[:, None])
    return (np.maximum(1 - far / width, 0) / width).astype(np.float32)


def _on_grid(image: Floats, hats: Sequence[Floats]) -> Floats:
    """An image (z, y, x) averaged on the grid."""
    for hat in hats:  # the axis that is summed over comes first, its cells go last
        image = np.tensordot(image, hat, (0, 1))
    return image


def _at(cell: NDArray[Any], image: Floats, top: float, hats: Sequence[Floats]) -> NDArray[np.uint8]:
    """A map averaged around places (n, 3) in cells, as steps of `top` / `STEPS`."""
    known = np.isfinite(image)
    weight = _on_grid(known.astype(np.float32), hats)
    total = _on_grid(np.where(known, image, np.float32(0)), hats)
    near, sum_near = (ndimage.map_coordinates(array, cell.T, order=1, mode="nearest") for array in (weight, total))
    mean = np.divide(sum_near, near, out=np.zeros_like(near), where=near > FAINT)
    steps = np.clip(np.rint(mean / top * STEPS), 0, STEPS)
    return np.where(near > FAINT, steps, UNKNOWN).astype(np.uint8)
