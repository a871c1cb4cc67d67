"""Voids that a particle encloses."""

from __future__ import annotations

import numpy as np
from numba import njit

from tomostat.measure.shape.neighbourhood import STEPS
from tomostat.measure.shape.smoothing import Mask


@njit(cache=True, nogil=True)
def _flood(mask: Mask, outer: Mask) -> None:
    """Mark in `outer` the background voxels that faces connect to the box's edge."""
    nz, ny, nx = mask.shape
    stack = np.empty((nz * ny * nx, 3), np.int32)
    top = 0
    for z in range(nz):
        for y in range(ny):
            edge = ((z == 0 or z == nz - 1) and nz > 1) or y == 0 or y == ny - 1
            step = 1 if edge else max(nx - 1, 1)
            for x in range(0, nx, step):
                if mask[z, y, x] == 0:
                    outer[z, y, x] = 1
                    stack[top] = z, y, x
                    top += 1
    while top > 0:
        top -= 1
        z, y, x = stack[top]
        for k in range(6):
            a, b, c = z + STEPS[k, 0], y + STEPS[k, 1], x + STEPS[k, 2]
            if 0 <= a < nz and 0 <= b < ny and 0 <= c < nx and mask[a, b, c] == 0 and outer[a, b, c] == 0:
                outer[a, b, c] = 1
                stack[top] = a, b, c
                top += 1


def fill_voids(mask: Mask) -> Mask:
    """Fill the voids that a particle encloses.

    Parameters
    ----------
    mask
        (z, y, x) uint8, 1 in the particle. With one slice, voids are enclosed within the slice.

    Returns
    -------
    numpy.ndarray
        uint8, 1 in the particle and in every void that no path over voxel faces connects to the box's edge.
    """
    outer = np.zeros_like(mask)
    _flood(mask, outer)
    return np.where(outer == 0, 1, 0).astype(np.uint8)
