"""State and phase of any point of an electrode, and the particle that it belongs to."""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from tomostat.kernels.arrays import Doubles
from tomostat.phantom.kernels.model import Particles, Surroundings
from tomostat.phantom.kernels.noise import gradient_noise
from tomostat.phantom.kernels.shape import grid_cell, interpolate_cell
from tomostat.phase import Phase

OPEN, FILM, GAP, PARTICLE = 0, 1, 2, 3
"""States of a point relative to the particles; the highest of several counts."""

OCTAVES = ((0.4, 0.0, 0.6), (1.0, 1.0, 0.0), (2.3, 0.5, 0.4), (5.5, 0.25, 0.6))
"""Noise between the particles: frequency relative to 1 / scale, weight in the CBD web, weight in its grey texture."""

PORE, CBD, ACTIVE, COLLECTOR, OUTSIDE = map(int, Phase)
"""Codes of `Phase` as plain numbers, which compiled code takes as constants."""


@numba.njit(cache=True, inline="always")
def state_near(
    radii: NDArray[np.float32], detached: NDArray[np.float32], gap: float, film: float, z: float, y: float, x: float
) -> tuple[int, float, float]:
    """State of a point relative to one particle.

    Parameters
    ----------
    radii, detached : (SIDE, SIDE) float32
        Arrays of `Particles` for this particle.
    gap, film : float
        Width of the particle's gap and thickness of the CBD film in micrometers.
    z, y, x : float
        Point relative to the particle's centre in micrometers.

    Returns
    -------
    tuple
        State, distance from the centre, and surface radius in that direction.
    """
    distance = math.sqrt(z * z + y * y + x * x)
    row, column, a, b = grid_cell(z, y, x)
    radius = interpolate_cell(radii, row, column, a, b)
    height = distance - radius
    state = OPEN
    if height < 0.0:
        state = PARTICLE
    elif height < gap and interpolate_cell(detached, row, column, a, b) > 0.0:
        state = GAP
    elif height < film:
        state = FILM
    return state, distance, radius


@numba.njit(cache=True, nogil=True)
def _state_at(particles: Particles, film: float, i: int, z: float, y: float, x: float) -> int:
    """State of a point, in micrometers, relative to particle i."""
    z, y, x = z - particles.centre[i, 0], y - particles.centre[i, 1], x - particles.centre[i, 2]
    reach = particles.bound[i] + max(particles.gap[i], film)
    if z * z + y * y + x * x >= reach * reach:
        return OPEN
    return int(state_near(particles.radius[i], particles.detached[i], particles.gap[i], film, z, y, x)[0])


@numba.njit(cache=True, nogil=True)
def web_at(surroundings: Surroundings, z: float, y: float, x: float) -> float:
    """Noise of the CBD web at a point in micrometers; there is CBD where it exceeds the threshold."""
    total = 0.0
    for k in range(1, len(OCTAVES)):
        f = OCTAVES[k][0] / surroundings.scale
        total += OCTAVES[k][1] * gradient_noise(z * f, y * f, x * f, surroundings.seed + 10 + k)
    return total


@numba.njit(cache=True, nogil=True)
def phase_between(surroundings: Surroundings, state: int, depth: float, web: float) -> int:
    """Phase of a point that is in no particle, from its state, position along the depth axis and web noise."""
    if depth < surroundings.low:
        return COLLECTOR
    if state == GAP:
        return PORE
    if state == FILM:
        return CBD
    return CBD if web > surroundings.threshold and depth <= surroundings.high else PORE


@numba.njit(cache=True, nogil=True)
def phase_at(
    particles: Particles, surroundings: Surroundings, near: NDArray[np.int64], z: float, y: float, x: float
) -> tuple[int, int]:
    """Phase and index of the particle (-1 for none) at a point in micrometers, given the particles that may be near.

    Cracks, cores and pores of a particle count as active material.
    """
    state, owner = OPEN, -1
    for k in range(near.shape[0]):
        found = _state_at(particles, surroundings.film, near[k], z, y, x)
        state = max(state, found)
        if found == PARTICLE:
            owner = near[k]
    if state == PARTICLE:
        return ACTIVE, owner
    depth = z if surroundings.axis == 0 else (y if surroundings.axis == 1 else x)
    return phase_between(surroundings, state, depth, web_at(surroundings, z, y, x)), -1


@numba.njit(cache=True, nogil=True)
def states_at(particles: Particles, film: float, points: Doubles) -> NDArray[np.uint8]:
    """States (n,) of points (n, 3), in micrometers, relative to all particles."""
    states = np.zeros(points.shape[0], np.uint8)
    for i in range(particles.centre.shape[0]):
        for p in range(points.shape[0]):
            states[p] = max(states[p], _state_at(particles, film, i, points[p, 0], points[p, 1], points[p, 2]))
    return states


@numba.njit(cache=True, nogil=True)
def ball_fraction(centres: Doubles, radii: Doubles, points: Doubles) -> float:
    """Share of points (n, 3) in balls with centres (k, 3) and radii (k,), which do not overlap."""
    count = 0
    for i in range(centres.shape[0]):
        for p in range(points.shape[0]):
            square = 0.0
            for a in range(3):
                square += (points[p, a] - centres[i, a]) ** 2
            count += square < radii[i] ** 2
    return float(count / points.shape[0])


@numba.njit(cache=True, nogil=True)
def web_at_points(surroundings: Surroundings, points: Doubles) -> Doubles:
    """Web noise (n,) at points (n, 3) in micrometers."""
    noise = np.empty(points.shape[0])
    for p in range(points.shape[0]):
        noise[p] = web_at(surroundings, points[p, 0], points[p, 1], points[p, 2])
    return noise


@numba.njit(cache=True, nogil=True)
def are_visible(particles: Particles, shape: NDArray[np.int64], spacing: Doubles, circle: float) -> NDArray[np.bool_]:
    """Whether each particle holds at least one voxel centre of the field of view.

    Parameters
    ----------
    particles : Particles
        The particles.
    shape, spacing : (3,) int64, float64
        Voxels of the volume, and voxel size in micrometers.
    circle : float
        Radius of the field of view in voxels; 0 where it is not round.

    Returns
    -------
    (n,) bool
        Particles that are visible.
    """
    n = particles.centre.shape[0]
    found = np.zeros(n, np.bool_)
    for i in range(n):
        low, high = np.empty(3, np.int64), np.empty(3, np.int64)
        for a in range(3):
            low[a] = max(math.floor((particles.centre[i, a] - particles.bound[i]) / spacing[a]), 0)
            high[a] = min(math.ceil((particles.centre[i, a] + particles.bound[i]) / spacing[a]) + 1, shape[a])
        for iz in range(low[0], high[0]):
            for iy in range(low[1], high[1]):
                for ix in range(low[2], high[2]):
                    if found[i] or not in_circle(iy, ix, shape[1], shape[2], circle):
                        continue
                    state = _state_at(particles, 0.0, i, iz * spacing[0], iy * spacing[1], ix * spacing[2])
                    found[i] = state == PARTICLE
    return found


@numba.njit(cache=True, inline="always")
def in_circle(iy: float, ix: float, ny: int, nx: int, circle: float) -> bool:
    """Whether a position in a slice lies in the circular field of view; always if its radius is 0."""
    y, x = iy - 0.5 * (ny - 1), ix - 0.5 * (nx - 1)
    return circle == 0.0 or y * y + x * x <= circle * circle
