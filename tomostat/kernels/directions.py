"""Directions to the 26 neighbours of a voxel, and the share of all directions that each stands for."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import SphericalVoronoi

from tomostat.kernels.smoothing import Spacing

DIRECTIONS = np.array(
    [(z, y, x) for z in (0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if (z, y, x) > (0, 0, 0)],
    np.int64,
)
"""The 13 directions of the 26 neighbours."""


@lru_cache(maxsize=16)
def crofton_weights(spacing: Spacing) -> NDArray[np.float64]:
    """Share of all directions that each of the 13 represents, (13,); they sum to 1.

    The Voronoi cells of the 26 directions on the sphere, for any voxel aspect ratio; cubic voxels give 0.09156 (axes),
    0.07396 (face diagonals) and 0.07039 (body diagonals).
    """
    physical = DIRECTIONS * np.asarray(spacing)
    unit = physical / np.linalg.norm(physical, axis=1, keepdims=True)
    cells = SphericalVoronoi(np.concatenate([unit, -unit])).calculate_areas()
    shares = np.asarray(cells[: len(unit)] / (2 * np.pi))
    shares.setflags(write=False)
    return shares
