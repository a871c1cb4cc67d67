"""Blur and artefacts of an image: noise, streaks, rings, shading, and the circle of the field of view."""

import math

import numba
import numpy as np
from numpy.typing import NDArray

from tomostat.phantom.kernels.noise import gradient_noise, normal_at, uniform_at
from tomostat.phantom.kernels.rules import in_circle

Image = NDArray[np.float32]

TRUNCATE = 3.0
"""Standard deviations at which a Gaussian is truncated."""

STREAK_SIGMA = 4.0
"""Gaussian sigma of streaks along their line, in voxels."""


def gaussian_weights(sigma: float) -> Image:
    """Weights (2 k + 1,) float32 of a truncated Gaussian; one weight for sigma 0."""
    reach = gaussian_reach(sigma)
    steps = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (steps / sigma) ** 2) if sigma > 0 else np.ones(1)
    normalized: Image = (weights / weights.sum()).astype(np.float32)
    return normalized


def gaussian_reach(sigma: float) -> int:
    """Voxels to each side that a truncated Gaussian of `sigma` voxels covers."""
    return math.ceil(TRUNCATE * sigma)


@numba.njit(cache=True, nogil=True)
def _filter_first_axis(image: Image, weights: Image) -> Image:
    """Weighted sums along the first axis of (n, m), where all weights fit, added in a fixed order."""
    n, m = image.shape
    out = np.zeros((n - weights.shape[0] + 1, m), np.float32)
    for i in range(out.shape[0]):
        for k in range(weights.shape[0]):
            for j in range(m):
                out[i, j] += weights[k] * image[i + k, j]
    return out


@numba.njit(cache=True, nogil=True)
def _filter_last_axis(image: Image, weights: Image) -> Image:
    """Weighted sums along the last axis of (n, m), where all weights fit, added in a fixed order."""
    n, m = image.shape
    out = np.zeros((n, m - weights.shape[0] + 1), np.float32)
    for i in range(n):
        for k in range(weights.shape[0]):
            for j in range(out.shape[1]):
                out[i, j] += weights[k] * image[i, j + k]
    return out


def gaussian(image: Image, sigmas: tuple[float, float, float]) -> Image:
    """Blur an image, without the margin where the Gaussian does not fit.

    Parameters
    ----------
    image : (nz, ny, nx) float32
        Image with a halo.
    sigmas : tuple of float
        Standard deviation along z, y, x in voxels.

    Returns
    -------
    float32
        Smaller than `image` by twice `gaussian_reach` along each axis.
    """
    z, y, x = (gaussian_weights(sigma) for sigma in sigmas)
    if len(z) > 1:
        image = _filter_first_axis(image.reshape(len(image), -1), z).reshape(-1, *image.shape[1:])
    if len(y) > 1:
        image = np.stack([_filter_first_axis(plane, y) for plane in image])
    if len(x) > 1:
        image = _filter_last_axis(image.reshape(-1, image.shape[2]), x).reshape(*image.shape[:2], -1)
    return image


@numba.njit(cache=True, nogil=True)
def white_noise(start: NDArray[np.int64], shape: tuple[int, int, int], seed: int) -> Image:
    """White noise (mean 0, variance 1) of the voxels from `start`, a function of their indices in the volume."""
    out = np.empty(shape, np.float32)
    for iz in range(shape[0]):
        for iy in range(shape[1]):
            for ix in range(shape[2]):
                out[iz, iy, ix] = normal_at(start[0] + iz, start[1] + iy, start[2] + ix, seed)
    return out


def correlated_noise(
    start: NDArray[np.int64], shape: tuple[int, int, int], seed: int, sigmas: tuple[float, ...]
) -> Image:
    """Noise of variance 1, smoothed by Gaussians of the given sigmas (z, y, x) in voxels."""
    reach = np.array([gaussian_reach(sigma) for sigma in sigmas])
    z, y, x = np.array(shape) + 2 * reach
    field = gaussian(white_noise(start - reach, (int(z), int(y), int(x)), seed), (sigmas[0], sigmas[1], sigmas[2]))
    gain = math.prod(float(np.sqrt((gaussian_weights(sigma).astype(float) ** 2).sum())) for sigma in sigmas)
    return field if gain == 1.0 else field / np.float32(gain)


@numba.njit(cache=True, nogil=True)
def _filter_slanted_lines(image: Image, weights: Image, slope: float) -> Image:
    """Weighted sums along lines that rise by `slope` voxels in y per voxel in x, where all weights fit."""
    reach = weights.shape[0] // 2
    rise = math.ceil(abs(slope) * reach)
    nz, ny, nx = image.shape
    out = np.zeros((nz, ny - 2 * rise, nx - 2 * reach), np.float32)
    for iz in range(nz):
        for iy in range(out.shape[1]):
            for k in range(weights.shape[0]):
                row = iy + rise + round((k - reach) * slope)
                for ix in range(out.shape[2]):
                    out[iz, iy, ix] += weights[k] * image[iz, row, ix + k]
    return out


def streak_noise(start: NDArray[np.int64], shape: tuple[int, int, int], seed: int) -> Image:
    """Noise of variance 1 in streaks along x, slanted by up to half a voxel in y per voxel in x."""
    slope = uniform_at(0, 0, 0, seed) - 0.5
    weights = gaussian_weights(STREAK_SIGMA)
    reach = len(weights) // 2
    margin = np.array([0, math.ceil(abs(slope) * reach), reach])
    z, y, x = np.array(shape) + 2 * margin
    field = correlated_noise(start - margin, (int(z), int(y), int(x)), seed, (0.8, 0.8, 0.0))
    field = _filter_slanted_lines(field, weights, slope)
    normalized: Image = field / np.float32(np.sqrt((weights.astype(float) ** 2).sum()))
    return normalized


@numba.njit(cache=True, nogil=True)
def add_rings_and_shading(
    image: Image, start: NDArray[np.int64], shape: NDArray[np.int64], seed: int, rings: float, shading: float
) -> None:
    """Add ring artefacts and slow shading in place.

    Parameters
    ----------
    image : (nz, ny, nx) float32
        Block of the volume.
    start, shape : (3,) int64
        First voxel of the block, and voxels of the whole volume.
    seed : int
        Seed of the random numbers.
    rings, shading : float
        Standard deviation of the rings and peak of the shading, in units of the image.
    """
    cy, cx = 0.5 * (shape[1] - 1), 0.5 * (shape[2] - 1)
    for iz in range(image.shape[0]):
        z = start[0] + iz
        for iy in range(image.shape[1]):
            y = start[1] + iy
            for ix in range(image.shape[2]):
                x = start[2] + ix
                if rings > 0.0:
                    r = math.sqrt((y - cy) ** 2 + (x - cx) ** 2)
                    k = int(r)
                    a, b = normal_at(z // 16, k, 5, seed + 21), normal_at(z // 16, k + 1, 5, seed + 21)
                    image[iz, iy, ix] += rings * (a + (r - k) * (b - a))
                if shading > 0.0:
                    f = gradient_noise(
                        1.3 * z / shape[0] + 0.4, 1.6 * y / shape[1] + 0.4, 1.6 * x / shape[2] + 0.4, seed + 22
                    )
                    image[iz, iy, ix] += 1.5 * shading * f


@numba.njit(cache=True, nogil=True)
def blank_outside_circle(
    image: Image,
    labels: NDArray[np.uint32],
    phases: NDArray[np.uint8],
    start: NDArray[np.int64],
    shape: NDArray[np.int64],
    circle: float,
    level: float,
    code: int,
) -> None:
    """Set everything outside the circular field of view to constants, in place.

    Parameters
    ----------
    image, labels, phases : (nz, ny, nx) float32, uint32, uint8
        Block of the volume.
    start, shape : (3,) int64
        First voxel of the block, and voxels of the whole volume.
    circle : float
        Radius of the field of view in voxels.
    level : float
        Grey level outside.
    code : int
        Phase outside.
    """
    for iy in range(image.shape[1]):
        for ix in range(image.shape[2]):
            if not in_circle(start[1] + iy, start[2] + ix, shape[1], shape[2], circle):
                image[:, iy, ix] = level
                labels[:, iy, ix] = 0
                phases[:, iy, ix] = code
