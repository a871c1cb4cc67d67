"""Averages over a particle's surface, between points that are near each other and have similar normals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomostat.kernels.arrays import Floats
from tomostat.measure.shape.surface import Surface

ROUND_SIGMA = 1.25
"""Sigma in voxels of one round of averaging."""

ROUNDS = 4
"""Rounds of averaging of grey values: 2.5 voxels in all."""


@njit(cache=True, nogil=True)
def _count_neighbours(
    voxel: NDArray[np.int32], start: NDArray[np.int64], neighbour: NDArray[np.int32], normal: Floats
) -> int:
    n = 0
    for i in range(len(voxel)):
        for k in range(start[i], start[i + 1]):
            n += _are_neighbours(voxel, normal, i, neighbour[k])
    return n


@njit(cache=True, nogil=True)
def _are_neighbours(voxel: NDArray[np.int32], normal: Floats, i: int, j: int) -> bool:
    """Whether two points are at most sqrt(6) voxels apart and their normals at most 60 degrees."""
    far, agree = 0, 0.0
    for a in range(3):
        far += (voxel[i, a] - voxel[j, a]) ** 2
        agree += normal[i, a] * normal[j, a]
    return far <= 6 and agree > 0.5


@njit(cache=True, nogil=True)
def _fill_weights(
    voxel: NDArray[np.int32],
    start: NDArray[np.int64],
    neighbour: NDArray[np.int32],
    point: Floats,
    normal: Floats,
    area: Floats,
    spacing: NDArray[np.float64],
    first: NDArray[np.int64],
    other: NDArray[np.int32],
    weight: Floats,
) -> None:
    """Weights of one round of averaging, large for near points of similar normal and large area; rows sum to 1."""
    n = 0
    for i in range(len(voxel)):
        first[i] = n
        for k in range(start[i], start[i + 1]):
            j = neighbour[k]
            if not _are_neighbours(voxel, normal, i, j):
                continue
            far, agree = 0.0, 0.0
            for a in range(3):
                far += ((point[i, a] - point[j, a]) / spacing[a]) ** 2
                agree += normal[i, a] * normal[j, a]
            other[n] = j
            weight[n] = area[j] * agree * agree * math.exp(-far / (2 * ROUND_SIGMA**2))
            n += 1
        total = weight[first[i] : n].sum()
        if total > 0:
            weight[first[i] : n] /= total
    first[len(voxel)] = n


@dataclass(frozen=True)
class SmoothingWeights:
    """Weights of one round of averaging over a surface, a sparse matrix by compressed rows.

    Attributes
    ----------
    first, other
        (n + 1,) int64 and (m,) int32: point i averages the points ``other[first[i] : first[i + 1]]``.
    weight
        (m,) float32, the weights of these points; those of one row sum to 1.
    """

    first: NDArray[np.int64]
    other: NDArray[np.int32]
    weight: Floats


def smoothing_weights(surface: Surface) -> SmoothingWeights:
    """Weights with which the points of a surface average their neighbours' values.

    A neighbour's weight is its area times the square of the normals' cosine times a Gaussian of `ROUND_SIGMA` voxels of
    the distance; points more than sqrt(6) voxels or 60 degrees apart have none.
    """
    s = surface
    n = _count_neighbours(s.voxel, s.start, s.neighbour, s.normal)
    weights = SmoothingWeights(np.empty(len(s) + 1, np.int64), np.empty(n, np.int32), np.empty(n, np.float32))
    spacing = np.asarray(s.spacing, np.float64)
    area = s.area / max(float(s.area.max(initial=0)), 1e-12)
    _fill_weights(
        s.voxel, s.start, s.neighbour, s.point, s.normal, area, spacing, weights.first, weights.other, weights.weight
    )  # fmt: skip
    return weights


@njit(cache=True, nogil=True)
def _average(first: NDArray[np.int64], other: NDArray[np.int32], weight: Floats, values: Floats, out: Floats) -> None:
    """One round: weighted means of the neighbours' rows."""
    for i in range(len(out)):
        row = out[i]
        row[:] = 0
        for k in range(first[i], first[i + 1]):
            w = weight[k]
            source = values[other[k]]
            for c in range(len(row)):
                row[c] += w * source[c]


@njit(cache=True, nogil=True)
def _average_four(
    first: NDArray[np.int64], other: NDArray[np.int32], weight: Floats, values: Floats, out: Floats
) -> None:
    """`_average` for four columns, which stay in registers."""
    for i in range(len(out)):
        a = b = c = d = np.float32(0.0)
        for k in range(first[i], first[i + 1]):
            w, j = weight[k], other[k]
            a += w * values[j, 0]
            b += w * values[j, 1]
            c += w * values[j, 2]
            d += w * values[j, 3]
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = a, b, c, d


@njit(cache=True, nogil=True)
def _flood_regions(first: NDArray[np.int64], other: NDArray[np.int32], kind: NDArray[np.int8]) -> NDArray[np.int32]:
    region = np.full(len(kind), -1, np.int32)
    stack = np.empty(len(kind), np.int32)
    count = 0
    for seed in range(len(kind)):
        if region[seed] >= 0:
            continue
        region[seed] = count
        stack[0], n = seed, 1
        while n:
            n -= 1
            i = stack[n]
            for k in range(first[i], first[i + 1]):
                j = other[k]
                if region[j] < 0 and kind[j] == kind[i]:
                    region[j] = count
                    stack[n] = j
                    n += 1
        count += 1
    return region


def connected_regions(weights: SmoothingWeights, kind: NDArray[np.int8]) -> NDArray[np.int32]:
    """Number, from 0, of the connected region of one kind that each surface point belongs to, (n,) int32."""
    return _flood_regions(weights.first, weights.other, kind)


def average_over_surface(weights: SmoothingWeights, values: Floats, rounds: int = ROUNDS) -> Floats:
    """Average columns over the surface, as heat spreads: never across a crack, only between similar normals.

    Parameters
    ----------
    weights
        From `smoothing_weights`.
    values
        (n, k) float32.
    rounds
        Each is a Gaussian of `ROUND_SIGMA` voxels, r rounds one of ``ROUND_SIGMA * sqrt(r)``.

    Returns
    -------
    numpy.ndarray
        (n, k) float32.
    """
    count, columns = values.shape
    width = 4 if columns <= 4 else -(-columns // 8) * 8  # whole registers
    average = _average_four if columns <= 4 else _average
    here, there = np.zeros((count, width), np.float32), np.empty((count, width), np.float32)
    here[:, :columns] = values
    for _ in range(rounds):
        average(weights.first, weights.other, weights.weight, here, there)
        here, there = there, here
    return here[:, :columns]
