"""Exact Euclidean distances in a box of voxels."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomostat.measure.surface import Spacing

Doubles = NDArray[np.float64]

FAR = 1e20
"""Squared distance where there is no target."""


@njit(cache=True)
def _envelope(f: Doubles, step: float, out: Doubles, place: NDArray[np.int64], bound: Doubles) -> None:
    """Lower envelope of parabolas: ``out[q] = min_p (step (q - p))^2 + f[p]``."""
    n = len(f)
    k = -1
    for q in range(n):
        if f[q] >= FAR:
            continue
        cut = -np.inf
        while k >= 0:
            p = place[k]
            cut = (f[q] - f[p] + step * step * (q * q - p * p)) / (2 * step * step * (q - p))
            if cut > bound[k]:
                break
            k -= 1
        k += 1
        place[k] = q
        bound[k] = cut if k > 0 else -np.inf
    if k < 0:
        out[:] = FAR
        return
    at = 0
    for q in range(n):
        while at < k and bound[at + 1] < q:
            at += 1
        out[q] = (step * (q - place[at])) ** 2 + f[place[at]]


@njit(cache=True)
def _squares(target: NDArray[np.uint8], spacing: Doubles) -> Doubles:
    nz, ny, nx = target.shape
    square = np.empty(target.shape)
    longest = max(nz, ny, nx)
    line, out = np.empty(longest), np.empty(longest)
    place, bound = np.empty(longest, np.int64), np.empty(longest)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                line[x] = 0.0 if target[z, y, x] else FAR
            _envelope(line[:nx], spacing[2], out[:nx], place, bound)
            square[z, y] = out[:nx]
        for x in range(nx):
            for y in range(ny):
                line[y] = square[z, y, x]
            _envelope(line[:ny], spacing[1], out[:ny], place, bound)
            for y in range(ny):
                square[z, y, x] = out[y]
    for y in range(ny):
        for x in range(nx):
            for z in range(nz):
                line[z] = square[z, y, x]
            _envelope(line[:nz], spacing[0], out[:nz], place, bound)
            for z in range(nz):
                square[z, y, x] = out[z]
    return square


def distance_to(target: NDArray[np.bool_], spacing: Spacing) -> Doubles:
    """Distance of every voxel centre to the nearest centre of a target voxel.

    Parameters
    ----------
    target
        (z, y, x) bool.
    spacing
        Voxel size (z, y, x) in micrometers.

    Returns
    -------
    numpy.ndarray
        (z, y, x) float64, micrometers; infinite where there is no target.

    Notes
    -----
    Felzenszwalb and Huttenlocher, Theory of Computing 8, 415 (2012).
    """
    square = _squares(np.ascontiguousarray(target).view(np.uint8), np.asarray(spacing, np.float64))
    return np.where(square >= FAR, np.inf, np.sqrt(square))
