"""Dense packing of star-shaped particles: push overlapping ones apart, then cut necks where they still touch."""

import math

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tomostat.phantom.kernels.shape import cut_radius, interpolate, overlap

ROUNDS = 200
"""Most repetitions of pushing overlapping particles apart."""
SETTLED = 0.05
"""Largest missing distance, relative to the clearance, at which packing ends."""
NECK = 0.05
"""Depth of a neck, relative to the smaller radius."""
MOST_OVERLAP = 0.3
"""Overlap, relative to the smaller radius, above which the smaller particle is left out."""


def pack_particles(
    radius: NDArray[np.float32],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    walls: NDArray[np.bool_],
    *,
    touching: float,
    clearance: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Place particles in a box.

    Parameters
    ----------
    radius : (n, SIDE, SIDE) float32
        Surfaces in micrometers.
    low, high : (3,) float64
        Corners of the box in micrometers.
    walls : (3,) bool
        Axes along which whole particles stay in the box. Along the others the box is periodic, so that its density is
        uniform up to its faces; such an axis must be longer than two particles.
    touching : float
        Share of close pairs that touch.
    clearance : float
        Mean free distance between the others in micrometers.
    rng : numpy.random.Generator
        Random number generator, for the initial positions.

    Returns
    -------
    (n, 3) float64
        Centres in micrometers.
    """
    bounds = radius.max(axis=(1, 2)).astype(np.float64)[:, None]
    size = high - low
    period = np.where(walls, 0.0, size)
    least = np.where(walls, np.minimum(bounds, 0.5 * size), 0.0)
    most = size - least
    centres = rng.uniform(least, most)
    for _ in range(ROUNDS):
        pairs = _close_pairs(centres, bounds[:, 0], 2 * clearance, period)
        missing = _push(centres, radius, pairs, period, touching, clearance)
        centres = np.where(walls, np.clip(centres, least, most), _wrapped(centres, size))
        if missing < SETTLED * clearance:
            break
    return centres + low


def _wrapped(centres: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centres modulo the size of the box, in [0, size)."""
    wrapped = np.mod(centres, size)
    return np.where(wrapped < size, wrapped, 0.0)


def _close_pairs(
    centres: NDArray[np.float64], bounds: NDArray[np.float64], margin: float, period: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Pairs (m, 2) of particles whose bounding balls are closer than a margin, in ascending order."""
    if len(centres) < 2:
        return np.empty((0, 2), np.int64)
    reach = 2 * bounds.max() + margin
    pairs = cKDTree(centres, boxsize=period).query_pairs(reach, output_type="ndarray").astype(np.int64)
    offset = centres[pairs[:, 0]] - centres[pairs[:, 1]]
    offset -= period * np.rint(offset / np.where(period > 0, period, np.inf))
    pairs = pairs[np.linalg.norm(offset, axis=1) - bounds[pairs].sum(axis=1) < margin]
    return np.ascontiguousarray(pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))])


@numba.njit(cache=True, nogil=True)
def _wanted_distance(i: int, j: int, touching: float, clearance: float, smaller: float) -> float:
    """Free distance that a pair should keep, negative if it should touch: a pseudo-random number fixed for the pair."""
    draw = math.sin(12.9898 * (i + 1) + 78.233 * (j + 1)) * 43758.5453
    draw -= math.floor(draw)
    if draw < touching:
        return -NECK * smaller
    return clearance * (0.5 + (draw - touching) / (1.0 - touching))


@numba.njit(cache=True, nogil=True)
def _push(
    centres: NDArray[np.float64],
    radius: NDArray[np.float32],
    pairs: NDArray[np.int64],
    period: NDArray[np.float64],
    touching: float,
    clearance: float,
) -> float:
    """Move each pair that is too close apart, the lighter particle more; return the largest missing distance."""
    largest = 0.0
    offset = np.empty(3)
    for k in range(pairs.shape[0]):
        i, j = pairs[k, 0], pairs[k, 1]
        for axis in range(3):
            offset[axis] = centres[j, axis] - centres[i, axis]
            if period[axis] > 0.0:
                offset[axis] -= period[axis] * np.rint(offset[axis] / period[axis])
        distance = math.sqrt(offset[0] ** 2 + offset[1] ** 2 + offset[2] ** 2) + 1e-9
        a = interpolate(radius[i], offset[0], offset[1], offset[2])
        b = interpolate(radius[j], -offset[0], -offset[1], -offset[2])
        missing = a + b + _wanted_distance(i, j, touching, clearance, min(a, b)) - distance
        if missing <= 0.0:
            continue
        largest = max(largest, missing)
        share = b**3 / (a**3 + b**3)
        for axis in range(3):
            step = 0.9 * missing * offset[axis] / distance
            centres[i, axis] -= share * step
            centres[j, axis] += (1.0 - share) * step
    return largest


def cut_necks(
    centres: NDArray[np.float64], radius: NDArray[np.float32], vectors: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Cut overlapping particles by a plane between them, so that they touch in a flat neck.

    Parameters
    ----------
    centres : (n, 3) float64
        Centres in micrometers.
    radius : (n, SIDE, SIDE) float32
        Surfaces in micrometers; overwritten where cut.
    vectors : (SIDE, SIDE, 3) float64
        From `directions`.

    Returns
    -------
    (n,) bool
        Particles to keep; the others overlap too deeply and must be left out.
    """
    kept = np.ones(len(centres), bool)
    bounds = radius.max(axis=(1, 2)).astype(np.float64)
    for i, j in _close_pairs(centres, bounds, 0.0, np.zeros(3)):
        offset = centres[j] - centres[i]
        if not (kept[i] and kept[j]):
            continue
        if not (overlap(radius[i], radius[j], offset, vectors) or overlap(radius[j], radius[i], -offset, vectors)):
            continue
        distance = float(np.linalg.norm(offset))
        a, b = interpolate(radius[i], *offset), interpolate(radius[j], *-offset)
        if a + b - distance > MOST_OVERLAP * min(a, b):
            kept[i if a < b else j] = False
            continue
        plane = 0.5 * (distance + a - b)
        free = 1e-3 * min(a, b)
        cut_radius(radius[i], vectors, offset / distance, plane - free)
        cut_radius(radius[j], vectors, -offset / distance, distance - plane - free)
    return kept
