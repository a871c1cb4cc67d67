"""Masks evened out: the roughness that noise gives them goes before edges are fitted to them.

An edge is fitted over some voxels around every place and moves the surface of a mask as a whole; what is rough on a
smaller scale would stay. So voxels at the surface join, or leave, where most of a Gaussian neighbourhood says so.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from tomostat.kernels.smoothing import smooth

REACH = 2.0
"""Reach of the Gaussian in its standard deviations."""
DEEP = 0.98
"""Share of the Gaussian within particles from which on a voxel lies so deep that what the phases call void is void."""
APART = 2
"""Voxels between two particles up to which the void between them is not filled."""


def evening_reach(sigma: float) -> int:
    """Voxels around a voxel that the Gaussian covers."""
    return math.ceil(REACH * sigma)


def evening_halo(sigma: float) -> int:
    """Voxels around a block that its evened labels depend on."""
    return max(evening_reach(sigma), APART)


def even_out(
    labels: NDArray[np.uint32], solid: NDArray[np.uint8], usable: NDArray[np.uint8], sigma: float
) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Even out the surfaces of particles, by at most a voxel.

    A voxel beside a particle joins it where more than half of the Gaussian around the voxel is in particles, unless a
    second particle is near: gaps stay open. A solid voxel at the surface leaves where less than half is. Thin plates
    and small particles lose no more than their outermost voxels. Curved surfaces move inwards as by any Gaussian,
    by its variance times their mean curvature. Voids so close to the surface that the Gaussian reaches it count as
    solid: in noise most of them are none, and the edge that is fitted to the grey values is to decide.

    Parameters
    ----------
    labels
        Particles, (z, y, x) uint32.
    solid
        Voxels of particles that are not void, (z, y, x) uint8 of 0 and 1.
    usable
        Voxels that are part of the image, likewise.
    sigma
        Standard deviation of the Gaussian in voxels.

    Returns
    -------
    labels, solid : ndarray
        The same for the evened masks.
    """
    share = smooth((labels > 0).view(np.uint8), sigma, evening_reach(sigma))
    return _even_out(labels, solid, usable, share)


@numba.njit(cache=True, nogil=True)
def _even_out(labels, solid, usable, share):  # type: ignore[no-untyped-def]
    nz, ny, nx = labels.shape
    evened, still_solid = labels.copy(), solid.copy()
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if labels[z, y, x] == 0:
                    if share[z, y, x] > 0.5 and usable[z, y, x]:
                        label = _only_neighbour(labels, z, y, x)
                        if label:
                            evened[z, y, x], still_solid[z, y, x] = label, 1
                elif not solid[z, y, x]:
                    still_solid[z, y, x] = share[z, y, x] < DEEP and usable[z, y, x]
                elif share[z, y, x] < 0.5 and _touches_background(labels, z, y, x):
                    evened[z, y, x], still_solid[z, y, x] = 0, 0
    return evened, still_solid


@numba.njit(cache=True, nogil=True)
def _only_neighbour(labels, z, y, x):  # type: ignore[no-untyped-def]
    """Label of the particle that a voxel touches; 0 where it touches none, or another is within `APART` voxels."""
    nz, ny, nx = labels.shape
    found, touches = labels[z, y, x], False
    for a in range(max(z - APART, 0), min(z + APART + 1, nz)):
        for b in range(max(y - APART, 0), min(y + APART + 1, ny)):
            for c in range(max(x - APART, 0), min(x + APART + 1, nx)):
                label = labels[a, b, c]
                if label == 0:
                    continue
                if found != 0 and label != found:
                    return labels[z, y, x]
                found = label
                touches |= max(abs(a - z), abs(b - y), abs(c - x)) == 1
    return found if touches else labels[z, y, x]


@numba.njit(cache=True, nogil=True)
def _touches_background(labels, z, y, x):  # type: ignore[no-untyped-def]
    """Whether a voxel touches one that is in no particle."""
    nz, ny, nx = labels.shape
    for a in range(max(z - 1, 0), min(z + 2, nz)):
        for b in range(max(y - 1, 0), min(y + 2, ny)):
            for c in range(max(x - 1, 0), min(x + 2, nx)):
                if labels[a, b, c] == 0:
                    return True
    return False
