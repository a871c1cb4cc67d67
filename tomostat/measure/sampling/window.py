"""The window of a field, and the probability that a particle lies inside one field or several overlapping ones.

Large particles are cut by the border more often than small ones, and a cut particle is not measured whole. Counting
each whole one as 1 / P(inside) corrects for it (Miles-Lantuejoul; Serra, Image Analysis and Mathematical
Morphology, 1982).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.stats import qmc

from tomostat.kernels.arrays import Doubles

POINTS = 14
"""Log2 of the places that a union of windows is sampled at: weights are good to some 0.3 %."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """The part of a sample that a field shows; an attribute of its particle table.

    Attributes
    ----------
    shape
        Voxels (z, y, x).
    spacing
        Voxel size (z, y, x) in micrometers.
    cut
        Axes (z, y, x) along which the field cuts the material; a monolayer is not cut in depth.
    circle
        Centre y, x and radius in voxels of a round field; None for a box.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    cut: tuple[bool, bool, bool]
    circle: tuple[float, float, float] | None = None


def border_weights(extent: NDArray[np.int64], window: Window) -> Doubles:
    """Weights for the particles of one field.

    Parameters
    ----------
    extent
        (n, 3) voxels of the particles' boxes.
    window
        The field.

    Returns
    -------
    numpy.ndarray
        (n,) ``1 / P(inside)``; infinite for a particle that fits nowhere.

    Notes
    -----
    A convex set of extent w lies inside a window of length L with probability (L - w) / L along each axis; in a disc of
    radius R, a set of half diagonal r with (R - r)^2 / R^2.
    """
    probability = np.ones(len(extent))
    for axis in range(3):
        if window.cut[axis] and not (window.circle and axis > 0):
            probability *= np.clip((window.shape[axis] - extent[:, axis]) / window.shape[axis], 0, None)
    if window.circle and (window.cut[1] or window.cut[2]):
        radius = window.circle[2]
        reach = 0.25 * (extent[:, 1] + extent[:, 2])
        probability *= np.clip((radius - reach) / radius, 0, None) ** 2
    return np.divide(1.0, probability, out=np.full(len(extent), math.inf), where=probability > 0)


def overlap(first: Window, second: Window, offsets: Doubles) -> bool:
    """Whether the boxes of two fields share a volume; `offsets` (2, 3) are their places z, y, x in micrometers."""
    low, high = _sides([first, second], offsets)
    return bool((high.min(axis=0) > low.max(axis=0)).all())


def union_weights(extent: Doubles, windows: Sequence[Window], offsets: Doubles) -> Doubles:
    """Weights for particles of which each counts once that is whole in one of several overlapping fields at least.

    Parameters
    ----------
    extent
        (n, 3) micrometers of the particles' boxes.
    windows, offsets
        The k fields, and (k, 3) the place z, y, x in micrometers of each one's first voxel in their common frame.

    Returns
    -------
    numpy.ndarray
        (n,) volume of all windows together over that of all places where such a particle lies inside one of them;
        infinite for a particle that fits nowhere.
    """
    low, high = _sides(windows, offsets)
    cut = np.any([window.cut for window in windows], axis=0)
    discs = np.array([_disc(window, place) for window, place in zip(windows, offsets, strict=True)])
    corner, size = low.min(axis=0), high.max(axis=0) - low.min(axis=0)
    points = corner + qmc.Sobol(3, scramble=False).random_base2(POINTS) * size
    half = np.vstack([np.zeros(3), 0.5 * np.asarray(extent, np.float64)])
    fits = _count_fits(points, half, low, high, cut, discs)
    return np.divide(fits[0], fits[1:], out=np.full(len(extent), math.inf), where=fits[1:] > 0)


def _sides(windows: Sequence[Window], offsets: Doubles) -> tuple[Doubles, Doubles]:
    """Low and high sides of the windows' boxes, (k, 3) micrometers each; a voxel lies around its place."""
    spacing = np.array([window.spacing for window in windows])
    low = offsets - 0.5 * spacing
    return low, low + np.array([window.shape for window in windows]) * spacing


def _disc(window: Window, place: Doubles) -> Doubles:
    """Centre y, x and half axes y, x of a round field in micrometers; NaN for a box."""
    if window.circle is None:
        return np.full(4, np.nan)
    y, x, radius = window.circle
    _, dy, dx = window.spacing
    return np.array([place[1] + y * dy, place[2] + x * dx, radius * dy, radius * dx])


@njit(cache=True, nogil=True)
def _count_fits(
    points: Doubles, half: Doubles, low: Doubles, high: Doubles, cut: NDArray[np.bool_], discs: Doubles
) -> Doubles:
    """At how many points a box of half extent (n, 3) lies inside a window, along the axes that cut, (n,)."""
    fits = np.zeros(len(half))
    for i in range(len(half)):
        for z, y, x in points:
            for k in range(len(low)):
                round_ = not np.isnan(discs[k, 0])
                hz = half[i, 0] if cut[0] else 0.0
                hy = half[i, 1] if cut[1] and not round_ else 0.0
                hx = half[i, 2] if cut[2] and not round_ else 0.0
                if not (low[k, 0] + hz <= z <= high[k, 0] - hz):
                    continue
                if not (low[k, 1] + hy <= y <= high[k, 1] - hy and low[k, 2] + hx <= x <= high[k, 2] - hx):
                    continue
                if round_:
                    away = np.hypot((y - discs[k, 0]) / discs[k, 2], (x - discs[k, 1]) / discs[k, 3])
                    reach = 0.5 * (half[i, 1] / discs[k, 2] + half[i, 2] / discs[k, 3])
                    if away > 1.0 - (reach if cut[1] or cut[2] else 0.0):
                        continue
                fits[i] += 1
                break
    return fits
