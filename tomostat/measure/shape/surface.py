"""The outer surface of one particle: where it lies, which way it faces and how large it is.

Symbols: ``f`` is the particle's own mask smoothed with a Gaussian of `SIGMA` voxels along each axis, so that
``f = 1/2`` is a smooth surface and its gradient the surface's normal at any voxel aspect ratio. Plain voxel faces
overestimate an area by half; here each face counts with ``n . e``, the cosine between the surface's normal and the
face's own. By Gauss' theorem that sum is the true area wherever ``n`` varies slowly. Near an edge or beside a crack it
does not: there a normal is the mean over the neighbours that lie on one and the same plane, and steady neighbours have
the larger vote.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomostat.measure.shape.smoothing import Floats, Mask, Spacing, smooth

VOTES, LONG = 3, 1.5
"""Rounds of voting, one more for voxels that are `LONG` times longer than wide: a single one leaves the steps of planes
that hardly tilt."""

CORNER = 12
"""Square of the largest distance of a voter in voxels: the corner of the 5 x 5 x 5 neighbours."""

CROWD = 60
"""Neighbours per boundary voxel that room is made for at first: a ball has some 36."""

REACH, SPREAD, FLATNESS = 3, 4.0, 2.0
"""Voters: within `REACH` voxels; their vote falls to 0 at a distance of `SPREAD` voxels and at an offset of `FLATNESS`
voxels from the tangent plane."""

GRAZING = 0.2
"""Cosine between a voter's normal and the way asked about below which its vote dwindles: beyond an edge."""

SHARPNESS = 80
"""Power of the voters' agreement that their own vote counts with in the next round: an edge, where they disagree, says
little about the planes beside it."""

STEPS = np.array([(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)], np.int64)
"""The six face neighbours; face k lies on the low (even) or high (odd) side of axis k // 2."""


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
        (n,) float32: area that the voxel's outer faces stand for, micrometer^2; faces cut by the field left out.
    cut
        (n,) float32: area of the voxel's faces that are cut by the field, micrometer^2.
    index
        (z, y, x) int32: number of the boundary voxel at each voxel of the box, -1 elsewhere.
    start, neighbour
        (n + 1,) int64 and (m,) int32: the boundary voxels around voxel i (see `CORNER`), itself among them, are
        ``neighbour[start[i] : start[i + 1]]``.
    spacing
        Voxel size (z, y, x) in micrometers.
    """

    mask: Mask
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


@njit(cache=True, nogil=True)
def _flood(mask: Mask, seen: Mask) -> None:
    """Mark in `seen` the background voxels that faces connect to the box's edge."""
    nz, ny, nx = mask.shape
    stack = np.empty((nz * ny * nx, 3), np.int32)
    top = 0
    for z in range(nz):
        for y in range(ny):
            edge = ((z == 0 or z == nz - 1) and nz > 1) or y == 0 or y == ny - 1
            step = 1 if edge else max(nx - 1, 1)
            for x in range(0, nx, step):
                if mask[z, y, x] == 0:
                    seen[z, y, x] = 1
                    stack[top] = z, y, x
                    top += 1
    while top > 0:
        top -= 1
        z, y, x = stack[top]
        for k in range(6):
            a, b, c = z + STEPS[k, 0], y + STEPS[k, 1], x + STEPS[k, 2]
            if 0 <= a < nz and 0 <= b < ny and 0 <= c < nx and mask[a, b, c] == 0 and seen[a, b, c] == 0:
                seen[a, b, c] = 1
                stack[top] = a, b, c
                top += 1


def fill_voids(mask: Mask) -> Mask:
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
    seen = np.zeros_like(mask)
    _flood(mask, seen)
    return np.where(seen == 0, 1, 0).astype(np.uint8)


@njit(cache=True, nogil=True)
def _gradient(f: Floats, z: int, y: int, x: int, spacing: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Central differences per micrometer, one-sided at the box's edge."""
    nz, ny, nx = f.shape
    a, b = max(z - 1, 0), min(z + 1, nz - 1)
    out[0] = (f[b, y, x] - f[a, y, x]) / (max(b - a, 1) * spacing[0])
    a, b = max(y - 1, 0), min(y + 1, ny - 1)
    out[1] = (f[z, b, x] - f[z, a, x]) / (max(b - a, 1) * spacing[1])
    a, b = max(x - 1, 0), min(x + 1, nx - 1)
    out[2] = (f[z, y, b] - f[z, y, a]) / (max(b - a, 1) * spacing[2])


@njit(cache=True, nogil=True)
def _mark_boundary(mask: Mask, flat: bool, edge: Mask) -> int:
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
    edge: Mask,
    f: Floats,
    spacing: NDArray[np.float64],
    voxel: NDArray[np.int32],
    point: Floats,
    normal: Floats,
    steady: Floats,
    index: NDArray[np.int32],
) -> None:
    """Boundary voxels with their place on ``f = 1/2``, raw normal and gradient relative to a plane's."""
    nz, ny, nx = edge.shape
    n = 0
    g = np.empty(3)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if not edge[z, y, x]:
                    continue
                _gradient(f, z, y, x, spacing, g)
                size = max(np.sqrt((g * g).sum()), 1e-9)
                pitch = np.sqrt(((g * spacing) ** 2).sum()) / size  # voxel size along the normal
                # never farther than a voxel, and less in a crack so narrow that f hardly falls there
                most = pitch if size * pitch > 0.25 else 0.5 * pitch
                shift = min(max((f[z, y, x] - 0.5) / size, -0.5 * pitch), most)
                voxel[n] = z, y, x
                for i in range(3):
                    normal[n, i] = -g[i] / size
                    point[n, i] = voxel[n, i] * spacing[i] + normal[n, i] * shift
                steady[n] = (size * pitch) ** 6
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
    _gradient(f, a[0], a[1], a[2], spacing, g)
    _gradient(f, b[0], b[1], b[2], spacing, out)
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
def _neighbours(
    voxel: NDArray[np.int32], index: NDArray[np.int32], start: NDArray[np.int64], found: NDArray[np.int32]
) -> int:
    """List the boundary voxels around each as far as `found` has room; returns how many there are."""
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


@njit(cache=True, nogil=True)
def _pack_voters(point: Floats, normal: Floats, steady: Floats, spacing: NDArray[np.float64], voters: Floats) -> None:
    """What `_vote` reads of a voter, side by side: place, normal, vote, and what its offset is measured with."""
    for i in range(len(point)):
        pitch = 0.0
        for j in range(3):
            voters[i, j], voters[i, 3 + j] = point[i, j], normal[i, j]
            pitch += (normal[i, j] * spacing[j]) ** 2
        voters[i, 6] = steady[i]
        voters[i, 7] = 1.0 / (max(pitch, 1e-12) * FLATNESS**2)  # a single voxel faces nowhere


@njit(cache=True, nogil=True, fastmath=True)
def _vote(
    place: NDArray[np.float64],
    members: NDArray[np.int32],
    facing: NDArray[np.float64],
    voters: Floats,
    nearness: NDArray[np.float64],
    out: NDArray[np.float64],
) -> float:
    """Mean normal of the voters whose tangent plane holds `place` and who face `facing`; returns their agreement."""
    z, y, x = place
    fz, fy, fx = facing
    nz, ny, nx = nearness
    sum_z, sum_y, sum_x, weights = 0.0, 0.0, 0.0, 0.0
    for q in members:
        voter = voters[q]
        agree = voter[3] * fz + voter[4] * fy + voter[5] * fx
        dz, dy, dx = z - voter[0], y - voter[1], x - voter[2]
        off = dz * voter[3] + dy * voter[4] + dx * voter[5]
        near, flat = 1.0 - (dz * dz * nz + dy * dy * ny + dx * dx * nx), 1.0 - off * off * voter[7]
        if agree <= 0.0 or near <= 0.0 or flat <= 0.0:
            continue
        weight = voter[6] * (near * flat) ** 3 * min(1.0, agree / GRAZING)
        weights += weight
        sum_z += weight * voter[3]
        sum_y += weight * voter[4]
        sum_x += weight * voter[5]
    size = np.sqrt(sum_z * sum_z + sum_y * sum_y + sum_x * sum_x)
    if size <= 1e-12:
        out[:] = facing
        return 0.0
    out[0], out[1], out[2] = sum_z / size, sum_y / size, sum_x / size
    return size / weights


@njit(cache=True, nogil=True)
def _steady_normals(
    start: NDArray[np.int64],
    neighbour: NDArray[np.int32],
    voters: Floats,
    nearness: NDArray[np.float64],
    better: Floats,
    agreement: Floats,
) -> None:
    """Normals by vote, and how much the voters agree (1 on a plane, less at an edge)."""
    out, facing, place = np.empty(3), np.empty(3), np.empty(3)
    for i in range(len(voters)):
        for j in range(3):
            place[j] = voters[i, j]
            facing[j] = voters[i, 3 + j]
        members = neighbour[start[i] : start[i + 1]]
        agreement[i] = _vote(place, members, facing, voters, nearness, out) ** SHARPNESS
        for j in range(3):
            better[i, j] = out[j]


@njit(cache=True, nogil=True)
def _face_areas(
    mask: Mask,
    f: Floats,
    outside: Mask,
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
            _vote(place, members, facing, voters, nearness, out)
            share = size[axis] * abs(out[axis])
            if outside[a, b, c]:
                cut[n] += share
            else:
                area[n] += share


def extract_surface(mask: Mask, spacing: Spacing, *, outside: NDArray[Any] | None = None) -> Surface:
    """The surface of a filled particle.

    Parameters
    ----------
    mask
        (z, y, x) uint8, 1 in the particle, voids filled. Where the particle reaches the edge of this box it is taken to
        be cut there by the field. A box of one slice has no faces along z.
    spacing
        Voxel size (z, y, x) in micrometers.
    outside
        (z, y, x), true where nothing was seen (outside a round field); faces onto it count as cut.

    Returns
    -------
    Surface
        Points in z, y, x order.

    Notes
    -----
    Faces weighted with normals: after Windreich, Kiryati and Lohmann, Pattern Recognition 36, 2531 (2003). Votes: in
    the spirit of bilateral normal filtering, Zheng et al., IEEE TVCG 17, 1521 (2011).
    """
    f = smooth(mask)
    flat = mask.shape[0] == 1
    edge = np.empty_like(mask)
    n = _mark_boundary(mask, flat, edge)
    voxel, index = np.empty((n, 3), np.int32), np.full(mask.shape, -1, np.int32)
    point, normal = (np.empty((n, 3), np.float32) for _ in range(2))
    area, cut, vote = (np.empty(n, np.float32) for _ in range(3))
    size = np.asarray(spacing, np.float64)
    dark = np.zeros_like(mask) if outside is None else outside.astype(np.uint8)
    _collect(edge, f, size, voxel, point, normal, vote, index)
    start = np.empty(n + 1, np.int64)
    room, found = 0, CROWD * n
    while found > room:
        room = found
        neighbour = np.empty(room, np.int32)
        found = _neighbours(voxel, index, start, neighbour)
    neighbour = neighbour[:found]
    voters, nearness = np.empty((n, 8), np.float32), 1 / (size * SPREAD) ** 2
    _pack_voters(point, normal, vote, size, voters)
    for _ in range(VOTES + (max(spacing) > LONG * min(spacing))):
        _steady_normals(start, neighbour, voters, nearness, normal, vote)
        _pack_voters(point, normal, vote, size, voters)
    _face_areas(mask, f, dark, size, flat, voxel, start, neighbour, voters, nearness, area, cut)
    return Surface(mask, voxel, point, normal, area, cut, index, start, neighbour, spacing)
