"""How close two particles come, to a fraction of a voxel: from the columns of voxels between them.

Labels of two particles share faces wherever less than a voxel lies between them, so that in a dense packing of balls
40 voxels across every fourth pair that shares a face is apart. Over how wide an area they are close tells the gap.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomostat.kernels.smoothing import Spacing

DEPTH = 2
"""Voxels up to which columns between two particles count."""

BEND = 0.35
"""Voxels by which the gap of two balls comes out too wide, times their `reduced_radius` in voxels: half of it from what
a parabola leaves out of a ball, half measured, at balls of 24, 40 and 60 voxels across."""


@njit(cache=True, nogil=True)
def closeness(labels: NDArray[Any], label: int, others: NDArray[Any]) -> NDArray[np.int64]:
    """Over how many columns of voxels a particle is close to others.

    Parameters
    ----------
    labels
        (z, y, x), the particle's box and two voxels around it.
    label
        The particle.
    others
        (n,) ascending labels.

    Returns
    -------
    numpy.ndarray
        (n, 3) int64, along z, y and x: 2 for every pair of neighbouring voxels of the two, 1 where a single voxel of no
        particle is between them.
    """
    found = np.zeros((len(others), 3), np.int64)
    shape = labels.shape
    for z in range(shape[0]):
        for y in range(shape[1]):
            for x in range(shape[2]):
                if labels[z, y, x] != label:
                    continue
                for axis in range(3):
                    for sign in (-1, 1):
                        for far in range(1, DEPTH + 1):
                            step = sign * far
                            a = z + step if axis == 0 else z
                            b = y + step if axis == 1 else y
                            c = x + step if axis == 2 else x
                            if not (0 <= a < shape[0] and 0 <= b < shape[1] and 0 <= c < shape[2]):
                                break
                            other = labels[a, b, c]
                            if other == 0:
                                continue
                            which = np.searchsorted(others, other)
                            if other != label and which < len(others) and others[which] == other:
                                found[which, axis] += DEPTH + 1 - far
                            break
    return found


def reduced_radius(first: float, second: float) -> float:
    """Radius of the curvature between two balls, from the radii of both: 1 / (1 / first + 1 / second)."""
    return first * second / (first + second)


def ball_gap(close: NDArray[np.int64], radius: float, spacing: Spacing) -> float:
    """Gap between two balls that come as close as two particles do.

    Parameters
    ----------
    close
        (3,), their `closeness` along z, y and x.
    radius
        `reduced_radius` of balls of their volumes in micrometers.
    spacing
        Voxel size (z, y, x) in micrometers.

    Returns
    -------
    float
        Micrometers, with an error of some 0.05 voxel for balls more than 20 voxels across; negative for those that
        overlap and for particles flatter than balls, infinite for particles that are nowhere close.

    Notes
    -----
    Between two balls the gap grows as g + r^2 / (2 R) with the distance r from the line of their centres, R being their
    reduced radius (Hertz, J. reine angew. Math. 92, 156, 1882). Along an axis that makes the angle a with that line,
    columns are longer by 1 / cos a and fewer by cos a: the sum of what they lack of the length h, where they are
    shorter than that, is pi R (h cos a - g)^2. The squares of the three cosines add up to 1, which gives g.
    """
    if not close.any():
        return math.inf
    voxel = math.prod(spacing)
    depth = (DEPTH * np.asarray(spacing))[close > 0]
    root = np.sqrt(close[close > 0] * voxel / (np.pi * radius)) / depth
    square, mixed, rest = float((depth**-2).sum()), float((root / depth).sum()), float((root**2).sum()) - 1
    gap = (math.sqrt(max(mixed**2 - square * rest, 0)) - mixed) / square
    return gap - BEND * voxel ** (2 / 3) / radius
