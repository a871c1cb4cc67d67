"""Counter-based random numbers: functions of position and seed alone, hence the same in any block."""

import math

import numba
import numpy as np
from numpy.typing import NDArray

U = np.uint32
_Z, _Y, _X, _SEED = U(0x8DA6B343), U(0xD8163841), U(0xCB1AB31F), U(0x9E3779B1)
_NORMAL_SCALE = math.sqrt(3.0) / 65536.0
_SLOPE_SCALE = 1.0 / 360.0


@numba.njit(cache=True, inline="always")
def _mix(h: np.uint32) -> np.uint32:
    """Scramble 32 bits (murmur3's finalizer)."""
    h = U(U(h ^ (h >> U(16))) * U(0x85EBCA6B))
    h = U(U(h ^ (h >> U(13))) * U(0xC2B2AE35))
    return U(h ^ (h >> U(16)))


@numba.njit(cache=True, nogil=True)
def uniform_at(z: int, y: int, x: int, seed: int) -> float:
    """Return a uniform random number in [0, 1) for a lattice point."""
    return float(_mix(U(U(U(z) * _Z) ^ U(U(y) * _Y) ^ U(U(x) * _X) ^ U(U(seed) * _SEED))) / 4294967296.0)


@numba.njit(cache=True, inline="always")
def normal_at(z: int, y: int, x: int, seed: int) -> float:
    """Return a nearly normal random number (mean 0, variance 1) for a lattice point: a sum of four uniform ones."""
    a = _mix(U(U(U(z) * _Z) ^ U(U(y) * _Y) ^ U(U(x) * _X) ^ U(U(seed) * _SEED)))
    b = _mix(U(a ^ U(0x68E31DA4)))
    total = np.int64(a & U(0xFFFF)) + np.int64(a >> U(16)) + np.int64(b & U(0xFFFF)) + np.int64(b >> U(16))
    return (total - 131070.0) * _NORMAL_SCALE


@numba.njit(cache=True, inline="always")
def _slopes(h: np.uint32) -> tuple[float, float, float]:
    """Gradient at a lattice point, from 30 bits of its hash."""
    h = _mix(h)
    a, b, c = np.int64(h & U(1023)), np.int64((h >> U(10)) & U(1023)), np.int64((h >> U(20)) & U(1023))
    return (a - 511.5) * _SLOPE_SCALE, (b - 511.5) * _SLOPE_SCALE, (c - 511.5) * _SLOPE_SCALE


@numba.njit(cache=True, inline="always")
def _fade(t: float) -> float:
    """Interpolation weight of gradient noise (Perlin 2002)."""
    return t * t * t * (t * (t * 6.0 - 15.0) + 10.0)


@numba.njit(cache=True, inline="always")
def _line(z: float, y: float, plane: np.uint32, iz: int, iy: int) -> tuple[float, float]:
    """Noise near the lattice plane of one x as value + slope * (x - plane): the sum over its four corners."""
    value, slope = 0.0, 0.0
    for k in range(2):
        weight_z = _fade(z) if k == 1 else 1.0 - _fade(z)
        for j in range(2):
            weight = weight_z * (_fade(y) if j == 1 else 1.0 - _fade(y))
            a, b, c = _slopes(U(U(U(iz + k) * _Z) ^ U(U(iy + j) * _Y) ^ plane))
            value += weight * (a * (z - k) + b * (y - j))
            slope += weight * c
    return value, slope


@numba.njit(cache=True, nogil=True)
def gradient_noise(z: float, y: float, x: float, seed: int) -> float:
    """Gradient noise: smooth, mean 0, standard deviation 0.27, structures of about one lattice unit.

    Parameters
    ----------
    z, y, x : float
        Position in units of the lattice.
    seed : int
        Seed, 32 bits.

    Notes
    -----
    K. Perlin, "Improving noise", SIGGRAPH 2002, with random slopes in place of twelve edge directions.
    """
    fz, fy, fx = math.floor(z), math.floor(y), math.floor(x)
    iz, iy, ix = int(fz), int(fy), int(fx)
    mixed = U(U(seed) * _SEED)
    low, low_slope = _line(z - fz, y - fy, U(U(U(ix) * _X) ^ mixed), iz, iy)
    high, high_slope = _line(z - fz, y - fy, U(U(U(ix + 1) * _X) ^ mixed), iz, iy)
    t = x - fx
    low += low_slope * t
    return float(low + _fade(t) * (high + high_slope * (t - 1.0) - low))


@numba.njit(cache=True, nogil=True)
def noise_row(out: NDArray[np.float64], z: float, y: float, start: float, step: float, seed: int) -> None:
    """Write gradient noise at points along x: at (start + k) * step, equal to `gradient_noise` there.

    Parameters
    ----------
    out : (n,) float64
        Noise, overwritten.
    z, y : float
        Position of the points in units of the lattice.
    start, step : float
        Index of the first point, a whole number, and distance of points in units of the lattice.
    seed : int
        Seed, 32 bits.
    """
    fz, fy = math.floor(z), math.floor(y)
    iz, iy = int(fz), int(fy)
    mixed = U(U(seed) * _SEED)
    cell = -(2**62)
    low, low_slope, high, high_slope = 0.0, 0.0, 0.0, 0.0
    for k in range(out.shape[0]):
        x = (start + k) * step
        fx = math.floor(x)
        if int(fx) != cell:  # everything but x stays the same within a cell
            low, low_slope = _line(z - fz, y - fy, U(U(U(int(fx)) * _X) ^ mixed), iz, iy)
            high, high_slope = _line(z - fz, y - fy, U(U(U(int(fx) + 1) * _X) ^ mixed), iz, iy)
            cell = int(fx)
        t = x - fx
        first = low + low_slope * t
        out[k] = first + _fade(t) * (high + high_slope * (t - 1.0) - first)
