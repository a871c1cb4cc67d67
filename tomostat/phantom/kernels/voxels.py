"""Voxel kernels: the rules of the electrode applied to every voxel of a block."""

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tomostat.phantom.kernels.model import Bodies, Floats, Matter
from tomostat.phantom.kernels.noise import gradient_noise, noise_row
from tomostat.phantom.kernels.rules import ACTIVE, CBD, INSIDE, OCTAVES, PORE, between, state_of

VOID = np.float32(-9.0)
"""Grey value that marks cracks and pores until phases are written."""

VEIL = 0.1
"""Grey of cracks and pores inside particles above that of open pores, relative: they are never quite empty."""


class Inner(NamedTuple):
    """One particle's rows of `Bodies`, for the voxel loop."""

    bound: float
    seed: int
    grain: tuple[float, float]
    pore: float
    core: float
    core_scale: float
    split: Floats
    crack: Floats


@numba.njit(cache=True, nogil=True)
def cracked(inner: Inner, z: float, y: float, x: float, s: float, grain: float) -> bool:
    """Whether a point inside a particle lies in a crack.

    Parameters
    ----------
    inner : Inner
        The particle.
    z, y, x : float
        Point relative to the centre in micrometers.
    s : float
        Distance from the centre relative to the surface radius.
    grain : float
        Grain noise at the point; roughens the crack's faces.
    """
    f = 2.0 / inner.bound
    wave = gradient_noise(f * z, f * y, f * x, inner.seed + 4)
    f *= 3.7
    wave += 0.3 * gradient_noise(f * z, f * y, f * x, inner.seed + 5)
    n = inner.split
    opened = n[4]
    if opened > 0.0:
        along = n[0] * z + n[1] * y + n[2] * x - n[3] + 0.12 * inner.bound * wave
        if abs(along - 0.5 * opened) < opened * (0.5 + 0.25 * grain):
            return True
    for k in range(inner.crack.shape[0]):
        c = inner.crack[k]
        if s < c[7] or s > c[8] or c[3] * z + c[4] * y + c[5] * x < 0.0:
            continue
        side = c[0] * z + c[1] * y + c[2] * x + c[10] * wave * (1.0 if (k & 1) == 0 else -1.0)
        share = (s - c[7]) / (c[8] - c[7])
        width = c[6] * (0.4 + 0.6 * (share if c[9] > 0.0 else 1.0 - share)) * (1.0 + 0.6 * grain)
        if abs(side) > 0.5 * width:
            continue
        across = (c[1] * c[5] - c[2] * c[4]) * z + (c[2] * c[3] - c[0] * c[5]) * y
        across += (c[0] * c[4] - c[1] * c[3]) * x
        if abs(across) < c[11] * inner.bound * (1.0 + wave):
            return True
    return False


@numba.njit(cache=True, nogil=True)
def inside(inner: Inner, z: float, y: float, x: float, distance: float, radius: float) -> tuple[bool, float]:
    """Inside a filled particle: whether a point is void (core, crack, pore), and the grain noise there."""
    s = distance / radius
    g = inner.grain[0] / (distance + 1e-9) + inner.grain[1]
    grain = gradient_noise(g * z, g * y, g * x, inner.seed)
    if grain > inner.pore:
        return True, grain
    if s < 1.6 * inner.core:
        f = 1.0 / inner.core_scale
        cave = gradient_noise(f * z, f * y, f * x, inner.seed + 2) + 0.3 * grain
        f *= 2.3
        cave += 0.5 * gradient_noise(f * z, f * y, f * x, inner.seed + 3)
        if cave > 0.85 * (s / inner.core) - 0.5:
            return True, grain
    if inner.crack.shape[0] == 0 and inner.split[4] == 0.0:
        return False, grain
    return cracked(inner, z, y, x, s, grain), grain


@numba.njit(cache=True, nogil=True)
def paint_bodies(
    bodies: Bodies,
    film: float,
    chosen: NDArray[np.int64],
    origin: Floats,
    spacing: Floats,
    levels: Floats,
    labels: NDArray[np.uint32],
    states: NDArray[np.uint8],
    grey: NDArray[np.float32],
) -> None:
    """Write particles, and the films and gaps around them, into a block.

    Parameters
    ----------
    bodies : Bodies
        The particles.
    film : float
        Film thickness in micrometers.
    chosen : (k,) int64
        Particles that reach into the block, rising.
    origin, spacing : (3,) float64
        Index of the first voxel, and voxel size in micrometers.
    levels : (5,) float64
        Grey level of each phase and, last, the strength of the texture.
    labels, states, grey : (nz, ny, nx)
        Overwritten: particle labels, states, and grey values inside particles (`VOID` in cracks and pores).
    """
    for i in chosen:
        first, last = bodies.crack_start[i], bodies.crack_start[i + 1]
        inner = Inner(
            bodies.bound[i],
            bodies.seed[i],
            (bodies.grain[i, 0], bodies.grain[i, 1]),
            bodies.pore[i],
            bodies.core[i],
            bodies.core_scale[i],
            bodies.split[i],
            bodies.crack[first:last],
        )
        solid = levels[PORE] + (levels[ACTIVE] - levels[PORE]) * bodies.density[i]
        _paint_body(
            i + 1,
            inner,
            bodies.radius[i],
            bodies.detached[i],
            bodies.gap[i],
            film,
            bodies.centre[i],
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
    """Indices of a block's voxels within reach of a centre."""
    low, high = (centre - reach) / step - origin, (centre + reach) / step - origin
    return max(math.ceil(low), 0), min(math.floor(high) + 1, count)


@numba.njit(cache=True, nogil=True)
def _paint_body(
    label: int,
    inner: Inner,
    radii: NDArray[np.float32],
    detached: NDArray[np.float32],
    gap: float,
    film: float,
    centre: Floats,
    origin: Floats,
    spacing: Floats,
    solid: float,
    texture: float,
    labels: NDArray[np.uint32],
    states: NDArray[np.uint8],
    grey: NDArray[np.float32],
) -> None:
    """Write one particle, its film and its gap."""
    nz, ny, nx = labels.shape
    reach = inner.bound + max(gap, film)
    z0, z1 = _span(centre[0], reach, spacing[0], origin[0], nz)
    y0, y1 = _span(centre[1], reach, spacing[1], origin[1], ny)
    for iz in range(z0, z1):
        z = (iz + origin[0]) * spacing[0] - centre[0]
        for iy in range(y0, y1):
            y = (iy + origin[1]) * spacing[1] - centre[1]
            half = math.sqrt(max(reach * reach - z * z - y * y, 0.0))
            x0, x1 = _span(centre[2], half, spacing[2], origin[2], nx)
            for ix in range(x0, x1):
                if states[iz, iy, ix] == INSIDE:
                    continue
                x = (ix + origin[2]) * spacing[2] - centre[2]
                state, distance, radius = state_of(radii, detached, gap, film, z, y, x)
                states[iz, iy, ix] = max(states[iz, iy, ix], state)
                if state == INSIDE:
                    labels[iz, iy, ix] = label
                    void, grain = inside(inner, z, y, x, distance, radius)
                    f = 4.0 / inner.bound
                    patch = gradient_noise(f * z, f * y, f * x, inner.seed + 6)
                    grey[iz, iy, ix] = VOID if void else solid * (1.0 + texture * (0.15 * patch - 0.3 * grain))


@numba.njit(cache=True, nogil=True)
def _rows(
    matter: Matter, z: float, y: float, first: float, step: float, row: Floats, web: Floats, texture: Floats
) -> None:
    """Write the web noise and the CBD's texture along a row of voxels, from index `first` on."""
    web[:] = 0.0
    texture[:] = 0.0
    for k in range(len(OCTAVES)):
        f = OCTAVES[k][0] / matter.scale
        noise_row(row, z * f, y * f, first, step * f, matter.seed + 10 + k)
        for ix in range(row.shape[0]):
            web[ix] += OCTAVES[k][1] * row[ix]
            texture[ix] += OCTAVES[k][2] * row[ix]


@numba.njit(cache=True, nogil=True)
def paint_matter(
    matter: Matter,
    origin: Floats,
    spacing: Floats,
    levels: Floats,
    states: NDArray[np.uint8],
    phases: NDArray[np.uint8],
    grey: NDArray[np.float32],
) -> None:
    """Write phases, and the grey values between particles, into a block; parameters as in `paint_bodies`."""
    nz, ny, nx = states.shape
    row, web, texture = np.empty(nx), np.empty(nx), np.empty(nx)
    point = np.empty(3)
    for iz in range(nz):
        point[0] = (iz + origin[0]) * spacing[0]
        for iy in range(ny):
            point[1] = (iy + origin[1]) * spacing[1]
            _rows(matter, point[0], point[1], origin[2], spacing[2], row, web, texture)
            for ix in range(nx):
                if states[iz, iy, ix] == INSIDE:
                    void = grey[iz, iy, ix] == VOID
                    phases[iz, iy, ix] = PORE if void else ACTIVE
                    if void:
                        grey[iz, iy, ix] = levels[PORE] + VEIL * levels[4] * (levels[ACTIVE] - levels[PORE])
                    continue
                point[2] = (ix + origin[2]) * spacing[2]
                phase = between(matter, states[iz, iy, ix], point[matter.axis], web[ix])
                phases[iz, iy, ix] = phase
                grey[iz, iy, ix] = levels[phase]
                if phase == CBD:
                    dense = min(max(web[ix] - matter.threshold, 0.0), 0.8) - 0.4 + texture[ix]
                    grey[iz, iy, ix] += levels[4] * (levels[CBD] - levels[PORE]) * dense
