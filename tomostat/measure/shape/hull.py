"""The convex hull of a particle, and how wide it is.

A particle's surface is where its mask, smoothed with a Gaussian, is one half: that is right to some tenth of a voxel on
smooth and on plane surfaces at any tilt, where the corners of voxels stick out by half a voxel and more. Smoothing
rounds edges, so the centres of the voxels count as well: they lie in the particle for certain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.spatial import ConvexHull, QhullError

from tomostat.kernels.arrays import ByteMask, Doubles, Floats, Ints
from tomostat.kernels.smoothing import Spacing, smooth
from tomostat.measure.shape.neighbourhood import STEPS

LEAST_CELLS, MOST_CELLS = 8, 16
"""Least and largest number of cells along an edge of the cube of directions, in each of which one point is kept."""

VOXELS_PER_CELL = 2.5
"""Voxels of the surface, along a line, that one cell of a ball covers."""


@dataclass(frozen=True)
class FeretDiameters:
    """Distances of parallel planes that touch a particle on both sides, micrometers.

    Attributes
    ----------
    longest
        The largest: the longest distance between two points of the particle.
    across
        The largest at right angles to the longest.
    shortest
        The smallest.
    """

    longest: float
    across: float
    shortest: float


def convex_hull(mask: ByteMask, spacing: Spacing) -> ConvexHull:
    """The convex hull of a particle.

    Parameters
    ----------
    mask
        (z, y, x) uint8, 1 in the particle. Where it reaches the edge of the box it is taken to go on beyond it.
    spacing
        Voxel size (z, y, x) in micrometers.

    Returns
    -------
    scipy.spatial.ConvexHull
        Of points in micrometers from the centre of the box's first voxel. A particle of a single line or plane of
        voxels has the hull of the corners of its voxels.
    """
    size = np.asarray(spacing, np.float64)
    points = _outermost(_surface_points(mask, smooth(mask)) * size, size)
    try:
        return ConvexHull(points if len(points) > 3 else _corners(mask) * size)
    except QhullError:
        return ConvexHull(_corners(mask) * size)


def _corners(mask: ByteMask) -> Doubles:
    """Corners of all voxels, (n, 3), in voxels."""
    return (np.argwhere(mask)[:, None] - 0.5 + np.array(list(np.ndindex(2, 2, 2)))).reshape(-1, 3)


@njit(cache=True, nogil=True)
def _surface_points(mask: ByteMask, f: Floats) -> Doubles:
    """Centres of the boundary voxels, and the places between them and the outside where `f` is one half; in voxels."""
    nz, ny, nx = mask.shape
    points = np.empty((1024, 3))
    count = 0
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if not mask[z, y, x]:
                    continue
                if count + 7 > len(points):
                    larger = np.empty((2 * len(points), 3))
                    larger[:count] = points[:count]
                    points = larger
                inside, open_faces = f[z, y, x], 0
                for k in range(6):
                    a, b, c = z + STEPS[k, 0], y + STEPS[k, 1], x + STEPS[k, 2]
                    within = 0 <= a < nz and 0 <= b < ny and 0 <= c < nx
                    if within and mask[a, b, c]:
                        continue
                    open_faces += 1
                    if within and inside > 0.5 > f[a, b, c]:
                        t = (inside - 0.5) / (inside - f[a, b, c])
                        points[count] = z + t * STEPS[k, 0], y + t * STEPS[k, 1], x + t * STEPS[k, 2]
                        count += 1
                if open_faces:
                    points[count] = z, y, x
                    count += 1
    return points[:count]


def _outermost(points: Doubles, size: Doubles) -> Doubles:
    """The outermost points in every direction, some per thousand of a particle's radius short of all of them.

    Directions are those in the frame in which the points have unit covariance, so that needles and plates keep their
    ends and rims; they are divided into cells by a grid on the faces of a cube.
    """
    centred = points - points.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(points))
    least = (1e-3 * size.min()) ** 2
    round_ = centred @ (vectors / np.sqrt(np.maximum(values, least)))
    across = math.sqrt(len(points) / 12)  # voxels along an edge of a cube with so many boundary voxels and crossings
    cells = int(np.clip(across / VOXELS_PER_CELL, LEAST_CELLS, MOST_CELLS))
    return points[_farthest_by_cell(round_, cells)]


@njit(cache=True, nogil=True)
def _farthest_by_cell(points: Doubles, cells: int) -> Ints:
    """Numbers of the points that are farthest from the origin in their cell of directions."""
    best = np.full(6 * cells * cells, -1, np.int64)
    far = np.zeros(6 * cells * cells)
    for n in range(len(points)):
        axis = 0
        for i in range(1, 3):
            if abs(points[n, i]) > abs(points[n, axis]):
                axis = i
        height = abs(points[n, axis])
        if height == 0:
            continue
        u, v = points[n, (axis + 1) % 3] / height, points[n, (axis + 2) % 3] / height
        row = min(int((math.atan(u) / math.pi * 2 + 0.5) * cells), cells - 1)  # equal angles
        column = min(int((math.atan(v) / math.pi * 2 + 0.5) * cells), cells - 1)
        face = 2 * axis + (points[n, axis] > 0)
        cell = (face * cells + row) * cells + column
        distance = (points[n] ** 2).sum()
        if distance > far[cell]:
            far[cell], best[cell] = distance, n
    return best[best >= 0]


def feret_diameters(hull: ConvexHull) -> FeretDiameters:
    """The Feret diameters of a convex hull, exact.

    Parameters
    ----------
    hull
        Of points in three dimensions.

    Notes
    -----
    The smallest distance of two parallel planes that touch a polyhedron on both sides is that of a face and a corner,
    or of two edges (Houle and Toussaint, IEEE Trans. Pattern Analysis and Machine Intelligence 10, 761 (1988)). While
    the plane's normal turns from one face to the next, the corner on the other side is followed from edge to edge.
    """
    corners = np.ascontiguousarray(hull.points[hull.vertices])
    number = np.full(len(hull.points), -1, np.int64)
    number[hull.vertices] = np.arange(len(corners))
    faces = number[hull.simplices]
    longest, a, b = _farthest_pair(corners)
    along = (corners[b] - corners[a]) / longest
    flat = corners - (corners @ along)[:, None] * along
    across, _, _ = _farthest_pair(np.ascontiguousarray(flat))
    normals = np.ascontiguousarray(hull.equations[:, :3])
    start, neighbour = _list_edges(faces, len(corners))
    shortest = _least_width(corners, faces, hull.neighbors.astype(np.int64), normals, start, neighbour)
    return FeretDiameters(longest, across, shortest)


@njit(cache=True, nogil=True)
def _farthest_pair(points: Doubles) -> tuple[float, int, int]:
    """The longest distance between two points, and their numbers."""
    best, first, second = -1.0, 0, 0
    for i in range(len(points)):
        for j in range(i):
            square = 0.0
            for k in range(3):
                square += (points[i, k] - points[j, k]) ** 2
            if square > best:
                best, first, second = square, i, j
    return math.sqrt(best), first, second


def _list_edges(faces: Ints, count: int) -> tuple[Ints, Ints]:
    """Corners that share an edge with each corner: those of corner i are ``neighbour[start[i] : start[i + 1]]``."""
    a, b = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).T
    corner, other = np.divmod(np.unique(np.concatenate([a * count + b, b * count + a])), count)
    return np.searchsorted(corner, np.arange(count + 1)), other


@njit(cache=True, nogil=True)
def _height(points: Doubles, a: int, b: int, normal: Doubles) -> float:
    """Height of point `a` over point `b` along a normal."""
    height = 0.0
    for i in range(3):
        height += (points[a, i] - points[b, i]) * normal[i]
    return height


@njit(cache=True, nogil=True)
def _least_width(corners: Doubles, faces: Ints, beside: Ints, normals: Doubles, start: Ints, neighbour: Ints) -> float:
    """Smallest distance of two parallel planes that touch the hull on both sides.

    `beside` numbers the faces beside each face's edges, `start` and `neighbour` the corners beside each corner.
    """
    best, opposite = np.inf, 0
    for face in range(len(faces)):
        normal = normals[face]
        opposite = _lowest_corner(corners, normal, opposite, start, neighbour)
        best = min(best, _height(corners, faces[face, 0], opposite, normal))
        for k in range(3):
            other = beside[face, k]
            if other > face:  # each edge once
                on_edge = faces[face, (k + 1) % 3]
                turn = normals[other] - normal
                best = min(best, _least_along_turn(corners, on_edge, normal, turn, opposite, start, neighbour))
    return best


@njit(cache=True, nogil=True)
def _lowest_corner(corners: Doubles, normal: Doubles, at: int, start: Ints, neighbour: Ints) -> int:
    """The corner of least height along a normal, by walking down edges."""
    before, lowest = -1, np.inf
    while at != before:
        before = at
        for k in range(start[before], start[before + 1]):
            height = _height(corners, neighbour[k], 0, normal)  # over one corner for all: rounding leads in no circle
            if height < lowest:
                at, lowest = neighbour[k], height
    return at


@njit(cache=True, nogil=True)
def _least_along_turn(
    corners: Doubles, on_edge: int, normal: Doubles, turn: Doubles, at: int, start: Ints, neighbour: Ints
) -> float:
    """Least width between an edge and the edges on the other side while the normal turns to `normal + turn`."""
    best, now = np.inf, 0.0
    for _ in range(len(corners)):
        following, soonest, steepest = -1, 1.0, 0.0
        for k in range(start[at], start[at + 1]):
            other = neighbour[k]
            slope = _height(corners, other, at, turn)
            if slope < 0:  # the other corner becomes the lower one
                when = max(-_height(corners, other, at, normal) / slope, now)
                if when < soonest or (when == soonest and slope < steepest):
                    following, soonest, steepest = other, when, slope
        if following < 0:
            return best
        at, now = following, soonest
        direction = normal + now * turn
        best = min(best, _height(corners, on_edge, at, direction) / math.sqrt((direction**2).sum()))
    return best
