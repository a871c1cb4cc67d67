"""A surface's area by Crofton's formula, from the lines that cross it: an independent check of the sum over faces."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomostat.kernels.arrays import ByteMask
from tomostat.kernels.directions import DIRECTIONS, crofton_weights
from tomostat.kernels.smoothing import Spacing


@njit(cache=True, nogil=True)
def _transitions(padded: ByteMask, directions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Transitions between particle and background along each direction, in a box with an empty voxel on all sides."""
    nz, ny, nx = padded.shape
    counts = np.zeros(len(directions), np.int64)
    for k in range(len(directions)):
        dz, dy, dx = directions[k]
        low, high = max(-dx, 0), nx - max(dx, 0)
        for z in range(nz - dz):
            for y in range(max(-dy, 0), ny - max(dy, 0)):
                here, there = padded[z, y, low:high], padded[z + dz, y + dy, low + dx : high + dx]
                changes = 0
                for x in range(high - low):
                    changes += here[x] ^ there[x]
                counts[k] += changes
    return counts


def crofton_area(mask: ByteMask, spacing: Spacing) -> float:
    """Area of a particle's whole surface from intersections with lines in 13 directions, micrometer^2.

    An independent check of the faces' sum: it needs no normals, but is off by some 2 % on planes.

    Parameters
    ----------
    mask
        (z, y, x) uint8, 1 in the particle.
    spacing
        Voxel size (z, y, x) in micrometers.

    Notes
    -----
    ``S = 2 sum w_d N_d V / |d|``, all transitions ``N_d`` along direction ``d``, volume ``V`` of a voxel: Lehmann and
    Legland, The Insight Journal (2012).
    """
    lengths = np.linalg.norm(DIRECTIONS * np.asarray(spacing), axis=1)
    counts = _transitions(np.pad(mask, 1), DIRECTIONS)
    return float(2 * np.prod(spacing) * (crofton_weights(tuple(spacing)) * counts / lengths).sum())
