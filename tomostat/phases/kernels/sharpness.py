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
POSITIONS = np.arange(-6.0, 6.1)
"""Positions along a profile in voxels, from outside to active material."""
LENGTHS, CLEARANCE = (6, 3), 3.0
"""Length of profiles outside an edge in voxels: shorter where particles are packed so densely that few profiles of the
first stay the clearance away from other active material, whose edges would pass for blur."""
DISC = np.array(
    [(0.0, 0.0)]
    + [
        (radius * math.cos(2 * math.pi * k / count), radius * math.sin(2 * math.pi * k / count))
        for radius, count in ((1.0, 6), (2.0, 12))
        for k in range(count)
    ]
)
"""Places in voxels in the plane of an edge over which a profile is averaged: less noise, and the edge nearly flat."""
ALIGNMENT = 2.5
"""Sigma in voxels of the image in which edges are looked for."""
WIDE = 4.0
"""Standard deviations at which the Gaussians of probe boxes are truncated."""
LAYERS = np.array([1.0, 2.0, 3.0, 4.0, 5.5])
"""Where one layer outside an edge ends and the next begins, in voxels."""
LAYER_STD, LAYER_STEP, INSIDE_STD = 0.3, 0.15, 0.25
"""What is expected of layers at first: standard deviations of a layer, of the step between two, and of the grey inside,
relative to the contrast of dark and active material."""
ROUNDS, FIRST_WEIGHT = 4, 10
"""Rounds in which the layers to expect are learned from all profiles; the profiles that the first guess counts as."""
EDGE_STD = 1.0
"""Standard deviation in voxels of the place of the edge."""
MISFIT = 0.01
"""Misfit of a profile beyond noise, relative to the contrast."""
CORRELATION = 0.5
"""Gaussian sigma in voxels of the noise along a profile."""
BLURS = np.geomspace(0.3, 4.0, 24)
"""Sigmas in voxels that are tried."""
SHIFTS = np.arange(-2.0, 2.01, 0.2)
"""Places of the edge in voxels that are tried."""
LEAST_PROFILES = 50
"""Fewest profiles from which the blur is found."""
MOST_PROFILES = 500
"""Most edge voxels of a probe box that are followed, up to a factor of two."""


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
) -> NDArray[np.float64]:
    """Grey profiles across edges of active material, each averaged over a small disc in the plane of the edge.

    Profiles run along the gradient of the smoothed image, from where it crosses the middle grey. Those that do not
    end in active material, or meet other active material outside, are left out.

    Parameters
    ----------
    grey, phases
        (nz, ny, nx) float32 grey values without shading, and uint8 phases, of a probe box.
    dark, active
        Mean grey values of the dark phases and of active material.

    Returns
    -------
    (n, k) float64
        Profiles at the last k of `POSITIONS`, 0 for `dark` and 1 for `active`.
    """
    relative = (grey - np.float32(dark)) / np.float32(active - dark)
    smoothed = smooth(relative, 1.0, math.ceil(WIDE))
    found = _edge_points(relative, phases)
    for length in LENGTHS:
        points, normals = _clear_edges(smoothed, *found, length)
        if len(points) >= LEAST_PROFILES:
            break
    positions = POSITIONS[POSITIONS >= -length]
    # two directions in the plane of each edge
    flattest = np.eye(3)[np.abs(normals).argmin(axis=1)]
    first = np.cross(normals, flattest)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(normals, first)
    total = np.zeros((len(points), len(positions)))
    for a, b in DISC:
        total += _sample(relative, points + a * first + b * second, normals, positions)
    return total / len(DISC)


def _clear_edges(
    smoothed: NDArray[np.float32], points: NDArray[np.float64], normals: NDArray[np.float64], length: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Those points and normals whose profiles of some length outside lie in the image and cross one edge only."""
    along = np.arange(-length - CLEARANCE, POSITIONS[-1] + 0.25, 0.5)
    ends = points + along[[0, -1], None, None] * normals
    within = ((ends >= 0) & (ends <= np.array(smoothed.shape) - 1)).all(axis=(0, 2))
    points, normals = points[within], normals[within]
    grey = _sample(smoothed, points, normals, along)
    other = (grey[:, along <= -3] > 0.5).any(axis=1)
    clean = ~other & (np.abs(grey[:, along >= 3] - 1) < 0.35).all(axis=1)
    return points[clean], normals[clean]


def _sample(
    image: NDArray[np.float32], points: NDArray[np.float64], normals: NDArray[np.float64], along: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Grey values (n, len(along)) at some distances from points (n, 3) along normals, by linear interpolation."""
    places = np.moveaxis(points[:, :, None] + normals[:, :, None] * along, 1, 0)
    return np.asarray(ndimage.map_coordinates(image, places, order=1, mode="nearest"))


def _edge_points(
    relative: NDArray[np.float32], phases: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (n, 3) where the smoothed image crosses the middle between dark and active, and unit normals there."""
    axes = [axis for axis, n in enumerate(relative.shape) if n > 1]
    smoothed = smooth(relative, ALIGNMENT, math.ceil(WIDE * ALIGNMENT))
    beside = ndimage.binary_dilation((phases != Phase.ACTIVE) & (phases != Phase.OUTSIDE))
    surface = (phases == Phase.ACTIVE) & beside
    if (phases == Phase.OUTSIDE).any():  # profiles are not to run out of the field of view
        surface &= ndimage.distance_transform_edt(phases != Phase.OUTSIDE) > POSITIONS[-1] + CLEARANCE
    edge = np.argwhere(surface)
    edge = edge[:: max(1, len(edge) // MOST_PROFILES)]
    slopes = np.zeros((len(edge), 3))
    for axis in axes:
        slopes[:, axis] = np.gradient(smoothed, axis=axis)[tuple(edge.T)]
    steep = np.linalg.norm(slopes, axis=1)
    step = (0.5 - smoothed[tuple(edge.T)]) / np.maximum(steep, 1e-9)
    near = (steep > 0.05) & (np.abs(step) < 2)
    normals = slopes[near] / steep[near, None]
    return edge[near] + step[near, None] * normals, normals


def blur_misfits(profiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """How badly each blur explains the profiles across edges: minus twice the logarithm of its likelihood.

    A profile is the grey of the particle and of the layers outside it, each blurred, with noise. Layers and place of
    the edge differ from profile to profile and are integrated over, so that neither films and gaps of a few voxels nor
    badly placed edges pass for blur, and noise does not pass for sharpness. Mean and covariance of the layers follow
    from all profiles by expectation maximization (factor analysis; Rubin and Thayer 1982). Linear interpolation adds a
    variance of 1/6, the disc of a profile next to none.

    Parameters
    ----------
    profiles
        (n, k) float64 at the last k of `POSITIONS`, from `edge_profiles`.

    Returns
    -------
    (len(BLURS),) float64
        Sums over the profiles; those of several boxes add up.
    """
    if len(profiles) == 0:
        return np.zeros(len(BLURS))
    positions = POSITIONS[-profiles.shape[1] :]
    inverse_noise = _inverse_noise(profiles, positions)
    squares = ((profiles @ inverse_noise) * profiles).sum(axis=1)
    expected = _expected_layers()
    misfits = []
    for blur in BLURS:
        share = _layer_shares(positions, math.sqrt(blur**2 + 1 / 6))
        weighted = share.swapaxes(1, 2) @ inverse_noise  # (shifts, layers, positions)
        projected = profiles @ weighted.swapaxes(1, 2)  # (shifts, profiles, layers)
        misfits.append(_misfit(squares, projected, weighted @ share, expected))
    return np.array(misfits)


def _inverse_noise(profiles: NDArray[np.float64], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse covariance (k, k) of the noise of a profile, whose strength shows deep in active material."""
    deep = profiles[:, positions >= 4]
    change = deep[:, -1] - deep[:, 0]
    noise = 1.4826 * float(np.median(np.abs(change - np.median(change)))) / math.sqrt(2)
    lag = positions[:, None] - positions
    covariance = noise**2 * np.exp(-((lag / (2 * CORRELATION)) ** 2)) + MISFIT**2 * np.eye(len(positions))
    return np.asarray(np.linalg.inv(covariance), np.float64)


def _layer_shares(positions: NDArray[np.float64], blur: float) -> NDArray[np.float64]:
    """Shares (shifts, positions, layers) of the particle and of each layer outside it in the blurred grey."""
    outwards = SHIFTS[:, None] - positions
    beyond = special.ndtr((outwards[..., None] - np.concatenate([[0.0], LAYERS])) / blur)
    return np.concatenate([1 - beyond[..., :1], beyond[..., :-1] - beyond[..., 1:], beyond[..., -1:]], axis=-1)


def _misfit(
    squares: NDArray[np.float64],
    projected: NDArray[np.float64],
    normal: NDArray[np.float64],
    expected: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> float:
    """Minus twice the logarithm of the likelihood of a blur, with what the profiles themselves say of the layers.

    Parameters
    ----------
    squares, projected, normal
        Least squares at this blur, weighted with the inverse of the noise: squares of the profiles (n,), their products
        with the shares of the layers (shifts, n, layers), and those of the shares (shifts, layers, layers).
    expected
        Mean and covariance of the layers before profiles are looked at.
    """
    (mean, covariance), number = expected, len(squares)
    for _ in range(ROUNDS):
        precision, log_volume = np.linalg.inv(covariance), np.linalg.slogdet(covariance)[1]
        posterior = np.linalg.inv(normal + precision)
        right = projected + precision @ mean
        layers = right @ posterior
        least = squares + mean @ precision @ mean - (right * layers).sum(axis=-1)
        spread = log_volume - np.linalg.slogdet(posterior)[1] + (SHIFTS / EDGE_STD) ** 2
        log_density = -0.5 * (least + spread[:, None])
        evidence = special.logsumexp(log_density, axis=0)
        change = mean - expected[0]
        prior = FIRST_WEIGHT * (log_volume + np.trace(expected[1] @ precision))
        prior += change @ np.linalg.solve(expected[1], change)
        place = np.exp(log_density - evidence)[..., None]  # how likely each shift is for each profile
        mean = (place * layers).sum(axis=(0, 1)) / number
        apart = layers - mean
        scatter = ((place * apart).swapaxes(1, 2) @ apart + place.sum(axis=1)[..., None] * posterior).sum(axis=0)
        covariance = (scatter + FIRST_WEIGHT * expected[1]) / (number + FIRST_WEIGHT)
    return float(prior - 2 * evidence.sum())


def _expected_layers() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (k,) and covariance (k, k) of the grey inside and of the layers, before profiles are looked at."""
    size = len(LAYERS) + 2
    precision, mean = np.diag([INSIDE_STD**-2] + [LAYER_STD**-2] * (size - 1)), np.zeros(size)
    mean[0] = 1.0
    for k in range(1, size - 1):
        precision[k : k + 2, k : k + 2] += np.array([[1, -1], [-1, 1]]) / LAYER_STEP**2
    return mean, np.linalg.inv(precision)


def likeliest_blur(number: int, misfits: NDArray[np.float64]) -> float | None:
    """The blur with the least misfit.

    Parameters
    ----------
    number
        Number of profiles.
    misfits
        (len(BLURS),) float64, from `blur_misfits`.

    Returns
    -------
    float or None
        Gaussian sigma in voxels; None for fewer than `LEAST_PROFILES` profiles.
    """
    if number < LEAST_PROFILES:
        return None
    best = min(max(int(misfits.argmin()), 1), len(BLURS) - 2)
    before, here, after = misfits[best - 1 : best + 2]
    bend = before - 2 * here + after
    step = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return float(BLURS[best] * (BLURS[1] / BLURS[0]) ** min(max(step, -1.0), 1.0))
