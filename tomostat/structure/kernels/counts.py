"""Voxels and surface crossings of every phase in a grid of cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomostat.blocks import Block, Shape
from tomostat.kernels.arrays import Doubles, Ints
from tomostat.kernels.directions import DIRECTIONS, crofton_weights
from tomostat.phase import Phase

MOST_CELLS = 8
"""Most cells along an axis, a power of two."""

LEAST_LENGTH = 16
"""Least length of a cell in voxels."""

MATERIALS = len(Phase) - 1
"""Phases that fill the field of view: all but OUTSIDE, which is the last."""


def cell_numbers(shape: Shape) -> Shape:
    """Cells along every axis: powers of two, of no fewer than `LEAST_LENGTH` voxels each."""
    z, y, x = (1 << int(np.clip(np.log2(max(n / LEAST_LENGTH, 1)), 0, np.log2(MOST_CELLS))) for n in shape)
    return z, y, x


def cells_of(shape: Shape, cells: Shape) -> tuple[Ints, Ints, Ints]:
    """Cell of every voxel along each axis."""
    z, y, x = (np.arange(n) * c // n for n, c in zip(shape, cells, strict=True))
    return z, y, x


@dataclass(frozen=True)
class CellCounts:
    """Counts over a grid of cells.

    Attributes
    ----------
    voxels
        (cz, cy, cx, MATERIALS) int64: voxels of each phase.
    crossings
        (cz, cy, cx, MATERIALS, 13) int64: neighbours along each of `DIRECTIONS` of which one is of the phase and the
        other of another; they count in the cell of the first one. Borders of the field of view do not count.
    """

    voxels: Ints
    crossings: Ints

    @classmethod
    def empty(cls, cells: Shape) -> CellCounts:
        """No counts."""
        return cls(np.zeros((*cells, MATERIALS), np.int64), np.zeros((*cells, MATERIALS, len(DIRECTIONS)), np.int64))


@njit(cache=True, nogil=True)
def _count(
    phases: NDArray[np.uint8],
    first: Ints,
    stop: Ints,
    cell_z: Ints,
    cell_y: Ints,
    cell_x: Ints,
    directions: Ints,
    voxels: Ints,
    crossings: Ints,
) -> None:
    """Count in the inner box of a block; cells are those of its voxels, counted from the block's first cell."""
    nz, ny, nx = phases.shape
    outside = voxels.shape[-1]
    for z in range(first[0], stop[0]):
        for y in range(first[1], stop[1]):
            for x in range(first[2], stop[2]):
                here = phases[z, y, x]
                if here >= outside:
                    continue
                a, b, c = cell_z[z - first[0]], cell_y[y - first[1]], cell_x[x - first[2]]
                voxels[a, b, c, here] += 1
                for k in range(len(directions)):
                    v, w, u = z + directions[k, 0], y + directions[k, 1], x + directions[k, 2]
                    if 0 <= v < nz and 0 <= w < ny and 0 <= u < nx:
                        there = phases[v, w, u]
                        if there != here and there < outside:
                            crossings[a, b, c, here, k] += 1
                            crossings[a, b, c, there, k] += 1


def count_block(phases: NDArray[np.uint8], block: Block, shape: Shape, cells: Shape) -> tuple[Ints, CellCounts]:
    """Counts of the cells that a block overlaps.

    Parameters
    ----------
    phases
        (z, y, x) uint8, the block with a halo of one voxel.
    block
        The block.
    shape, cells
        Voxels of the volume and cells along every axis.

    Returns
    -------
    tuple
        First cell (z, y, x), and counts of the cells from there on.
    """
    place = [axis[part] for axis, part in zip(cells_of(shape, cells), block.core, strict=True)]
    first = np.array([axis[0] for axis in place], np.int64)
    z, y, x = (int(axis[-1] - axis[0]) + 1 for axis in place)
    counts = CellCounts.empty((z, y, x))
    inner = [np.array([getattr(part, end) for part in block.inner], np.int64) for end in ("start", "stop")]
    relative = [np.ascontiguousarray(axis - axis[0]) for axis in place]
    _count(phases, *inner, *relative, DIRECTIONS, counts.voxels, counts.crossings)
    return first, counts


def fractions(voxels: Ints) -> Doubles:
    """Volume fractions (..., MATERIALS) from (..., MATERIALS) voxels; NaN where there is none."""
    total = voxels.sum(axis=-1, keepdims=True)
    return np.divide(voxels, total, out=np.full(voxels.shape, np.nan), where=total > 0)


def specific_surfaces(voxels: Ints, crossings: Ints, spacing: tuple[float, float, float]) -> Doubles:
    """Area of each phase's surface over the volume of all, (..., MATERIALS), 1 / micrometer; NaN without voxels.

    Notes
    -----
    Crofton's formula, ``S / V = 2 sum w_d N_d / (|d| n)`` with crossings ``N_d`` along direction ``d`` and ``n``
    voxels: Lehmann and Legland, The Insight Journal (2012).
    """
    lengths = np.linalg.norm(DIRECTIONS * np.asarray(spacing), axis=1)
    area = 2 * (crossings * (crofton_weights(spacing) / lengths)).sum(axis=-1)
    total = np.broadcast_to(voxels.sum(axis=-1, keepdims=True), area.shape)
    return np.divide(area, total, out=np.full(area.shape, np.nan), where=total > 0)


def merge_cells(counts: Ints, parts: Shape) -> Ints:
    """Sums (pz * py * px, ...) over the cells (cz, cy, cx, ...) of each of (pz, py, px) parts of the volume."""
    cells = counts.shape[:3]
    split = [n for part, cell in zip(parts, cells, strict=True) for n in (part, cell // part)]
    return counts.reshape(*split, *counts.shape[3:]).sum(axis=(1, 3, 5)).reshape(-1, *counts.shape[3:])


def divisions(cells: Shape) -> list[Shape]:
    """Parts along every axis of each division of the volume: 1, then twice as many, as far as cells go."""
    found = [tuple(min(2**step, n) for n in cells) for step in range(int(np.log2(max(cells))) + 1)]
    return found


def mean_of_known(values: Doubles) -> Doubles:
    """Means over the first axis of the values that are known, NaN where none is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis=0)
    return np.divide(total, known.sum(axis=0), out=np.full(total.shape, np.nan), where=known.any(axis=0))


def spread_of_known(values: Doubles) -> Doubles:
    """Standard deviations over the first axis of the values that are known, NaN where fewer than two are."""
    number = np.isfinite(values).sum(axis=0)
    squares = (np.where(np.isfinite(values), values, np.nan) - mean_of_known(values)) ** 2
    several = number > 1
    return np.sqrt(
        np.divide(mean_of_known(squares) * number, number - 1, out=np.full(number.shape, np.nan), where=several)
    )
