"""Shortest paths through a particle's solid to the nearest contact: straight where they can be, around cracks else."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomostat.kernels.arrays import ByteMask, Doubles, Floats, Ints32
from tomostat.kernels.heap import POPPED, new_heap, pop, push
from tomostat.measure.shape.surface import Surface
from tomostat.measure.transport.geodesic import face_path


@njit(cache=True, nogil=True)
def _place(node: Ints32, index: Ints32, point: Floats, spacing: Doubles, out: Doubles) -> None:
    """Where a voxel lies: boundary voxels on the surface, others at their centre."""
    number = index[node[0], node[1], node[2]]
    for a in range(3):
        out[a] = point[number, a] if number >= 0 else node[a] * spacing[a]


@njit(cache=True, nogil=True)
def _apart(i: Ints32, j: Ints32, index: Ints32, point: Floats, spacing: Doubles, p: Doubles, q: Doubles) -> float:
    """Straight distance of two voxels in micrometers."""
    _place(i, index, point, spacing, p)
    _place(j, index, point, spacing, q)
    return np.sqrt(((p - q) ** 2).sum())


@njit(cache=True, nogil=True)
def _visible(solid: ByteMask, i: Ints32, j: Ints32) -> bool:
    """Whether the straight line between two voxels stays in the solid, looked at every half voxel."""
    longest = max(abs(i[0] - j[0]), abs(i[1] - j[1]), abs(i[2] - j[2]))
    steps = 2 * longest
    for k in range(1, steps):
        t = k / steps
        z = int(np.floor(i[0] + t * (j[0] - i[0]) + 0.5))
        y = int(np.floor(i[1] + t * (j[1] - i[1]) + 0.5))
        x = int(np.floor(i[2] + t * (j[2] - i[2]) + 0.5))
        if not solid[z, y, x]:
            return False
    return True


@njit(cache=True, nogil=True)
def _margin(
    voxel: Ints32, start: NDArray[np.int64], neighbour: Ints32, point: Floats, contact: Floats, out: Doubles
) -> None:
    """How far the contact reaches beyond each of its points towards the nearest one without."""
    out[:] = 0.0
    for i in range(len(voxel)):
        if contact[i] < 0.5:
            continue
        least = np.inf
        for k in range(start[i], start[i + 1]):
            j = neighbour[k]
            reach = max(abs(voxel[i, 0] - voxel[j, 0]), abs(voxel[i, 1] - voxel[j, 1]), abs(voxel[i, 2] - voxel[j, 2]))
            if reach > 1 or contact[j] >= 0.5:
                continue
            length = np.sqrt(((point[i] - point[j]) ** 2).sum())
            least = min(least, length * (contact[i] - 0.5) / (contact[i] - contact[j]))
        if least < np.inf:
            out[i] = least


@njit(cache=True, nogil=True)
def _flow(
    solid: ByteMask,
    number: Ints32,
    node: Ints32,
    index: Ints32,
    point: Floats,
    spacing: Doubles,
    contact: Floats,
    margin: Doubles,
) -> Doubles:
    """Lazy Theta* from all contacts at once; distance of every solid voxel."""
    n = len(node)
    distance = np.full(n, np.inf)
    corner = np.full(n, -1, np.int32)
    heap = new_heap(n, False)
    p, q = np.empty(3), np.empty(3)
    for i in range(n):
        at = index[node[i, 0], node[i, 1], node[i, 2]]
        if at >= 0 and contact[at] >= 0.5:
            distance[i], corner[i] = -margin[at], i
            push(heap, i, distance[i])
    beside = np.empty(26, np.int32)
    while heap.size[0] > 0:
        i = pop(heap)
        z, y, x = node[i]
        near = 0
        for k in range(27):
            dz, dy, dx = k // 9 - 1, k // 3 % 3 - 1, k % 3 - 1
            if k != 13 and number[z + dz, y + dy, x + dx] >= 0 and face_path(solid, z, y, x, dz, dy, dx):
                beside[near] = number[z + dz, y + dy, x + dx]
                near += 1
        if not _visible(solid, node[corner[i]], node[i]):  # the straight line was hoped for: go by a neighbour
            distance[i] = np.inf
            for k in range(near):
                j = beside[k]
                if heap.slot[j] == POPPED:
                    length = distance[j] + _apart(node[i], node[j], index, point, spacing, p, q)
                    if length < distance[i]:
                        distance[i], corner[i] = length, j
        c = corner[i]
        for k in range(near):
            j = beside[k]
            if heap.slot[j] == POPPED:
                continue
            length = distance[c] + _apart(node[c], node[j], index, point, spacing, p, q)
            if length < distance[j]:
                distance[j], corner[j] = length, c
                push(heap, j, length)
    return distance


def solid_distance(surface: Surface, contact: Floats, void: NDArray[np.bool_]) -> Doubles:
    """Shortest distance through the solid to the nearest contact, at every surface point.

    Parameters
    ----------
    surface
        Outer surface of a particle.
    contact
        (n,) float32, contact of each surface point from 0 to 1; 1/2 and more is contact.
    void
        (z, y, x) bool, cracks and pores inside the particle, which no path crosses.

    Returns
    -------
    numpy.ndarray
        (n,) float64, micrometers; infinite where no way leads and at points that lie in a void.

    Notes
    -----
    Lazy Theta*, Nash, Koenig and Tovey, AAAI 2010: Dijkstra over the 26 neighbours whose paths are pulled straight
    wherever the straight line stays in the solid.
    """
    solid = np.pad((surface.mask.astype(bool) & ~void).view(np.uint8), 1)
    index = np.pad(surface.index, 1, constant_values=-1)
    node = np.argwhere(solid).astype(np.int32)
    number = np.full(solid.shape, -1, np.int32)
    number[tuple(node.T)] = np.arange(len(node), dtype=np.int32)
    spacing = np.asarray(surface.spacing, np.float64)
    point = (surface.point + spacing).astype(np.float32)  # the box grew by one voxel
    level = contact.astype(np.float32)
    margin = np.empty(len(surface), np.float64)
    _margin(surface.voxel, surface.start, surface.neighbour, surface.point, level, margin)
    distance = np.maximum(_flow(solid, number, node, index, point, spacing, level, margin), 0)
    at = number[tuple(surface.voxel.T + 1)]
    found = np.where(at >= 0, distance[np.maximum(at, 0)] if len(node) else np.inf, np.inf)
    return np.where((level >= 0.5) & (at >= 0), 0.0, found)
