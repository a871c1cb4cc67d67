"""Smoothing and classification of the grey values of a block and its halo."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.phase import Phase

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Codes = NDArray[np.uint8]

TRUNCATE = 3.0
"""Standard deviations after which a Gaussian ends."""
DARK_SMOOTHING = 1.5
"""The weak contrast of pore and carbon-binder is smoothed by this much more."""
LEAST_WEIGHT = 0.02
"""Weight of uniform neighbours from which pore and carbon-binder are told apart; narrower gaps count as pore."""
SLAB = 5
"""Least thickness of a current collector in voxels; thinner layers of its grey value are blurred edges."""


@dataclass(frozen=True)
class Cuts:
    """Grey values between phases.

    Attributes
    ----------
    cbd
        Between pore and carbon-binder; None where there is no carbon-binder.
    collector
        Between carbon-binder (or pore) and collector; None where there is no collector.
    active
        Below active material; None where there is none.
    edge
        Middle of an edge between dark phases and active material, by which voxels of the collector's grey value that
        are no collector are told; only used with `collector`.
    """

    cbd: float | None = None
    collector: float | None = None
    active: float | None = None
    edge: float | None = None


def reach(sigma: float, collector: bool) -> int:
    """Halo in voxels of everything that `classify` and `uniform` (size 5) look at."""
    slab = 2 * (SLAB // 2) if collector else 0
    return math.ceil(TRUNCATE * sigma) + slab + 2 + math.ceil(TRUNCATE * sigma * DARK_SMOOTHING)


def smooth(array: Floats, sigma: float) -> Floats:
    """Gaussian of a (z, y, x) array, reflected at its faces; an axis of one voxel is not smoothed."""
    if sigma == 0:
        return array
    wide = [sigma if n > 1 else 0.0 for n in array.shape]
    smoothed: Floats = ndimage.gaussian_filter(array, wide, truncate=TRUNCATE)
    return smoothed


def smooth_within(array: Floats, mask: Mask | None, sigma: float) -> tuple[Floats, Floats | None]:
    """Gaussian mean over the voxels of a mask only, and the weight of these voxels (None without a mask).

    Where the weight is 0 the value is 0.
    """
    if mask is None:
        return smooth(array, sigma), None
    weight = smooth(mask.astype(np.float32), sigma)
    value = smooth(np.where(mask, array, np.float32(0)), sigma)
    mean = np.divide(value, np.maximum(weight, np.float32(1e-6)), dtype=np.float32)
    return mean, weight


def uniform(codes: Codes, size: int = 3) -> Mask:
    """Voxels whose cube of `size` neighbours is all of one phase."""
    window = _window(codes, size)
    return np.asarray(ndimage.minimum_filter(codes, window) == ndimage.maximum_filter(codes, window))


def _window(array: NDArray[Any], size: int) -> tuple[int, ...]:
    """Size of a filter's window along each axis; 1 along an axis of one voxel."""
    return tuple(size if n > 1 else 1 for n in array.shape)


def coarse_phases(smoothed: Floats, inside: Mask | None, cuts: Cuts) -> Codes:
    """Phases by brightness alone, uint8: PORE for everything dark, COLLECTOR, ACTIVE, OUTSIDE.

    Blurred edges of active material pass through the collector's grey value: only layers of `SLAB` voxels are it.
    """
    if cuts.active is None:
        codes = np.zeros(smoothed.shape, np.uint8)
    elif cuts.collector is None:
        codes = np.where(smoothed < np.float32(cuts.active), np.uint8(Phase.PORE), np.uint8(Phase.ACTIVE))
    else:
        between = (smoothed >= np.float32(cuts.collector)) & (smoothed < np.float32(cuts.active))
        window = _window(smoothed, SLAB)
        slab = ndimage.maximum_filter(ndimage.minimum_filter(between.astype(np.uint8), window), window) > 0
        bright = smoothed >= np.float32(cuts.edge if cuts.edge is not None else cuts.active)
        codes = np.where(bright, np.uint8(Phase.ACTIVE), np.uint8(Phase.PORE))
        codes = np.where(slab & between, np.uint8(Phase.COLLECTOR), codes)
    return codes if inside is None else np.where(inside, codes, np.uint8(Phase.OUTSIDE))


def uniform_mean(grey: Floats, codes: Codes, phase: Phase, sigma: float) -> tuple[Floats, Floats, Mask]:
    """Grey values smoothed over the uniform voxels of one phase only: mean, weight, and those voxels.

    What lies behind a blurred edge has no part in it, so that the blurred edge of active material does not look like
    carbon-binder: a voxel in that edge takes the mean of the uniform voxels next to it.
    """
    chosen = uniform(codes) & (codes == np.uint8(phase))
    weight = smooth(chosen.astype(np.float32), sigma * DARK_SMOOTHING)
    value = smooth(np.where(chosen, grey, np.float32(0)), sigma * DARK_SMOOTHING)
    mean = np.divide(value, np.maximum(weight, np.float32(1e-6)), dtype=np.float32)
    return mean, weight, chosen


def classify(grey: Floats, inside: Mask | None, cuts: Cuts, sigma: float) -> Codes:
    """Phases of grey values without shading.

    Parameters
    ----------
    grey
        (nz, ny, nx) float32 grey values without shading.
    inside
        (nz, ny, nx) bool, the field of view; everything when not given.
    cuts
        Grey values between phases.
    sigma
        Gaussian sigma in voxels.

    Returns
    -------
    numpy.ndarray
        (nz, ny, nx) uint8 codes of `Phase`.
    """
    smoothed, _ = smooth_within(grey, inside, sigma)
    codes = coarse_phases(smoothed, inside, cuts)
    if cuts.cbd is None:
        return codes
    mean, weight, _ = uniform_mean(grey, codes, Phase.PORE, sigma)
    cbd = (codes == np.uint8(Phase.PORE)) & (weight > np.float32(LEAST_WEIGHT)) & (mean >= np.float32(cuts.cbd))
    return np.where(cbd, np.uint8(Phase.CBD), codes)
