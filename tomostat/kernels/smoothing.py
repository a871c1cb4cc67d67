"""Masks and images smoothed with a Gaussian: where a surface lies between voxels, and which way it faces."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomostat.kernels.arrays import ByteMask, Floats

Spacing = tuple[float, float, float]

SIGMA = 1.0
"""Width of the smoothing in voxels: the votes hide the voxel steps that it leaves, and cracks stay open."""

RADIUS = 4
"""Voxels on each side that the smoothing reads."""


def gaussian_weights(sigma: float = SIGMA, radius: int = RADIUS) -> Floats:
    """One half of a sampled Gaussian, centre first; the whole sums to 1."""
    half = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    return (half / (2 * half.sum() - half[0])).astype(np.float32)


@njit(cache=True, nogil=True, fastmath=True)
def _smooth_rows(source: Floats, weights: Floats, axis: int, out: Floats) -> None:
    """Convolve along z (axis 0) or y (axis 1); rows along x are the inner, vectorised loop."""
    nz, ny, nx = source.shape
    last = nz - 1 if axis == 0 else ny - 1
    for z in range(nz):
        for y in range(ny):
            row = out[z, y]
            centre = source[z, y]
            for x in range(nx):
                row[x] = weights[0] * centre[x]
            at = z if axis == 0 else y
            for k in range(1, len(weights)):
                low, high = max(at - k, 0), min(at + k, last)
                a = source[low, y] if axis == 0 else source[z, low]
                b = source[high, y] if axis == 0 else source[z, high]
                for x in range(nx):
                    row[x] += weights[k] * (a[x] + b[x])


@njit(cache=True, nogil=True, fastmath=True)
def _smooth_x(source: ByteMask | Floats, weights: Floats, out: Floats) -> None:
    """Convolve along x."""
    nz, ny, nx = source.shape
    radius = len(weights) - 1
    padded = np.empty(nx + 2 * radius, np.float32)
    for z in range(nz):
        for y in range(ny):
            empty = True
            for x in range(nx):
                padded[x + radius] = source[z, y, x]
                empty &= source[z, y, x] == 0
            row = out[z, y]
            if empty:
                row[:] = 0
                continue
            padded[:radius] = padded[radius]
            padded[nx + radius :] = padded[nx + radius - 1]
            for x in range(nx):
                row[x] = weights[0] * padded[x + radius]
            for k in range(1, radius + 1):
                a = padded[radius - k : radius - k + nx]
                b = padded[radius + k : radius + k + nx]
                for x in range(nx):
                    row[x] += weights[k] * (a[x] + b[x])


def smooth(image: ByteMask | Floats, sigma: float = SIGMA, radius: int = RADIUS) -> Floats:
    """Smooth a mask or an image with a Gaussian of `sigma` voxels along each axis.

    Voxels at the box's edge are repeated outwards: a particle cut by the field goes on behind the cut. An axis of one
    voxel is not smoothed; with a sigma of 0 none is.

    Parameters
    ----------
    image
        (z, y, x) uint8 or float32.
    sigma, radius
        Width and reach in voxels.

    Returns
    -------
    numpy.ndarray
        (z, y, x) float32.
    """
    if sigma == 0:
        return image.astype(np.float32)
    weights = gaussian_weights(sigma, radius)
    first = np.empty(image.shape, np.float32)
    _smooth_x(image, weights, first)
    for axis in (1, 0):
        if image.shape[axis] > 1:
            second = np.empty_like(first)
            _smooth_rows(first, weights, axis, second)
            first = second
    return first


@njit(cache=True, nogil=True)
def gradient(f: Floats, z: int, y: int, x: int, spacing: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Central differences per micrometer, one-sided at the box's edge."""
    nz, ny, nx = f.shape
    a, b = max(z - 1, 0), min(z + 1, nz - 1)
    out[0] = (f[b, y, x] - f[a, y, x]) / (max(b - a, 1) * spacing[0])
    a, b = max(y - 1, 0), min(y + 1, ny - 1)
    out[1] = (f[z, b, x] - f[z, a, x]) / (max(b - a, 1) * spacing[1])
    a, b = max(x - 1, 0), min(x + 1, nx - 1)
    out[2] = (f[z, y, b] - f[z, y, a]) / (max(b - a, 1) * spacing[2])
