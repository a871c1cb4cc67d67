"""The outer surface of one particle: its position, its normals and its area.

Symbols: ``f`` is the particle's own mask smoothed with a Gaussian of `SIGMA` voxels along each axis, so that
``f = 1/2`` is a smooth surface and its gradient the surface's normal at any voxel aspect ratio. Plain voxel faces
overestimate an area by half; here each face counts with ``n . e``, the cosine between the surface's normal and the
face's own. By Gauss' theorem that sum is the true area wherever ``n`` varies slowly. Near an edge or beside a crack it
does not, and normals are voted on instead, see `tomostat.measure.shape.normals`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomostat.kernels.arrays import ByteMask, Floats
from tomostat.kernels.smoothing import Spacing, gradient, smooth
from tomostat.measure.shape.neighbourhood import STEPS, list_neighbours
from tomostat.measure.shape.normals import nearness_weights, vote_normal, vote_normals


@dataclass(frozen=True)
class Surface:
    """The outer surface of one particle as points, one per boundary voxel.

    Attributes
    ----------
    mask
        (z, y, x) uint8, the filled particle in its box.
    voxel
        (n, 3) int32: boundary voxels, z y x in the box.
    point
        (n, 3) float32: the voxel's centre moved along the normal onto ``f = 1/2``; micrometers from the centre of the
        box's first voxel.
    normal
        (n, 3) float32: outward unit normal in physical space.
    area
        (n,) float32: area of the surface that the voxel's outer faces represent, micrometer^2; without faces cut by the
        field.
    cut
        (n,) float32: area of the voxel's faces that are cut by the field, micrometer^2.
    index
        (z, y, x) int32: number of the boundary voxel at each voxel of the box, -1 elsewhere.
    start, neighbour
        (n + 1,) int64 and (m,) int32: the boundary voxels around voxel i, itself included, are
        ``neighbour[start[i] : start[i + 1]]``.
    spacing
        Voxel size (z, y, x) in micrometers.
    """

    mask: ByteMask
    voxel: NDArray[np.int32]
    point: Floats
    normal: Floats
    area: Floats
    cut: Floats
    index: NDArray[np.int32]
    start: NDArray[np.int64]
    neighbour: NDArray[np.int32]
    spacing: Spacing

    def __len__(self) -> int:
        return len(self.voxel)

    @property
    def total(self) -> float:
        """Area of the outer surface inside the field, micrometer^2."""
        return float(self.area.sum(dtype=np.float64))

    @property
    def ball_radius(self) -> float:
        """Radius in micrometers of the ball of the filled particle's volume."""
        return math.cbrt(3 * int(self.mask.sum(dtype=np.int64)) * math.prod(self.spacing) / (4 * math.pi))


@njit(cache=True, nogil=True)
def _mark_boundary(mask: ByteMask, flat: bool, edge: ByteMask) -> int:
    """Mark voxels with a face on the outside or on the box's edge; rows along x are the inner, vectorised loop."""
    nz, ny, nx = mask.shape
    count = 0
    for z in range(nz):
        for y in range(ny):
            row, found = mask[z, y], edge[z, y]
            open_row = y == 0 or y == ny - 1 or (not flat and (z == 0 or z == nz - 1))
            if open_row:
                for x in range(nx):
                    found[x] = row[x]
            else:
                below, above = mask[z, y - 1], mask[z, y + 1]
                before, after = (row, row) if flat else (mask[z - 1, y], mask[z + 1, y])
                for x in range(1, nx - 1):
                    closed = row[x - 1] & row[x + 1] & below[x] & above[x] & before[x] & after[x]
                    found[x] = row[x] & (closed ^ 1)
                found[0], found[nx - 1] = row[0], row[nx - 1]
            total = 0
            for x in range(nx):
                total += found[x]
            count += total
    return count


@njit(cache=True, nogil=True)
def _collect(
    edge: ByteMask,
    f: Floats,
    spacing: NDArray[np.float64],
    voxel: NDArray[np.int32],
    point: Floats,
    normal: Floats,
    weight: Floats,
    index: NDArray[np.int32],
) -> None:
    """Boundary voxels with their place on ``f = 1/2``, raw normal, and weight by the gradient relative to a plane's."""
    nz, ny, nx = edge.shape
    n = 0
    g = np.empty(3)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if not edge[z, y, x]:
                    continue
                gradient(f, z, y, x, spacing, g)
                size = max(np.sqrt((g * g).sum()), 1e-9)
                pitch = np.sqrt(((g * spacing) ** 2).sum()) / size  # voxel size along the normal
                # never farther than a voxel, and less in a crack so narrow that f hardly falls there
                most = pitch if size * pitch > 0.25 else 0.5 * pitch
                shift = min(max((f[z, y, x] - 0.5) / size, -0.5 * pitch), most)
                voxel[n] = z, y, x
                for i in range(3):
                    normal[n, i] = -g[i] / size
                    point[n, i] = voxel[n, i] * spacing[i] + normal[n, i] * shift
                weight[n] = (size * pitch) ** 6
                index[z, y, x] = n
                n += 1


@njit(cache=True, nogil=True)
def _place_of_face(
    f: Floats,
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    spacing: NDArray[np.float64],
    g: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """The centre of the face between voxels `a` and `b`, moved along the gradient onto ``f = 1/2``; `g` is scratch."""
    gradient(f, a[0], a[1], a[2], spacing, g)
    gradient(f, b[0], b[1], b[2], spacing, out)
    squares, pitches = 0.0, 0.0
    for i in range(3):
        g[i] = 0.5 * (g[i] + out[i])
        squares += g[i] ** 2
        pitches += (g[i] * spacing[i]) ** 2
    size = max(np.sqrt(squares), 1e-9)
    pitch = np.sqrt(pitches) / size
    middle = 0.5 * (f[a[0], a[1], a[2]] + f[b[0], b[1], b[2]])
    shift = min(max((middle - 0.5) / size, -pitch), pitch)
    for i in range(3):
        out[i] = 0.5 * (a[i] + b[i]) * spacing[i] - g[i] / size * shift


@njit(cache=True, nogil=True)
def _face_areas(
    mask: ByteMask,
    f: Floats,
    outside: ByteMask,
    spacing: NDArray[np.float64],
    flat: bool,
    voxel: NDArray[np.int32],
    start: NDArray[np.int64],
    neighbour: NDArray[np.int32],
    voters: Floats,
    nearness: NDArray[np.float64],
    area: Floats,
    cut: Floats,
) -> None:
    """Area of each boundary voxel's faces; `flat` leaves the faces along z out."""
    nz, ny, nx = mask.shape
    size = np.array([spacing[1] * spacing[2], spacing[0] * spacing[2], spacing[0] * spacing[1]])
    here, there = np.empty(3, np.int64), np.empty(3, np.int64)
    place, facing, scratch, out = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    for n in range(len(voxel)):
        area[n], cut[n] = 0.0, 0.0
        members = neighbour[start[n] : start[n + 1]]
        for k in range(2 if flat else 0, 6):
            axis = k // 2
            for i in range(3):
                here[i] = voxel[n, i]
                there[i] = here[i] + STEPS[k, i]
                facing[i] = STEPS[k, i]
            a, b, c = there
            if not (0 <= a < nz and 0 <= b < ny and 0 <= c < nx):
                cut[n] += size[axis]
                continue
            if mask[a, b, c]:
                continue
            _place_of_face(f, here, there, spacing, scratch, place)
            vote_normal(place, members, facing, voters, nearness, out)
            share = size[axis] * abs(out[axis])
            if outside[a, b, c]:
                cut[n] += share
            else:
                area[n] += share


def extract_surface(mask: ByteMask, spacing: Spacing, *, outside: NDArray[Any] | None = None) -> Surface:
    """The surface of a filled particle.

    Parameters
    ----------
    mask
        (z, y, x) uint8, 1 in the particle, voids filled. Where the particle reaches the edge of this box it is taken to
        be cut there by the field. A box of one slice has no faces along z.
    spacing
        Voxel size (z, y, x) in micrometers.
    outside
        (z, y, x), true outside a round field of view; faces onto it count as cut.

    Returns
    -------
    Surface
        Points in z, y, x order.

    Notes
    -----
    Faces weighted with normals: after Windreich, Kiryati and Lohmann, Pattern Recognition 36, 2531 (2003).
    """
    f = smooth(mask)
    flat = mask.shape[0] == 1
    edge = np.empty_like(mask)
    n = _mark_boundary(mask, flat, edge)
    voxel, index = np.empty((n, 3), np.int32), np.full(mask.shape, -1, np.int32)
    point, normal = (np.empty((n, 3), np.float32) for _ in range(2))
    area, cut, weight = (np.empty(n, np.float32) for _ in range(3))
    size = np.asarray(spacing, np.float64)
    _collect(edge, f, size, voxel, point, normal, weight, index)
    start, neighbour = list_neighbours(voxel, index)
    voters = vote_normals(start, neighbour, point, normal, weight, spacing)
    beyond = np.zeros_like(mask) if outside is None else outside.astype(np.uint8)
    nearness = nearness_weights(spacing)
    _face_areas(mask, f, beyond, size, flat, voxel, start, neighbour, voters, nearness, area, cut)
    return Surface(mask, voxel, point, normal, area, cut, index, start, neighbour, spacing)
