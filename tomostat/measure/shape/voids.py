"""Voids that a particle encloses."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from tomostat.kernels.arrays import ByteMask


def fill_voids(mask: ByteMask) -> ByteMask:
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
    # `ndimage.binary_fill_holes` gives the same in three times the time.
    pores, count = ndimage.label(mask == 0)
    enclosed = np.ones(count + 1, bool)
    faces = [pores[:, 0], pores[:, -1], pores[:, :, 0], pores[:, :, -1]]
    if len(mask) > 1:
        faces += [pores[0], pores[-1]]
    for face in faces:
        enclosed[face] = False
    enclosed[0] = True  # the particle itself
    return enclosed[pores].view(np.uint8)
