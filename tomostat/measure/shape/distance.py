"""Exact Euclidean distances in a box of voxels."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomostat.kernels.arrays import Doubles
from tomostat.kernels.smoothing import Spacing

FAR = 1e20
"""Squared distance where there is no target."""


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _along_row(target: NDArray[np.uint8], step: float, out: Doubles) -> None:
    """Square of the distance along a row to the nearest target."""
    n = len(target)
    near = -1
    for x in range(n):
        near = x if target[x] else near
        out[x] = (step * (x - near)) ** 2 if near >= 0 else FAR
    near = -1
    for x in range(n - 1, -1, -1):
        near = x if target[x] else near
        if near >= 0:
            out[x] = min(out[x], (step * (near - x)) ** 2)


@njit(cache=True, nogil=True)
def _along_line(square: Doubles, step: float, known: Doubles, place: NDArray[np.int64], bound: Doubles) -> None:
    """Extend squared distances by one more axis, in place; the other arrays are memory to work in."""
    n = len(square)
    largest = 0.0
    for k in range(n):
        known[k] = square[k]
        largest = max(largest, known[k])
    if largest > 0 and n > 1:
        _envelope(known[:n], step, square, place, bound)


@njit(cache=True, nogil=True)
def _squares(target: NDArray[np.uint8], spacing: Doubles) -> Doubles:
    nz, ny, nx = target.shape
    square = np.empty(target.shape)
    longest = max(nz, ny)
    known, place, bound = np.empty(longest), np.empty(longest, np.int64), np.empty(longest)
    for z in range(nz):
        for y in range(ny):
            _along_row(target[z, y], spacing[2], square[z, y])
        for x in range(nx):
            _along_line(square[z, :, x], spacing[1], known, place, bound)
    for y in range(ny):
        for x in range(nx):
            _along_line(square[:, y, x], spacing[0], known, place, bound)
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
