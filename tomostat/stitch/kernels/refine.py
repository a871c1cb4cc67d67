"""Boundaries from the phases: the masks say which particle a voxel belongs to, the phases where the particle ends.

Within `margin` voxels of the edge of the painted masks, active voxels are added to the nearest particle (so that
touching particles are separated where the masks are), and voxels that are not active are removed where they are
connected to the outside. Thin cracks stay filled even where they are open to the outside, and voids deeper than the
margin stay filled because the mask is. Every rule depends on at most `refine_halo` voxels around, so that blocks with
this halo give the same labels as the whole volume.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from tomostat.phase import Phase

CRACK = 3
"""A void is a crack where active material of the same particle lies within so many voxels on opposite sides."""
STEP = 3
"""Distances are counted in thirds of a voxel: 3, 4 and 5 to neighbours over a face, an edge and a corner."""
FAR = 255
"""Distance of an open voxel that has not been reached."""
CLOSED = 0
"""Distance of a voxel that is not to be reached."""

_OFFSETS = np.array([(z, y, x) for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if z or y or x], np.int64)
_COSTS = 2 + np.abs(_OFFSETS).sum(1)
_ACTIVE, _OUTSIDE = int(Phase.ACTIVE), int(Phase.OUTSIDE)


def refine_halo(margin: int) -> int:
    """Voxels around a block that its labels depend on."""
    return 2 * margin + CRACK if margin else 0


def refine_labels(labels: NDArray[np.uint32], phases: NDArray[np.uint8], margin: int) -> NDArray[np.uint32]:
    """Move the boundaries of painted masks to those of the active material.

    Parameters
    ----------
    labels
        Painted masks, (z, y, x) uint32.
    phases
        Codes of `Phase`, (z, y, x) uint8.
    margin
        Largest shift of a boundary in voxels; with 0 nothing moves.

    Returns
    -------
    ndarray
        (z, y, x) uint32; exact from `refine_halo` voxels inside the box, and where the box ends with the volume.
    """
    if margin == 0:
        return np.where(phases == _OUTSIDE, np.uint32(0), labels)
    refined: NDArray[np.uint32] = np.array(labels, np.uint32, order="C")
    _refine(refined, np.ascontiguousarray(phases), margin)
    return refined


@numba.njit(cache=True, nogil=True)
def _refine(labels, phases, margin):  # type: ignore[no-untyped-def]
    """Grow, then trim, in place."""
    limit = margin * STEP
    _clear_outside(labels, phases)
    distance = np.empty(labels.shape, np.uint8)
    _begin_at_particles(labels, phases, distance, limit)
    _spread(labels, distance, limit)
    _begin_at_outside(labels, phases, distance, limit)
    _spread(labels, distance, limit)
    _remove_reached(labels, distance, limit)


@numba.njit(cache=True, nogil=True)
def _clear_outside(labels, phases):  # type: ignore[no-untyped-def]
    """Nothing is labelled outside the field of view."""
    flat, codes = labels.reshape(-1), phases.reshape(-1)
    for i in range(flat.size):
        if codes[i] == _OUTSIDE:
            flat[i] = 0


@numba.njit(cache=True, nogil=True)
def _push(heads, following, voxel, used, at, level):  # type: ignore[no-untyped-def]
    """Put a voxel into the bucket of its distance; returns the arrays, which may have grown, and their use."""
    if used == len(voxel):
        following = np.append(following, np.empty(used, np.int64))
        voxel = np.append(voxel, np.empty(used, np.int64))
    voxel[used], following[used] = at, heads[level]
    heads[level] = used
    return following, voxel, used + 1


@numba.njit(cache=True, nogil=True)
def _begin_at_particles(labels, phases, distance, limit):  # type: ignore[no-untyped-def]
    """Active voxels without a label are open; those beside a painted mask begin with its distance and its label."""
    nz, ny, nx = labels.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                is_open = labels[z, y, x] == 0 and phases[z, y, x] == _ACTIVE
                distance[z, y, x] = FAR if is_open else CLOSED
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if distance[z, y, x] == FAR:
                    near, label = _painted_beside(labels, distance, z, y, x)
                    if near <= limit:
                        distance[z, y, x], labels[z, y, x] = near, label


@numba.njit(cache=True, nogil=True)
def _painted_beside(labels, distance, z, y, x):  # type: ignore[no-untyped-def]
    """Distance and label of the nearest painted neighbour, `FAR` for none; open voxels do not count."""
    nz, ny, nx = labels.shape
    near, label = FAR, labels[z, y, x]
    for k in range(26):
        v, w, u = z + _OFFSETS[k, 0], y + _OFFSETS[k, 1], x + _OFFSETS[k, 2]
        if not (0 <= v < nz and 0 <= w < ny and 0 <= u < nx):
            continue
        if labels[v, w, u] == 0 or distance[v, w, u] != CLOSED:
            continue
        if _COSTS[k] < near or (_COSTS[k] == near and labels[v, w, u] < label):
            near, label = _COSTS[k], labels[v, w, u]
    return near, label


@numba.njit(cache=True, nogil=True)
def _begin_at_outside(labels, phases, distance, limit):  # type: ignore[no-untyped-def]
    """Labelled voxels that are neither active nor in a crack are open; those beside the outside begin."""
    nz, ny, nx = labels.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                distance[z, y, x] = CLOSED
                if labels[z, y, x] == 0 or phases[z, y, x] == _ACTIVE or _in_crack(labels, phases, z, y, x):
                    continue
                near = FAR
                for k in range(26):
                    v, w, u = z + _OFFSETS[k, 0], y + _OFFSETS[k, 1], x + _OFFSETS[k, 2]
                    inside = 0 <= v < nz and 0 <= w < ny and 0 <= u < nx
                    if inside and labels[v, w, u] == 0 and phases[v, w, u] != _ACTIVE:
                        near = min(near, _COSTS[k])
                distance[z, y, x] = near if near <= limit else FAR


@numba.njit(cache=True, nogil=True)
def _spread(labels, distance, limit):  # type: ignore[no-untyped-def]
    """Reach open voxels from those that have a distance; they take the label of the nearest, the smaller of equals.

    Dijkstra's method with a bucket per distance.
    """
    nz, ny, nx = labels.shape
    heads = np.full(limit + 1, -1, np.int64)
    following, voxel, used = np.empty(4096, np.int64), np.empty(4096, np.int64), 0
    flat = distance.reshape(-1)
    for at in range(flat.size):
        if flat[at] != CLOSED and flat[at] != FAR:
            following, voxel, used = _push(heads, following, voxel, used, at, flat[at])
    for level in range(limit + 1):
        entry = heads[level]
        while entry >= 0:
            at = voxel[entry]
            entry = following[entry]
            z, y, x = at // (ny * nx), at // nx % ny, at % nx
            if distance[z, y, x] != level:
                continue  # a shorter way was found later
            for k in range(26):
                v, w, u = z + _OFFSETS[k, 0], y + _OFFSETS[k, 1], x + _OFFSETS[k, 2]
                reached = level + _COSTS[k]
                if reached > limit or not (0 <= v < nz and 0 <= w < ny and 0 <= u < nx):
                    continue
                if distance[v, w, u] > reached:
                    distance[v, w, u], labels[v, w, u] = reached, labels[z, y, x]
                    following, voxel, used = _push(heads, following, voxel, used, (v * ny + w) * nx + u, reached)
                elif distance[v, w, u] == reached and labels[z, y, x] < labels[v, w, u]:
                    labels[v, w, u] = labels[z, y, x]


@numba.njit(cache=True, nogil=True)
def _remove_reached(labels, distance, limit):  # type: ignore[no-untyped-def]
    """Voxels that were reached have no label."""
    flat, reached = labels.reshape(-1), distance.reshape(-1)
    for i in range(flat.size):
        if CLOSED < reached[i] <= limit:
            flat[i] = 0


@numba.njit(cache=True, nogil=True)
def _in_crack(labels, phases, z, y, x):  # type: ignore[no-untyped-def]
    """Whether active material of the voxel's own particle lies near on two opposite sides."""
    for k in range(13):
        if _solid_ahead(labels, phases, z, y, x, k) and _solid_ahead(labels, phases, z, y, x, 25 - k):
            return True
    return False


@numba.njit(cache=True, nogil=True)
def _solid_ahead(labels, phases, z, y, x, k):  # type: ignore[no-untyped-def]
    """Whether active material of the voxel's own particle lies near in one direction, with void in between."""
    for step in range(1, CRACK + 1):
        v, w, u = z + step * _OFFSETS[k, 0], y + step * _OFFSETS[k, 1], x + step * _OFFSETS[k, 2]
        if not (0 <= v < labels.shape[0] and 0 <= w < labels.shape[1] and 0 <= u < labels.shape[2]):
            return False
        if labels[v, w, u] != labels[z, y, x]:
            return False
        if phases[v, w, u] == _ACTIVE:
            return True
    return False
