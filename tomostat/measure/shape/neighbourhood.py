"""The voxels around a voxel: those that share a face with it, and boundary voxels of the particle nearby."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

STEPS = np.array([(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)], np.int64)
"""The six face neighbours; face k lies on the low (even) or high (odd) side of axis k // 2."""

CORNER = 12
"""Square of the largest distance of a neighbour in voxels: the corner of the 5 x 5 x 5 voxels around."""

REACH = 3
"""Largest distance of a neighbour along an axis, in voxels."""

NEIGHBOURS = 60
"""Neighbours per boundary voxel for which memory is taken at first: on a ball there are some 36."""


@njit(cache=True, nogil=True)
def _neighbours(
    voxel: NDArray[np.int32], index: NDArray[np.int32], start: NDArray[np.int64], found: NDArray[np.int32]
) -> int:
    """List the boundary voxels around each as far as they fit into `found`; returns how many there are."""
    nz, ny, nx = index.shape
    n = 0
    reach = np.array([int(np.sqrt(CORNER - square)) for square in range(CORNER + 1)])
    for i in range(len(voxel)):
        start[i] = n
        z, y, x = voxel[i]
        for a in range(max(z - REACH, 0), min(z + REACH + 1, nz)):
            for b in range(max(y - REACH, 0), min(y + REACH + 1, ny)):
                square = (a - z) ** 2 + (b - y) ** 2
                if square > CORNER:
                    continue
                for c in range(max(x - reach[square], 0), min(x + reach[square] + 1, nx)):
                    q = index[a, b, c]
                    if q >= 0:
                        if n < len(found):
                            found[n] = q
                        n += 1
    start[len(voxel)] = n
    return n


def list_neighbours(voxel: NDArray[np.int32], index: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Neighbours of every boundary voxel among the boundary voxels, itself included.

    Parameters
    ----------
    voxel
        (n, 3) int32, z y x.
    index
        (z, y, x) int32, number of the boundary voxel at each voxel, -1 elsewhere.

    Returns
    -------
    tuple of numpy.ndarray
        (n + 1,) and (m,): the neighbours of voxel i are ``neighbour[start[i] : start[i + 1]]``.
    """
    start = np.empty(len(voxel) + 1, np.int64)
    capacity, found = 0, NEIGHBOURS * len(voxel)
    while found > capacity:
        capacity = found
        neighbour = np.empty(capacity, np.int32)
        found = _neighbours(voxel, index, start, neighbour)
    return start, neighbour[:found]
