"""Kernels that measure noise and blur of an image."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from tomostat.blocks import Box
from tomostat.kernels.smoothing import smooth
from tomostat.phase import Phase
from tomostat.phases.kernels.counts import Bins, Counts

LAG = 4
"""Distance in voxels of the pairs from which noise is measured: beyond its correlation, within a particle."""
PROFILE_REACH = 6.0
"""Length of a profile to each side of an edge, in voxels."""
OFFSETS = np.arange(-PROFILE_REACH, PROFILE_REACH + 0.25, 0.5)
"""Positions along a profile in voxels, from outside to active material."""
ALIGNMENT = 2.5
"""Sigma in voxels of the image in which edges are placed: profiles placed by their own noise would look sharper."""
WIDE = 4.0
"""Standard deviations at which the Gaussians of probe boxes are truncated."""
GROUPS = np.arange(-0.5, 0.7, 0.075)
"""Edges between groups of profiles by what lies outside: its grey value, dark 0 and active material 1."""
LAYERS = np.array([1.0, 2.0, 3.0, 4.0, 5.5])
"""Where one layer outside an edge ends and the next begins, in voxels."""
LAYER_STD, LAYER_STEP, INSIDE_STD = 1.0, 0.4, 0.25
"""Priors of a profile's fit: standard deviations of a layer, of the step between two, and of the grey inside."""
MISFIT, PROFILE_NOISE = 0.01, 0.3
"""Misfit of a mean profile beyond noise, and noise of a single one, relative to the contrast."""
BLURS = np.arange(0.3, 4.01, 0.05)
"""Sigmas in voxels that are tried."""
SHIFTS = np.arange(-1.0, 1.01, 0.1)
"""Places of the edge in voxels that are tried."""
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
        total += bins.count_differences(grey[tuple(ahead)], grey[tuple(here)], both)
    return total


def edge_profiles(
    grey: NDArray[np.float32], phases: NDArray[np.uint8], dark: float, active: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sums of grey profiles across edges of active material, in groups by what lies outside.

    Profiles run along the gradient of the smoothed image and are aligned where it crosses the middle grey value. Those
    that do not end in active material are left out.

    Parameters
    ----------
    grey, phases
        (nz, ny, nx) float32 grey values without shading, and uint8 phases, of a probe box.
    dark, active
        Mean grey values of the dark phases and of active material.

    Returns
    -------
    (len(GROUPS) - 1,) int64
        Number of profiles of each group.
    (len(GROUPS) - 1, len(OFFSETS)) int64
        Sums of the profiles at `OFFSETS`, 0 for `dark` and `UNIT` for `active`.
    """
    number, total = np.zeros(len(GROUPS) - 1, np.int64), np.zeros((len(GROUPS) - 1, len(OFFSETS)), np.int64)
    relative = (grey - np.float32(dark)) / np.float32(active - dark)
    points, normals = _edge_points(relative, phases)
    if len(points) == 0:
        return number, total
    positions = points[:, :, None] + normals[:, :, None] * OFFSETS
    size = np.array(grey.shape)[:, None]
    within = ((positions >= 0) & (positions <= size - 1)).all(axis=(1, 2))
    places = np.moveaxis(positions[within], 1, 0)
    profile = ndimage.map_coordinates(relative, places, order=1)
    smoothed = ndimage.map_coordinates(smooth(relative, 1.0, math.ceil(WIDE)), places, order=1)
    group = np.digitize(smoothed[:, (OFFSETS >= -4) & (OFFSETS <= -2)].mean(axis=1), GROUPS) - 1
    clean = (np.abs(smoothed[:, OFFSETS >= 3] - 1).max(axis=1) < 0.35) & (group >= 0) & (group < len(number))
    np.add.at(number, group[clean], 1)
    np.add.at(total, group[clean], np.rint(profile[clean] * UNIT).astype(np.int64))
    return number, total


def _edge_points(
    relative: NDArray[np.float32], phases: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (n, axes) where the smoothed image crosses the middle between dark and active, and unit normals there."""
    axes = [axis for axis, n in enumerate(relative.shape) if n > 1]
    smoothed = smooth(relative, ALIGNMENT, math.ceil(WIDE * ALIGNMENT))
    beside = ndimage.binary_dilation((phases != Phase.ACTIVE) & (phases != Phase.OUTSIDE))
    edge = np.argwhere((phases == Phase.ACTIVE) & beside)
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


def fit_blur(number: NDArray[np.int64], total: NDArray[np.int64]) -> float | None:
    """Find the blur with which the mean edge profiles of all groups fit best.

    A profile is the grey of the particle and of the layers outside it, each blurred; the layers are free, so that films
    and gaps of a few voxels do not pass for blur. Linear interpolation at random positions adds a variance of 1/6.

    Parameters
    ----------
    number, total
        Numbers and sums of profiles, from `edge_profiles`.

    Returns
    -------
    float or None
        Gaussian sigma in voxels; None for fewer than `LEAST_PROFILES` profiles.
    """
    if number.sum() < LEAST_PROFILES:
        return None
    used = number >= min(LEAST_PROFILES, number.max())
    means = total[used] / (number[used, None] * UNIT)
    noise = np.hypot(MISFIT, PROFILE_NOISE / np.sqrt(number[used]))
    misfit = np.array([_misfit(means, noise, math.sqrt(blur**2 + 1 / 6)) for blur in BLURS])
    best = min(max(int(misfit.argmin()), 1), len(BLURS) - 2)
    before, here, after = misfit[best - 1 : best + 2]
    bend = before - 2 * here + after
    step = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return float(BLURS[best] + (BLURS[1] - BLURS[0]) * min(max(step, -1.0), 1.0))


def _misfit(means: NDArray[np.float64], noise: NDArray[np.float64], blur: float) -> float:
    """Least squares of the mean profiles (k, n) at one blur, each at its best place of the edge, priors included."""
    size = len(LAYERS) + 2
    prior, centre = np.diag([INSIDE_STD**-2] + [LAYER_STD**-2] * (size - 1)), np.zeros(size)
    centre[0] = INSIDE_STD**-2
    for k in range(1, size - 1):
        prior[k : k + 2, k : k + 2] += np.array([[1, -1], [-1, 1]]) / LAYER_STEP**2
    outwards = SHIFTS[:, None] - OFFSETS
    share = special.ndtr((outwards[..., None] - np.concatenate([[0.0], LAYERS])) / blur)
    basis = np.concatenate([1 - share[..., :1], share[..., :-1] - share[..., 1:], share[..., -1:]], axis=-1)
    weight = noise[:, None] ** -2
    normal = (basis.swapaxes(1, 2) @ basis)[:, None] * weight[..., None] + prior  # (shifts, profiles, size, size)
    right = (means * weight) @ basis + centre  # (shifts, profiles, size)
    level = np.linalg.solve(normal, right[..., None])[..., 0]
    least = (means**2 * weight).sum(axis=1) - (right * level).sum(axis=-1)
    return float(least.min(axis=0).sum())
