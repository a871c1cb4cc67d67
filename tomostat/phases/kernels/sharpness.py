"""Kernels that measure noise and blur of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize, special

from tomostat.blocks import Box
from tomostat.phase import Phase
from tomostat.phases.kernels.counts import Bins, Counts

LAG = 4
"""Distance in voxels of the pairs that noise is measured from: beyond its grain, within a particle."""
REACH = 6.0
"""Voxels to each side of an edge that a profile covers."""
OFFSETS = np.arange(-REACH, REACH + 0.25, 0.5)
"""Places along a profile in voxels, from dark to bright."""
MOST_PROFILES = 4000
"""Profiles taken from one probe."""
UNIT = 2**16
"""Profiles are summed in fixed point of contrast / UNIT, so that sums do not depend on their order."""


def lag_counts(grey: NDArray[np.float32], mask: NDArray[np.bool_], inner: Box, bins: Bins) -> Counts:
    """Histogram of absolute grey differences of voxel pairs `LAG` apart along each axis, both in a mask.

    Parameters
    ----------
    grey, mask
        (nz, ny, nx) values and voxels that count, of a box with a halo of at least `LAG`.
    inner
        The box without its halo: it owns the pairs that start in it.
    """
    total = np.zeros(bins.number, np.int64)
    for axis, n in enumerate(grey.shape):
        ahead = list(inner)
        ahead[axis] = slice(inner[axis].start + LAG, min(inner[axis].stop + LAG, n))
        length = ahead[axis].stop - ahead[axis].start
        if length <= 0:
            continue
        here = list(inner)
        here[axis] = slice(inner[axis].start, inner[axis].start + length)
        both = mask[tuple(here)] & mask[tuple(ahead)]
        total += bins.count(np.abs(grey[tuple(ahead)][both] - grey[tuple(here)][both]))
    return total


def edge_profiles(
    grey: NDArray[np.float32], phases: NDArray[np.uint8], pore: float, active: float
) -> tuple[int, NDArray[np.int64]]:
    """Sum of grey profiles across edges of pore and active material.

    Profiles run along the gradient of the smoothed image and are lined up where it crosses the middle grey value.
    Those that do not run from plain pore to plain active material are left out.

    Parameters
    ----------
    grey, phases
        (nz, ny, nx) flat grey values and phases of a probe.
    pore, active
        Levels of the two phases.

    Returns
    -------
    int
        Number of profiles.
    (25,) int64
        Sum of the profiles at `OFFSETS`, 0 in pore and `UNIT` in active material.
    """
    relative = (grey - np.float32(pore)) / np.float32(active - pore)
    points, normals = _edge_points(relative, phases)
    none = np.zeros(len(OFFSETS), np.int64)
    if len(points) == 0:
        return 0, none
    places = points[:, :, None] + normals[:, :, None] * OFFSETS
    size = np.array(grey.shape)[:, None]
    within = ((places >= 0) & (places <= size - 1)).all(axis=(1, 2))
    profile = ndimage.map_coordinates(relative, np.moveaxis(places[within], 1, 0), order=1)
    ends = [profile[:, OFFSETS <= -3].mean(axis=1), profile[:, OFFSETS >= 3].mean(axis=1)]
    plain = (np.abs(ends[0]) < 0.2) & (np.abs(ends[1] - 1) < 0.2)
    if not plain.any():
        return 0, none
    return int(plain.sum()), np.rint(profile[plain] * UNIT).astype(np.int64).sum(axis=0)


def _edge_points(
    relative: NDArray[np.float32], phases: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (n, axes) where the smoothed image crosses the middle between pore and active, and unit normals there."""
    axes = [axis for axis, n in enumerate(relative.shape) if n > 1]
    sigma = [1.0 if axis in axes else 0.0 for axis in range(3)]
    smoothed = ndimage.gaussian_filter(relative, sigma)
    pore = ndimage.binary_dilation(phases == Phase.PORE)
    start = np.argwhere((phases == Phase.ACTIVE) & pore)
    start = start[:: max(1, len(start) // MOST_PROFILES)]
    slopes = np.zeros((len(start), 3))
    for axis in axes:
        slopes[:, axis] = np.gradient(smoothed, axis=axis)[tuple(start.T)]
    steep = np.linalg.norm(slopes, axis=1)
    keep = steep > 0.05
    start, slopes, steep = start[keep], slopes[keep], steep[keep]
    step = (0.5 - smoothed[tuple(start.T)]) / steep
    near = np.abs(step) < 2
    normals = slopes[near] / steep[near, None]
    return start[near] + step[near, None] * normals, normals


def fit_blur(number: int, total: Sequence[int] | NDArray[Any]) -> float | None:
    """Gaussian sigma in voxels of the mean edge profile; None where there are too few profiles.

    An error function is fitted; linear interpolation widens a profile by a variance of 1/6.
    """
    if number < 50:
        return None
    mean = np.asarray(total, np.float64) / (number * UNIT)

    def edge(x: NDArray[np.float64], sigma: float, shift: float, low: float, high: float) -> NDArray[np.float64]:
        rise: NDArray[np.float64] = special.ndtr((x - shift) / np.hypot(sigma, 1e-3))
        return low + (high - low) * rise

    (sigma, *_), _ = optimize.curve_fit(edge, OFFSETS, mean, p0=(1.5, 0.0, 0.0, 1.0))
    return float(np.sqrt(max(sigma**2 - 1 / 6, 0.0)))
