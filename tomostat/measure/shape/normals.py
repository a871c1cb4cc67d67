"""Normals of a particle's surface: gradients of its smoothed mask, made steady by the votes of their neighbours.

A vote is the normal of a neighbour, weighted by how near it is, how well its tangent plane fits and how steep its own
gradient is. Near an edge or beside a crack a normal so becomes the mean over the neighbours on the same plane. After
bilateral normal filtering, Zheng et al., IEEE TVCG 17, 1521 (2011).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomostat.kernels.arrays import Floats
from tomostat.kernels.smoothing import Spacing

ROUNDS, LONG = 3, 1.5
"""Rounds of voting, one more for voxels that are `LONG` times longer than wide: a single one leaves the steps of planes
that hardly tilt."""

SPREAD, FLATNESS = 4.0, 2.0
"""A vote falls to 0 at a distance of `SPREAD` voxels, and at an offset of `FLATNESS` voxels from the tangent plane."""

GRAZING = 0.2
"""Cosine between a voter's normal and the given direction below which its vote decreases: it lies beyond an edge."""

SHARPNESS = 80
"""Power of the voters' agreement with which a normal's own vote counts in the next round: at an edge, where they
disagree, a normal represents none of the planes beside it."""


@njit(cache=True, nogil=True)
def _pack_voters(point: Floats, normal: Floats, steady: Floats, spacing: NDArray[np.float64], voters: Floats) -> None:
    """Voters as `vote_normal` reads them: place, normal, weight, and the scale of offsets from the tangent plane."""
    for i in range(len(point)):
        pitch = 0.0
        for j in range(3):
            voters[i, j], voters[i, 3 + j] = point[i, j], normal[i, j]
            pitch += (normal[i, j] * spacing[j]) ** 2
        voters[i, 6] = steady[i]
        voters[i, 7] = 1.0 / (max(pitch, 1e-12) * FLATNESS**2)  # a single voxel has no normal


@njit(cache=True, nogil=True, fastmath=True)
def vote_normal(
    place: NDArray[np.float64],
    members: NDArray[np.int32],
    facing: NDArray[np.float64],
    voters: Floats,
    nearness: NDArray[np.float64],
    out: NDArray[np.float64],
) -> float:
    """Mean normal of the voters near `place` that face `facing`; returns how much they agree, from 0 to 1."""
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
        agreement[i] = vote_normal(place, members, facing, voters, nearness, out) ** SHARPNESS
        for j in range(3):
            better[i, j] = out[j]


def nearness_weights(spacing: Spacing) -> NDArray[np.float64]:
    """Weights (3,) of squared distances along the axes, in micrometer^-2; their sum reaches 1 where votes end."""
    return 1 / (np.asarray(spacing, np.float64) * SPREAD) ** 2


def vote_normals(
    start: NDArray[np.int64],
    neighbour: NDArray[np.int32],
    point: Floats,
    normal: Floats,
    weight: Floats,
    spacing: Spacing,
) -> Floats:
    """Replace normals by the votes of their neighbours.

    Parameters
    ----------
    start, neighbour
        See `tomostat.measure.shape.neighbourhood.list_neighbours`.
    point
        (n, 3) float32, micrometers.
    normal, weight
        (n, 3) and (n,) float32, unit normals and the weights of their votes; both are overwritten.
    spacing
        Voxel size (z, y, x) in micrometers.

    Returns
    -------
    numpy.ndarray
        (n, 8) float32, the voters after the last round, for `vote_normal`.
    """
    size, nearness = np.asarray(spacing, np.float64), nearness_weights(spacing)
    voters = np.empty((len(point), 8), np.float32)
    _pack_voters(point, normal, weight, size, voters)
    for _ in range(ROUNDS + (max(spacing) > LONG * min(spacing))):
        _steady_normals(start, neighbour, voters, nearness, normal, weight)
        _pack_voters(point, normal, weight, size, voters)
    return voters
