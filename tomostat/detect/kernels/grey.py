"""Grey values of slices: scaled to their percentiles, random noise, and the faults of tomographic images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Image = NDArray[np.float32]


def scale_grey(image: Image, *, rng: np.random.Generator | None = None) -> Image:
    """Scale grey values linearly so that percentiles 0.5 and 99.5 become 0 and 1.

    Parameters
    ----------
    image
        Grey values of any shape.
    rng
        When given, both ends are shifted a little at random, as they differ between measurements.

    Returns
    -------
    ndarray
        float32 of the same shape.
    """
    low, high = np.percentile(image, [0.5, 99.5])
    if rng is not None:
        width = high - low
        low, high = low + width * rng.normal(0, 0.05), high + width * rng.normal(0, 0.08)
    return ((image - low) / max(high - low, 1e-6)).astype(np.float32)


def noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float | tuple[float, float]) -> Image:
    """Correlated Gaussian noise of mean 0 and standard deviation 1, (ny, nx) float32.

    Parameters
    ----------
    rng
        Source of all randomness.
    shape
        Pixels (ny, nx).
    sigma
        Correlation length in pixels: sigma of the Gaussian filter, one value or one per axis.
    """
    field = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode="wrap")
    return ((field - field.mean()) / max(float(field.std()), 1e-6)).astype(np.float32)


def add_faults(rng: np.random.Generator, grey: Image) -> Image:
    """Add image faults to a slice (ny, nx): blur, fringes, noise, stripes, rings, shading, gamma."""
    shape = grey.shape[0], grey.shape[1]
    image = ndimage.gaussian_filter(grey, rng.uniform(0.0, 1.8))
    if rng.random() < 0.3:
        image = image + rng.uniform(0, 1.0) * (image - ndimage.gaussian_filter(image, rng.uniform(1, 4)))
    image = image + rng.uniform(0.01, 0.18) * noise(rng, shape, rng.uniform(0.0, 1.5))
    if rng.random() < 0.3:
        sigma = (rng.uniform(0, 0.8), rng.uniform(3, 15))
        image = image + rng.uniform(0.01, 0.08) * noise(rng, shape, sigma if rng.random() < 0.7 else sigma[::-1])
    if rng.random() < 0.2:
        image = image + rings(rng, shape)
    image = image + rng.uniform(0, 0.15) * noise(rng, shape, shape[0] / 4)
    low, high = image.min(), image.max()
    image = ((image - low) / max(float(high - low), 1e-6)) ** rng.uniform(0.6, 1.6)
    return image.astype(np.float32)


def rings(rng: np.random.Generator, shape: tuple[int, int]) -> Image:
    """Ring artefacts (ny, nx) around a random centre; their standard deviation is 0.02 to 0.1."""
    centre = rng.uniform(-0.5, 1.5, 2) * shape
    yy, xx = np.ogrid[: shape[0], : shape[1]]
    radius = np.hypot(yy - centre[0], xx - centre[1]).astype(int)
    profile = ndimage.gaussian_filter1d(rng.standard_normal(radius.max() + 1), 0.8)
    return (rng.uniform(0.02, 0.1) * profile[radius]).astype(np.float32)
