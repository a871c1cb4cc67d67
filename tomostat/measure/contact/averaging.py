"""Averages over a particle's surface, between points that lie near each other and face alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomostat.measure.shape.smoothing import Floats
from tomostat.measure.shape.surface import Surface

SPREAD = 1.25
"""Sigma in voxels of one round of averaging."""

ROUNDS = 4
"""Rounds of averaging of grey values: 2.5 voxels in all."""


@njit(cache=True, nogil=True)
def _count_links(
    voxel: NDArray[np.int32], start: NDArray[np.int64], neighbour: NDArray[np.int32], normal: Floats
) -> int:
    n = 0
    for i in range(len(voxel)):
        for k in range(start[i], start[i + 1]):
            n += _linked(voxel, normal, i, neighbour[k])
    return n


@njit(cache=True, nogil=True)
def _linked(voxel: NDArray[np.int32], normal: Floats, i: int, j: int) -> bool:
    """Whether two points lie within two voxels and face alike."""
    far, agree = 0, 0.0
    for a in range(3):
        far += (voxel[i, a] - voxel[j, a]) ** 2
        agree += normal[i, a] * normal[j, a]
    return far <= 6 and agree > 0.5


@njit(cache=True, nogil=True)
def _link(
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
    """Weights of one round of averaging: near, facing alike, large."""
    n = 0
    for i in range(len(voxel)):
        first[i] = n
        for k in range(start[i], start[i + 1]):
            j = neighbour[k]
            if not _linked(voxel, normal, i, j):
                continue
            far, agree = 0.0, 0.0
            for a in range(3):
                far += ((point[i, a] - point[j, a]) / spacing[a]) ** 2
                agree += normal[i, a] * normal[j, a]
            other[n] = j
            weight[n] = area[j] * agree * agree * math.exp(-far / (2 * SPREAD**2))
            n += 1
        total = weight[first[i] : n].sum()
        if total > 0:
            weight[first[i] : n] /= total
    first[len(voxel)] = n


@dataclass(frozen=True)
class Links:
    """Weights of one round of averaging over a surface, rows compressed (see `Surface.start`); a row's add up to 1."""

    first: NDArray[np.int64]
    other: NDArray[np.int32]
    weight: Floats


def link_surface(surface: Surface) -> Links:
    """Weights with which surface points average their neighbours' values."""
    s = surface
    n = _count_links(s.voxel, s.start, s.neighbour, s.normal)
    links = Links(np.empty(len(s) + 1, np.int64), np.empty(n, np.int32), np.empty(n, np.float32))
    spacing = np.asarray(s.spacing, np.float64)
    area = s.area / max(float(s.area.max(initial=0)), 1e-12)
    _link(
        s.voxel, s.start, s.neighbour, s.point, s.normal, area, spacing, links.first, links.other, links.weight
    )  # fmt: skip
    return links


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
def _pieces(first: NDArray[np.int64], other: NDArray[np.int32], kind: NDArray[np.int8]) -> NDArray[np.int32]:
    piece = np.full(len(kind), -1, np.int32)
    waiting = np.empty(len(kind), np.int32)
    count = 0
    for seed in range(len(kind)):
        if piece[seed] >= 0:
            continue
        piece[seed] = count
        waiting[0], n = seed, 1
        while n:
            n -= 1
            i = waiting[n]
            for k in range(first[i], first[i + 1]):
                j = other[k]
                if piece[j] < 0 and kind[j] == kind[i]:
                    piece[j] = count
                    waiting[n] = j
                    n += 1
        count += 1
    return piece


def find_pieces(links: Links, kind: NDArray[np.int8]) -> NDArray[np.int32]:
    """Number, from 0, of the connected piece of one kind that each surface point belongs to, (n,)."""
    return _pieces(links.first, links.other, kind)


def average_along(links: Links, values: Floats, rounds: int = ROUNDS) -> Floats:
    """Average columns over the surface, as heat spreads: never across a crack, only between like normals.

    Parameters
    ----------
    links
        From `link_surface`.
    values
        (n, k) float32.
    rounds
        Each spreads by `SPREAD` voxels; r rounds by ``SPREAD * sqrt(r)``.

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
        average(links.first, links.other, links.weight, here, there)
        here, there = there, here
    return here[:, :columns]
