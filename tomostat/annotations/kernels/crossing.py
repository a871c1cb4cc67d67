"""Kernels on outlines: whether a polygon crosses itself."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray


def find_crossing(points: NDArray[np.float64]) -> tuple[int, int] | None:
    """A pair of edges of a closed polygon that cross; edges that only touch do not.

    Edges are swept along the axis in which fewer of them lie side by side, so that the time grows with the number of
    points of an outline, not with its square.

    Parameters
    ----------
    points
        (n, 2) finite corners; edge i runs from corner i to the next.

    Returns
    -------
    tuple or None
        Indices of the first edge that crosses another one and of the first that it crosses, or None.
    """
    if len(points) < 4:
        return None
    ends = np.roll(points, -1, axis=0)
    low, high = np.minimum(points, ends), np.maximum(points, ends)
    axis = int(np.argmin((high - low).sum(axis=0) / np.maximum(np.ptp(points, axis=0), 1e-300)))
    first, second = _sweep(points, ends, low, high, np.argsort(low[:, axis], kind="stable"), axis)
    return None if first < 0 else (int(first), int(second))


@numba.njit(cache=True, nogil=True)
def _sweep(points, ends, low, high, order, axis):  # type: ignore[no-untyped-def]
    """The smallest pair of edges that cross, (-1, -1) without any; `order` sorts them by where they begin."""
    n, other = len(order), 1 - axis
    first = second = n
    active = np.empty(n, np.int64)
    count = 0
    for at in range(n):
        i = order[at]
        kept = 0
        for place in range(count):
            j = active[place]
            if high[j, axis] < low[i, axis]:
                continue
            active[kept] = j
            kept += 1
            if high[j, other] < low[i, other] or high[i, other] < low[j, other]:
                continue
            a, b = min(i, j), max(i, j)
            if (a, b) < (first, second) and _cross(points[a], ends[a], points[b], ends[b]):
                first, second = a, b
        active[kept] = i
        count = kept + 1
    return (first, second) if first < n else (-1, -1)


@numba.njit(cache=True, nogil=True)
def _cross(a, b, c, d):  # type: ignore[no-untyped-def]
    """Whether the edges from a to b and from c to d cross in their insides."""
    return _side(a, b, c) * _side(a, b, d) < 0 and _side(c, d, a) * _side(c, d, b) < 0


@numba.njit(cache=True, nogil=True)
def _side(a, b, p):  # type: ignore[no-untyped-def]
    """On which side of the line from a to b the point p lies: -1, 0 or 1."""
    return np.sign((b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]))
