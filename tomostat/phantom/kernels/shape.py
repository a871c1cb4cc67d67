"""Surfaces of star-shaped particles as tables over directions.

A particle is all points closer to its centre than a radius that depends on the direction. The radius is tabulated on
an octahedral grid of directions and interpolated bilinearly. The table defines the shape exactly, so that voxels and
ground truth have the same surface.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from tomostat.phantom.kernels.noise import gradient_noise

SIDE = 65
"""Nodes along one side of the octahedral grid: 2.8 degrees between directions."""


@numba.njit(cache=True, inline="always")
def grid_cell(z: float, y: float, x: float) -> tuple[int, int, float, float]:
    """Cell of the octahedral grid that a direction (of any length) falls into, and the position in it.

    Notes
    -----
    Cigolle et al., "A survey of efficient representations for independent unit vectors", JCGT 3(2), 2014.
    """
    scale = 1.0 / (abs(z) + abs(y) + abs(x) + 1e-30)
    p, q = y * scale, x * scale
    if z < 0.0:
        p, q = math.copysign(1.0 - abs(q), p), math.copysign(1.0 - abs(p), q)
    half = 0.5 * (SIDE - 1)
    a, b = (p + 1.0) * half, (q + 1.0) * half
    i, j = min(int(a), SIDE - 2), min(int(b), SIDE - 2)
    return i, j, a - i, b - j


@numba.njit(cache=True, inline="always")
def interpolate_cell(table: NDArray[np.float32], i: int, j: int, a: float, b: float) -> float:
    """Interpolate a table of shape (SIDE, SIDE) in the cell that `grid_cell` gives."""
    low = table[i, j] + b * (table[i, j + 1] - table[i, j])
    high = table[i + 1, j] + b * (table[i + 1, j + 1] - table[i + 1, j])
    return float(low + a * (high - low))


@numba.njit(cache=True, nogil=True)
def interpolate(table: NDArray[np.float32], z: float, y: float, x: float) -> float:
    """Interpolate a table of shape (SIDE, SIDE) in a direction (of any length)."""
    i, j, a, b = grid_cell(z, y, x)
    return float(interpolate_cell(table, i, j, a, b))


def directions() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes of the octahedral grid as unit vectors, and the solid angle of each.

    Returns
    -------
    vectors : (SIDE, SIDE, 3) float64
        Unit vectors z, y, x.
    weights : (SIDE, SIDE) float64
        Solid angles in steradian; they add up to 4 pi.
    """
    axis = np.linspace(-1, 1, SIDE)
    p, q = np.meshgrid(axis, axis, indexing="ij")
    z = 1 - np.abs(p) - np.abs(q)
    y = np.where(z < 0, np.copysign(1 - np.abs(q), p), p)
    x = np.where(z < 0, np.copysign(1 - np.abs(p), q), q)
    flat = np.stack([z, y, x], axis=-1)
    length = np.linalg.norm(flat, axis=-1)
    edge = np.ones(SIDE)
    edge[[0, -1]] = 0.5
    weights = edge[:, None] * edge / length**3
    return flat / length[..., None], weights * (4 * np.pi / weights.sum())


def even_directions(count: int) -> NDArray[np.float64]:
    """Unit vectors (count, 3) spread evenly over the sphere: a Fibonacci spiral."""
    k = np.arange(count) + 0.5
    z = 1 - 2 * k / count
    angle = np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - z * z)
    return np.stack([z, ring * np.cos(angle), ring * np.sin(angle)], axis=-1)


@numba.njit(cache=True, nogil=True)
def fill_radius(
    table: NDArray[np.float32],
    vectors: NDArray[np.float64],
    frame: NDArray[np.float64],
    waves: NDArray[np.float64],
    grain: NDArray[np.float64],
    seed: int,
) -> None:
    """Tabulate the radius of a bumpy ellipsoid.

    Parameters
    ----------
    table : (SIDE, SIDE) float32
        Radius in micrometers, overwritten.
    vectors : (SIDE, SIDE, 3) float64
        From `directions`.
    frame : (3, 3) float64
        Maps the ellipsoid to the unit ball, 1/micrometer.
    waves : (k, 5) float64
        Frequency vector, phase and amplitude of bumps cos(f . u + phase), relative to the radius.
    grain : (2,) float64
        Amplitude in micrometers and frequency of the roughness.
    seed : int
        Seed of the random roughness.
    """
    for i in range(SIDE):
        for j in range(SIDE):
            z, y, x = vectors[i, j, 0], vectors[i, j, 1], vectors[i, j, 2]
            square = 0.0
            for k in range(3):
                square += (frame[k, 0] * z + frame[k, 1] * y + frame[k, 2] * x) ** 2
            bump = 1.0
            for k in range(waves.shape[0]):
                phase = waves[k, 0] * z + waves[k, 1] * y + waves[k, 2] * x + waves[k, 3]
                bump += waves[k, 4] * math.cos(phase)
            rough = 0.0
            for k in range(2):
                f = grain[1] * (1.0 - 0.6 * k)
                rough += grain[0] * gradient_noise(f * z, f * y, f * x, seed + k)
            table[i, j] = bump / math.sqrt(square) + rough


@numba.njit(cache=True, nogil=True)
def fill_waves(table: NDArray[np.float32], vectors: NDArray[np.float64], waves: NDArray[np.float64]) -> None:
    """Tabulate a sum of cosines over directions, as in `fill_radius`, in a table of shape (SIDE, SIDE)."""
    for i in range(SIDE):
        for j in range(SIDE):
            total = 0.0
            for k in range(waves.shape[0]):
                phase = waves[k, 3]
                for c in range(3):
                    phase += waves[k, c] * vectors[i, j, c]
                total += waves[k, 4] * math.cos(phase)
            table[i, j] = total


@numba.njit(cache=True, nogil=True)
def _in_split_particle(whole: NDArray[np.float32], split: NDArray[np.float64], z: float, y: float, x: float) -> bool:
    """Whether a point is in a particle whose part beyond a plane has moved away, or in the crack between both parts."""
    height = split[0] * z + split[1] * y + split[2] * x - split[3]
    share = min(max(height / split[4], 0.0), 1.0)
    z -= share * (split[4] * split[0] + split[5])
    y -= share * (split[4] * split[1] + split[6])
    x -= share * (split[4] * split[2] + split[7])
    return bool(z * z + y * y + x * x < interpolate(whole, z, y, x) ** 2)


@numba.njit(cache=True, nogil=True)
def split_radius(table: NDArray[np.float32], vectors: NDArray[np.float64], split: NDArray[np.float64]) -> None:
    """Move the part of a particle beyond a plane away; the crack between both parts belongs to the filled particle.

    Parameters
    ----------
    table : (SIDE, SIDE) float32
        Radius in micrometers, overwritten.
    vectors : (SIDE, SIDE, 3) float64
        From `directions`.
    split : (8,) float64
        Plane normal, plane distance from the centre, width of the opening, sideways move (3); micrometers.
    """
    whole = table.copy()
    least = 0.5 * whole.min()
    longest = whole.max() + split[4] + abs(split[5]) + abs(split[6]) + abs(split[7])
    for i in range(SIDE):
        for j in range(SIDE):
            z, y, x = vectors[i, j, 0], vectors[i, j, 1], vectors[i, j, 2]
            low, high = least, longest
            for _ in range(20):
                middle = 0.5 * (low + high)
                if _in_split_particle(whole, split, middle * z, middle * y, middle * x):
                    low = middle
                else:
                    high = middle
            table[i, j] = low


@numba.njit(cache=True, nogil=True)
def cut_radius(
    table: NDArray[np.float32], vectors: NDArray[np.float64], normal: NDArray[np.float64], distance: float
) -> None:
    """Cut a particle by the plane at `distance` (micrometers) from its centre along a unit normal."""
    for i in range(SIDE):
        for j in range(SIDE):
            cosine = normal[0] * vectors[i, j, 0] + normal[1] * vectors[i, j, 1] + normal[2] * vectors[i, j, 2]
            if cosine * table[i, j] > distance:
                table[i, j] = distance / cosine


@numba.njit(cache=True, nogil=True)
def overlap(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    offset: NDArray[np.float64],
    vectors: NDArray[np.float64],
) -> bool:
    """Whether a surface node of the first particle lies in the second, whose centre is at `offset`."""
    for i in range(SIDE):
        for j in range(SIDE):
            r = first[i, j]
            z = r * vectors[i, j, 0] - offset[0]
            y = r * vectors[i, j, 1] - offset[1]
            x = r * vectors[i, j, 2] - offset[2]
            reach = 1.01 * interpolate(second, z, y, x)
            if z * z + y * y + x * x < reach * reach:
                return True
    return False
