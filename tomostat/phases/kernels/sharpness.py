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
"""Distance in voxels of the pairs from which noise is measured: beyond its correlation, within a particle."""
PROFILE_REACH = 6.0
"""Length of a profile to each side of an edge, in voxels."""
OFFSETS = np.arange(-PROFILE_REACH, PROFILE_REACH + 0.25, 0.5)
"""Positions along a profile in voxels, from dark to bright."""
LEAST_PROFILES = 50
"""Fewest profiles from which the blur is found."""
MOST_PROFILES = 4000
"""Most edge voxels of a probe box that are followed, up to a factor of two."""
UNIT = 2**16
"""Profiles are summed in fixed point, in units of the contrast / UNIT, so that sums do not depend on their order."""


def difference_counts(grey: NDArray[np.float32], mask: NDArray[np.bool_], inner: Box, bins: Bins) -> Counts:
    """Histogram of absolute grey differences of voxel pairs `LAG` apart along each axis, both in a mask.

    Parameters
    ----------
    grey, mask
        (nz, ny, nx) float32 grey values and bool voxels that count, of a box with a halo of at least `LAG`.
    inner
        The box without its halo: pairs whose first voxel lies in it are counted.
    bins
        Intervals of absolute differences.

    Returns
    -------
    (bins.number,) int64
        Number of pairs.
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

    Profiles run along the gradient of the smoothed image and are aligned where it crosses the middle grey value. Those
    whose ends do not have the grey levels of the two phases are left out.

    Parameters
    ----------
    grey, phases
        (nz, ny, nx) float32 grey values without shading, and uint8 phases, of a probe box.
    pore, active
        Grey levels of the two phases.

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
    positions = points[:, :, None] + normals[:, :, None] * OFFSETS
    size = np.array(grey.shape)[:, None]
    within = ((positions >= 0) & (positions <= size - 1)).all(axis=(1, 2))
    profile = ndimage.map_coordinates(relative, np.moveaxis(positions[within], 1, 0), order=1)
    ends = [profile[:, OFFSETS <= -3].mean(axis=1), profile[:, OFFSETS >= 3].mean(axis=1)]
    clean = (np.abs(ends[0]) < 0.2) & (np.abs(ends[1] - 1) < 0.2)
    if not clean.any():
        return 0, none
    return int(clean.sum()), np.rint(profile[clean] * UNIT).astype(np.int64).sum(axis=0)


def _edge_points(
    relative: NDArray[np.float32], phases: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (n, axes) where the smoothed image crosses the middle between pore and active, and unit normals there."""
    axes = [axis for axis, n in enumerate(relative.shape) if n > 1]
    sigma = [1.0 if axis in axes else 0.0 for axis in range(3)]
    smoothed = ndimage.gaussian_filter(relative, sigma)
    pore = ndimage.binary_dilation(phases == Phase.PORE)
    edge = np.argwhere((phases == Phase.ACTIVE) & pore)
    edge = edge[:: max(1, len(edge) // MOST_PROFILES)]
    slopes = np.zeros((len(edge), 3))
    for axis in axes:
        slopes[:, axis] = np.gradient(smoothed, axis=axis)[tuple(edge.T)]
    steep = np.linalg.norm(slopes, axis=1)
    keep = steep > 0.05
    edge, slopes, steep = edge[keep], slopes[keep], steep[keep]
    step = (0.5 - smoothed[tuple(edge.T)]) / steep
    near = np.abs(step) < 2
    normals = slopes[near] / steep[near, None]
    return edge[near] + step[near, None] * normals, normals


def fit_blur(number: int, total: Sequence[int] | NDArray[Any]) -> float | None:
    """Fit the blur to the mean edge profile.

    The profile is that of an error function; linear interpolation at random positions adds a variance of 1/6.

    Parameters
    ----------
    number, total
        Number and sum of profiles, from `edge_profiles`.

    Returns
    -------
    float or None
        Gaussian sigma in voxels; None for fewer than `LEAST_PROFILES` profiles.
    """
    if number < LEAST_PROFILES:
        return None
    mean = np.asarray(total, np.float64) / (number * UNIT)

    def profile(x: NDArray[np.float64], sigma: float, shift: float, low: float, high: float) -> NDArray[np.float64]:
        step: NDArray[np.float64] = special.ndtr((x - shift) / np.hypot(sigma, 1e-3))
        return low + (high - low) * step

    (sigma, *_), _ = optimize.curve_fit(profile, OFFSETS, mean, p0=(1.5, 0.0, 0.0, 1.0))
    return float(np.sqrt(max(sigma**2 - 1 / 6, 0.0)))
