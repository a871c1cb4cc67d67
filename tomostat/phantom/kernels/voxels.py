"""Kernels that evaluate the electrode at every voxel of a block."""

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tomostat.kernels.arrays import Doubles
from tomostat.phantom.kernels.model import Particles, Surroundings
from tomostat.phantom.kernels.noise import gradient_noise, noise_row
from tomostat.phantom.kernels.rules import ACTIVE, CBD, OCTAVES, PARTICLE, PORE, phase_between, state_near

VOID = np.float32(-9.0)
"""Grey value that marks cracks, cores and pores until phases are written."""

VOID_GREY = 0.1
"""Grey level of cracks and pores in particles above that of open pores, relative to the contrast; never quite empty."""


class Interior(NamedTuple):
    """Values of `Particles` for one particle that its interior depends on."""

    bound: float
    seed: int
    grain: tuple[float, float]
    pore: float
    core: float
    core_scale: float
    split: Doubles
    crack: Doubles


@numba.njit(cache=True, nogil=True)
def interior_of(particles: Particles, i: int) -> Interior:
    """What the interior of particle i depends on."""
    return Interior(
        particles.bound[i],
        particles.seed[i],
        (particles.grain[i, 0], particles.grain[i, 1]),
        particles.pore[i],
        particles.core[i],
        particles.core_scale[i],
        particles.split[i],
        particles.crack[particles.crack_start[i] : particles.crack_start[i + 1]],
    )


@numba.njit(cache=True, nogil=True)
def in_crack(interior: Interior, z: float, y: float, x: float, s: float, grain: float) -> bool:
    """Whether a point in a particle is in a crack.

    Parameters
    ----------
    interior : Interior
        The particle.
    z, y, x : float
        Point relative to the centre in micrometers.
    s : float
        Distance from the centre relative to the surface radius.
    grain : float
        Grain noise at the point, which roughens the faces of the crack.
    """
    f = 2.0 / interior.bound
    wave = gradient_noise(f * z, f * y, f * x, interior.seed + 4)
    f *= 3.7
    wave += 0.3 * gradient_noise(f * z, f * y, f * x, interior.seed + 5)
    n = interior.split
    opened = n[4]
    if opened > 0.0:
        height = n[0] * z + n[1] * y + n[2] * x - n[3] + 0.12 * interior.bound * wave
        if abs(height - 0.5 * opened) < opened * (0.5 + 0.25 * grain):
            return True
    for k in range(interior.crack.shape[0]):
        c = interior.crack[k]
        if s < c[7] or s > c[8] or c[3] * z + c[4] * y + c[5] * x < 0.0:
            continue
        side = c[0] * z + c[1] * y + c[2] * x + c[10] * wave * (1.0 if (k & 1) == 0 else -1.0)
        share = (s - c[7]) / (c[8] - c[7])
        width = c[6] * (0.4 + 0.6 * (share if c[9] > 0.0 else 1.0 - share)) * (1.0 + 0.6 * grain)
        if abs(side) > 0.5 * width:
            continue
        across = (c[1] * c[5] - c[2] * c[4]) * z + (c[2] * c[3] - c[0] * c[5]) * y
        across += (c[0] * c[4] - c[1] * c[3]) * x
        if abs(across) < c[11] * interior.bound * (1.0 + wave):
            return True
    return False


@numba.njit(cache=True, nogil=True)
def void_at(interior: Interior, z: float, y: float, x: float, distance: float, radius: float) -> tuple[bool, float]:
    """Whether a point in a particle is void (core, crack or pore), and the grain noise there.

    Parameters as in `in_crack`; `distance` from the centre and `radius` of the surface in this direction, both in
    micrometers.
    """
    s = distance / radius
    g = interior.grain[0] / (distance + 1e-9) + interior.grain[1]
    grain = gradient_noise(g * z, g * y, g * x, interior.seed)
    if grain > interior.pore:
        return True, grain
    if s < 1.6 * interior.core:
        f = 1.0 / interior.core_scale
        cave = gradient_noise(f * z, f * y, f * x, interior.seed + 2) + 0.3 * grain
        f *= 2.3
        cave += 0.5 * gradient_noise(f * z, f * y, f * x, interior.seed + 3)
        if cave > 0.85 * (s / interior.core) - 0.5:
            return True, grain
    if interior.crack.shape[0] == 0 and interior.split[4] == 0.0:
        return False, grain
    return in_crack(interior, z, y, x, s, grain), grain


@numba.njit(cache=True, nogil=True)
def paint_particles(
    particles: Particles,
    film: float,
    chosen: NDArray[np.int64],
    origin: Doubles,
    spacing: Doubles,
    levels: Doubles,
    labels: NDArray[np.uint32],
    states: NDArray[np.uint8],
    grey: NDArray[np.float32],
) -> None:
    """Write particles, and the films and gaps around them, to a block.

    Parameters
    ----------
    particles : Particles
        The particles.
    film : float
        Film thickness in micrometers.
    chosen : (k,) int64
        Particles that reach into the block, ascending.
    origin, spacing : (3,) float64
        Index of the first voxel, and voxel size in micrometers.
    levels : (5,) float64
        Grey level of each phase and, last, the strength of the texture.
    labels, states, grey : (nz, ny, nx)
        Overwritten: particle labels, states (see `rules`), and grey values in particles (`VOID` in cracks and pores).
    """
    for i in chosen:
        interior = interior_of(particles, i)
        solid = levels[PORE] + (levels[ACTIVE] - levels[PORE]) * particles.density[i]
        _paint_particle(
            i + 1,
            interior,
            particles.radius[i],
            particles.detached[i],
            particles.gap[i],
            film,
            particles.centre[i],
            origin,
            spacing,
            solid,
            levels[4],
            labels,
            states,
            grey,
        )


@numba.njit(cache=True, inline="always")
def _span(centre: float, reach: float, step: float, origin: float, count: int) -> tuple[int, int]:
    """First and last index, exclusive, of the voxels of a block that are within reach of a centre."""
    low, high = (centre - reach) / step - origin, (centre + reach) / step - origin
    return max(math.ceil(low), 0), min(math.floor(high) + 1, count)


@numba.njit(cache=True, nogil=True)
def _paint_particle(
    label: int,
    interior: Interior,
    radii: NDArray[np.float32],
    detached: NDArray[np.float32],
    gap: float,
    film: float,
    centre: Doubles,
    origin: Doubles,
    spacing: Doubles,
    solid: float,
    texture: float,
    labels: NDArray[np.uint32],
    states: NDArray[np.uint8],
    grey: NDArray[np.float32],
) -> None:
    """Write one particle, its film and its gap."""
    nz, ny, nx = labels.shape
    reach = interior.bound + max(gap, film)
    z0, z1 = _span(centre[0], reach, spacing[0], origin[0], nz)
    y0, y1 = _span(centre[1], reach, spacing[1], origin[1], ny)
    for iz in range(z0, z1):
        z = (iz + origin[0]) * spacing[0] - centre[0]
        for iy in range(y0, y1):
            y = (iy + origin[1]) * spacing[1] - centre[1]
            half = math.sqrt(max(reach * reach - z * z - y * y, 0.0))
            x0, x1 = _span(centre[2], half, spacing[2], origin[2], nx)
            for ix in range(x0, x1):
                if states[iz, iy, ix] == PARTICLE:
                    continue
                x = (ix + origin[2]) * spacing[2] - centre[2]
                state, distance, radius = state_near(radii, detached, gap, film, z, y, x)
                states[iz, iy, ix] = max(states[iz, iy, ix], state)
                if state == PARTICLE:
                    labels[iz, iy, ix] = label
                    void, grain = void_at(interior, z, y, x, distance, radius)
                    f = 4.0 / interior.bound
                    patch = gradient_noise(f * z, f * y, f * x, interior.seed + 6)
                    grey[iz, iy, ix] = VOID if void else solid * (1.0 + texture * (0.15 * patch - 0.3 * grain))


@numba.njit(cache=True, nogil=True)
def _noise_along_row(
    surroundings: Surroundings,
    z: float,
    y: float,
    first: float,
    step: float,
    row: Doubles,
    web: Doubles,
    texture: Doubles,
) -> None:
    """Write the web noise and the texture of the CBD for voxels along x, from index `first` on."""
    web[:] = 0.0
    texture[:] = 0.0
    for k in range(len(OCTAVES)):
        f = OCTAVES[k][0] / surroundings.scale
        noise_row(row, z * f, y * f, first, step * f, surroundings.seed + 10 + k)
        for ix in range(row.shape[0]):
            web[ix] += OCTAVES[k][1] * row[ix]
            texture[ix] += OCTAVES[k][2] * row[ix]


@numba.njit(cache=True, nogil=True)
def paint_surroundings(
    surroundings: Surroundings,
    origin: Doubles,
    spacing: Doubles,
    levels: Doubles,
    states: NDArray[np.uint8],
    phases: NDArray[np.uint8],
    grey: NDArray[np.float32],
) -> None:
    """Write phases, and the grey values between particles, to a block; parameters as in `paint_particles`."""
    nz, ny, nx = states.shape
    row, web, texture = np.empty(nx), np.empty(nx), np.empty(nx)
    point = np.empty(3)
    for iz in range(nz):
        point[0] = (iz + origin[0]) * spacing[0]
        for iy in range(ny):
            point[1] = (iy + origin[1]) * spacing[1]
            _noise_along_row(surroundings, point[0], point[1], origin[2], spacing[2], row, web, texture)
            for ix in range(nx):
                if states[iz, iy, ix] == PARTICLE:
                    void = grey[iz, iy, ix] == VOID
                    phases[iz, iy, ix] = PORE if void else ACTIVE
                    if void:
                        grey[iz, iy, ix] = levels[PORE] + VOID_GREY * levels[4] * (levels[ACTIVE] - levels[PORE])
                    continue
                point[2] = (ix + origin[2]) * spacing[2]
                phase = phase_between(surroundings, states[iz, iy, ix], point[surroundings.axis], web[ix])
                phases[iz, iy, ix] = phase
                grey[iz, iy, ix] = levels[phase]
                if phase == CBD:
                    dense = min(max(web[ix] - surroundings.threshold, 0.0), 0.8) - 0.4 + texture[ix]
                    grey[iz, iy, ix] += levels[4] * (levels[CBD] - levels[PORE]) * dense
