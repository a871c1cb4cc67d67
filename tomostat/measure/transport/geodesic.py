"""How far electrons detour: shortest paths over a particle's surface, or through its solid, to the nearest contact."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomostat.kernels.arrays import ByteMask, Doubles, Floats
from tomostat.kernels.heap import POPPED, new_heap, pop, push
from tomostat.measure.shape.surface import Surface

LONGEST = 8.0
"""Longest straight step in voxels."""

CROSSING = 6
"""Square of the longest step, in voxels, over the end of a contact: values between 0 and 1 say where it lies, and only
points near it have them."""


@njit(cache=True, nogil=True)
def _edge_path(mask: ByteMask, z: int, y: int, x: int, dz: int, dy: int, dx: int) -> bool:
    """As `face_path`, for neighbours in the particle that share a face or an edge."""
    if abs(dz) + abs(dy) + abs(dx) == 1:
        return True
    return (
        (dz != 0 and mask[z + dz, y, x] != 0)
        or (dy != 0 and mask[z, y + dy, x] != 0)
        or (dx != 0 and mask[z, y, x + dx] != 0)
    )


@njit(cache=True, nogil=True)
def face_path(mask: ByteMask, z: int, y: int, x: int, dz: int, dy: int, dx: int) -> bool:
    """Whether faces inside the particle join a voxel to its neighbour at (dz, dy, dx), each -1, 0 or 1.

    Written out rather than recursive: a recursive function does not survive numba's cache.
    """
    if not mask[z + dz, y + dy, x + dx]:
        return False
    if abs(dz) + abs(dy) + abs(dx) < 3:
        return _edge_path(mask, z, y, x, dz, dy, dx)
    if mask[z + dz, y, x] and _edge_path(mask, z + dz, y, x, 0, dy, dx):
        return True
    if mask[z, y + dy, x] and _edge_path(mask, z, y + dy, x, dz, 0, dx):
        return True
    return mask[z, y, x + dx] != 0 and _edge_path(mask, z, y, x + dx, dz, dy, 0)


@njit(cache=True, nogil=True)
def _open_steps(mask: ByteMask, voxel: NDArray[np.int32], index: NDArray[np.int32]) -> NDArray[np.uint32]:
    """For each boundary voxel a bit for every neighbour (of 26) on the boundary that faces join it to.

    Walls of a narrow crack touch at corners and edges of voxels; there is no way across.
    """
    nz, ny, nx = mask.shape
    bits = np.zeros(len(voxel), np.uint32)
    for i in range(len(voxel)):
        z, y, x = voxel[i]
        for k in range(27):
            dz, dy, dx = k // 9 - 1, k // 3 % 3 - 1, k % 3 - 1
            a, b, c = z + dz, y + dy, x + dx
            if k == 13 or not (0 <= a < nz and 0 <= b < ny and 0 <= c < nx) or index[a, b, c] < 0:
                continue
            if face_path(mask, z, y, x, dz, dy, dx):
                bits[i] |= np.uint32(1) << np.uint32(k)
    return bits


@njit(cache=True, nogil=True)
def _bit(dz: int, dy: int, dx: int) -> int:
    return (dz + 1) * 9 + (dy + 1) * 3 + dx + 1


@njit(cache=True, nogil=True)
def _passable(voxel: NDArray[np.int32], index: NDArray[np.int32], steps: NDArray[np.uint32], i: int, j: int) -> bool:
    """Whether a path may step from `i` to `j`: directly, or over one boundary voxel between the two."""
    z, y, x = voxel[i]
    dz, dy, dx = voxel[j, 0] - z, voxel[j, 1] - y, voxel[j, 2] - x
    reach = max(abs(dz), abs(dy), abs(dx))
    if reach < 2:
        return (steps[i] >> np.uint32(_bit(dz, dy, dx))) & np.uint32(1) != 0
    if reach > 2:
        return False
    for a in range(max(dz - 1, -1), min(dz + 1, 1) + 1):
        for b in range(max(dy - 1, -1), min(dy + 1, 1) + 1):
            for c in range(max(dx - 1, -1), min(dx + 1, 1) + 1):
                if (steps[i] >> np.uint32(_bit(a, b, c))) & np.uint32(1) == 0:
                    continue
                k = index[z + a, y + b, x + c]
                if (steps[k] >> np.uint32(_bit(dz - a, dy - b, dx - c))) & np.uint32(1) != 0:
                    return True
    return False


@njit(cache=True, nogil=True)
def _apart(voxel: NDArray[np.int32], i: int, j: int) -> int:
    """Square of the distance of two voxels, counted in voxels."""
    dz, dy, dx = voxel[i, 0] - voxel[j, 0], voxel[i, 1] - voxel[j, 1], voxel[i, 2] - voxel[j, 2]
    return dz * dz + dy * dy + dx * dx


@njit(cache=True, nogil=True)
def _arc(point: Floats, normal: Floats, i: int, j: int) -> tuple[float, float]:
    """Length of the arc from `i` to `j` on a surface that turns evenly between them, and their normals' cosine."""
    chord, agree = 0.0, 0.0
    for a in range(3):
        chord += (point[j, a] - point[i, a]) ** 2
        agree += normal[i, a] * normal[j, a]
    turn = max(2.0 - 2.0 * agree, 0.0)  # about the angle squared
    return np.sqrt(chord) * (1.0 + turn / 24.0), agree


@njit(cache=True, nogil=True)
def _spread(
    voxel: NDArray[np.int32],
    index: NDArray[np.int32],
    point: Floats,
    normal: Floats,
    start: NDArray[np.int64],
    neighbour: NDArray[np.int32],
    steps: NDArray[np.uint32],
    contact: Floats,
    longest: float,
    distance: Doubles,
) -> None:
    """Dijkstra from all contacts at once; a step may start at the last corner of the path rather than at its end."""
    n = len(voxel)
    heap = new_heap(n, False)
    corner = np.full(n, -1, np.int32)
    for i in range(n):
        distance[i] = 0.0 if contact[i] >= 0.5 else np.inf
        if contact[i] >= 0.5:
            push(heap, i, 0.0)
    while heap.size[0] > 0:
        i = pop(heap)
        c = corner[i]
        for k in range(start[i], start[i + 1]):
            j = neighbour[k]
            if heap.slot[j] == POPPED or contact[j] >= 0.5:
                continue
            if contact[i] >= 0.5 and _apart(voxel, i, j) > CROSSING:
                continue
            length, agree = _arc(point, normal, i, j)
            if contact[i] >= 0.5:  # the contact ends between the two
                length *= (0.5 - contact[j]) / max(contact[i] - contact[j], 1e-6)
            new, origin = distance[i] + length, i
            if c >= 0:
                length, agree = _arc(point, normal, c, j)
                if length < longest and agree > 0.8 and distance[c] + length < new:
                    new, origin = distance[c] + length, c
            if new < distance[j] and _passable(voxel, index, steps, i, j):
                distance[j], corner[j] = new, origin if contact[origin] < 0.5 else -1
                push(heap, j, new)


def surface_distance(surface: Surface, contact: Floats) -> Doubles:
    """Shortest distance over the surface to the nearest contact.

    Parameters
    ----------
    surface
        Outer surface of a particle.
    contact
        (n,) float32, contact of each surface point from 0 to 1; it ends where it passes 1/2.

    Returns
    -------
    numpy.ndarray
        (n,) float64, micrometers; 0 in contact, infinite where no way leads (everywhere without a contact).

    Notes
    -----
    Dijkstra over the 5 x 5 x 5 neighbours between points on the smoothed half level. A step follows voxels that faces
    join, so none crosses from one wall of a crack to the other. Paths are straightened on the way (after Theta*, Daniel
    et al., JAIR 39, 533 (2010)), as long as the surface bends little.
    """
    s = surface
    distance = np.empty(len(s), np.float64)
    longest = LONGEST * min(s.spacing)
    steps = _open_steps(s.mask, s.voxel, s.index)
    level = contact.astype(np.float32)
    _spread(s.voxel, s.index, s.point, s.normal, s.start, s.neighbour, steps, level, longest, distance)
    return distance
