"""True detours along the surface of a particle, by shortest paths between points of its exact surface."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from tomostat.kernels.arrays import Doubles

NEIGHBOURS = 40
"""Nearest points to which each point is joined by a straight line: directions some 9 degrees apart."""
TO_BORDER = 0.3
"""Distance from the border of a contact to the first point in it on a path, in square roots of a point's area; with it
the mean over caps of a ball is that of theory."""


def surface_detour(points: Doubles, area: Doubles, contact: NDArray[np.bool_]) -> Doubles:
    """Shortest way along a surface from each of its points to the nearest contact.

    Parameters
    ----------
    points : (n, 3) float64
        Points spread over a closed surface.
    area : (n,) float64
        Area of each.
    contact : (n,) bool
        Which are in contact.

    Returns
    -------
    (n,) float64
        Length, in the units of `points`; 0 in contact, infinite where there is none.

    Notes
    -----
    Shortest paths (Dijkstra 1959) in the graph of nearest neighbours. The border of a contact lies between points, on
    average `TO_BORDER` before the first of them that a path comes to.
    """
    if not contact.any():
        return np.full(len(points), np.inf)
    length, beside = map(np.asarray, cKDTree(points).query(points, k=min(NEIGHBOURS + 1, len(points))))
    here = np.broadcast_to(np.arange(len(points))[:, None], beside.shape)
    graph = coo_array((length[:, 1:].ravel(), (here[:, 1:].ravel(), beside[:, 1:].ravel())), shape=(len(points),) * 2)
    way = dijkstra(graph.tocsr(), directed=False, indices=np.flatnonzero(contact), min_only=True)
    return np.where(contact, 0.0, np.maximum(way - TO_BORDER * np.sqrt(area), 0.0))
