"""Particles that are cut flat where blocks or tiles meet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEAST_FACE = 60
"""Voxels of a particle's face below which a flat end cannot be distinguished from the end of a small particle."""
FLAT_SHARE = 0.6
"""Share of a particle's largest section near a seam that ends there, from which on it counts as cut."""


def flat_ends(planes: NDArray[np.uint32], at: int) -> Sequence[tuple[int, int, int]]:
    """Particles that end with a large face between two planes of labels.

    The sections of a particle that really ends become smaller towards its end; one that is cut keeps its section.

    Parameters
    ----------
    planes
        (n, rows, columns) labels of neighbouring planes.
    at
        The seam lies between the planes ``at - 1`` and ``at``.

    Returns
    -------
    sequence
        Particle, and row and column of a voxel of its face.
    """
    found = []
    for last, next_, side in ((planes[at - 1], planes[at], planes[:at]), (planes[at], planes[at - 1], planes[at:])):
        face = (last > 0) & (last != next_)
        cut = np.bincount(last[face])
        if not cut.any():
            continue
        sections = np.stack([np.bincount(plane.ravel(), minlength=len(cut))[: len(cut)] for plane in side])
        flat = (cut >= LEAST_FACE) & (cut >= FLAT_SHARE * sections.max(0)) & (len(side) > 1)
        for number in np.flatnonzero(flat):
            row, column = np.argwhere(face & (last == number))[0]
            found.append((int(number), int(row), int(column)))
    return found
