"""Which particles touch, how far the next one is, and how likely a particle of its size lies inside the field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree


def touching(labels: NDArray[Any], label: int) -> NDArray[Any]:
    """Labels that share a voxel face with a particle.

    Parameters
    ----------
    labels
        (z, y, x), the particle's box and one voxel around it.
    label
        The particle.

    Returns
    -------
    numpy.ndarray
        Ascending labels.
    """
    own = labels == label
    found = []
    for axis in range(3):
        low, high = [slice(None)] * 3, [slice(None)] * 3
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        below, above = tuple(low), tuple(high)
        found += [labels[above][own[below]], labels[below][own[above]]]
    near = np.unique(np.concatenate(found))
    return near[(near != 0) & (near != label)]


def nearest_distances(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from each point to the nearest other one, (n,) in the unit of (n, 3) `centres`; NaN for a single one."""
    if len(centres) < 2:
        return np.full(len(centres), np.nan)
    distance = np.asarray(cKDTree(centres).query(centres, k=2)[0])
    return distance[:, 1]


def border_weights(
    extent: NDArray[np.int64],
    shape: Sequence[int],
    cut: Sequence[bool],
    radius: float | None = None,
) -> NDArray[np.float64]:
    """Weights that make up for large particles being cut by the border more often.

    Parameters
    ----------
    extent
        (n, 3) voxels of the particles' boxes.
    shape
        Voxels (z, y, x) of the field.
    cut
        Axes along which the field cuts the material; a monolayer is not cut in depth.
    radius
        Radius in voxels of a round field in y, x; the field is a box when not given.

    Returns
    -------
    numpy.ndarray
        (n,) ``1 / P(inside)``; infinite for a particle that fits nowhere.

    Notes
    -----
    Miles-Lantuejoul: a convex set of extent w lies inside a window of length L with probability (L - w) / L along each
    axis; in a disc of radius R, a set of half diagonal r with (R - r)^2 / R^2.
    """
    inside = np.ones(len(extent))
    for axis in range(3):
        if cut[axis] and not (radius is not None and axis > 0):
            inside *= np.clip((shape[axis] - extent[:, axis]) / shape[axis], 0, None)
    if radius is not None and (cut[1] or cut[2]):
        reach = 0.25 * (extent[:, 1] + extent[:, 2])
        inside *= np.clip((radius - reach) / radius, 0, None) ** 2
    return np.divide(1.0, inside, out=np.full(len(extent), math.inf), where=inside > 0)
