"""Smoothing and classification of the grey values of a block with its halo."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.kernels.arrays import Floats, Mask
from tomostat.kernels.smoothing import smooth
from tomostat.phase import Phase

Codes = NDArray[np.uint8]

TRUNCATE = 3.0
"""Standard deviations at which a Gaussian is truncated."""
DARK_SMOOTHINGS = (1.5, 2.25)
"""Factors on the Gaussian sigma for pore and carbon-binder, whose contrast is weak; the second for noisy images, where
they cannot be distinguished with the first."""
LEAST_WEIGHT = 0.02
"""Least weight of uniform voxels from which pore and carbon-binder are distinguished; narrower gaps count as pore."""
MIXED = np.uint8(255)
"""Code where neighbours are of several phases."""
COLLECTOR_THICKNESS = 5
"""Least thickness of a current collector in voxels; thinner layers of its grey value are blurred edges."""


@dataclass(frozen=True)
class Thresholds:
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
        Middle between dark phases and active material; assigns voxels that have the collector's grey value but are
        too thin a layer for a collector. Only used with `collector`.
    dark_smoothing
        Factor on the Gaussian sigma where pore and carbon-binder are distinguished.
    """

    cbd: float | None = None
    collector: float | None = None
    active: float | None = None
    edge: float | None = None
    dark_smoothing: float = DARK_SMOOTHINGS[0]

    def values(self) -> tuple[float, ...]:
        """Thresholds between the phases that there are, ascending."""
        return tuple(value for value in (self.cbd, self.collector, self.active) if value is not None)


def smoothing_halo(sigma: float) -> int:
    """Halo in voxels with which `smooth_within` does not depend on the block."""
    return math.ceil(TRUNCATE * sigma)


def halo_width(sigma: float, collector: bool, dark_smoothing: float = DARK_SMOOTHINGS[-1]) -> int:
    """Halo in voxels with which `classify`, and `uniform_voxels` of size 5 after it, do not depend on the block."""
    opening = 2 * (COLLECTOR_THICKNESS // 2) if collector else 0
    return smoothing_halo(sigma) + opening + 2 + smoothing_halo(sigma * dark_smoothing)


def smooth_within(array: Floats, mask: Mask | None, sigma: float) -> Floats:
    """Gaussian of a (z, y, x) array, or its mean over the voxels of a mask only."""
    return smooth(array, sigma, smoothing_halo(sigma)) if mask is None else mean_within(array, mask, sigma)[0]


def mean_within(array: Floats, mask: Mask, sigma: float) -> tuple[Floats, Floats]:
    """Gaussian mean over the voxels of a mask only, and the weight of these voxels; 0 where the weight is 0."""
    weight = smooth(mask.view(np.uint8), sigma, smoothing_halo(sigma))
    value = smooth(np.where(mask, array, np.float32(0)), sigma, smoothing_halo(sigma))
    mean = np.divide(value, np.maximum(weight, np.float32(1e-6)), dtype=np.float32)
    return mean, weight


def uniform_voxels(codes: Codes, size: int = 3) -> Mask:
    """Voxels at the centre of a cube of `size` voxels that is all of one phase, as far as the array reaches."""
    found = codes
    for axis, n in enumerate(codes.shape):
        reach, wanted = 0, min(size // 2, n - 1)
        while reach < wanted:
            step = min(2 * reach + 1, wanted - reach)  # windows of this reach that lie so far apart have no gap
            found = _mark_mixed(found, axis, step)
            reach += step
    return found != MIXED


@njit(cache=True, nogil=True)
def _mark_mixed(codes: Codes, axis: int, step: int) -> Codes:
    """Codes, `MIXED` where those `step` before and after along an axis, or the outermost on a side, differ."""
    nz, ny, nx = codes.shape
    marked = np.empty_like(codes)
    dz, dy, dx = step * (axis == 0), step * (axis == 1), step * (axis == 2)
    line = np.empty(nx + 2 * dx, np.uint8)
    for z in range(nz):
        for y in range(ny):
            own, out = codes[z, y], marked[z, y]
            before, after = codes[max(z - dz, 0), max(y - dy, 0)], codes[min(z + dz, nz - 1), min(y + dy, ny - 1)]
            if dx:
                line[:dx], line[dx : dx + nx], line[dx + nx :] = own[0], own, own[-1]
                before, after = line[:nx], line[2 * dx :]
            for x in range(nx):
                out[x] = own[x] if own[x] == before[x] and own[x] == after[x] else MIXED
    return marked


def _window(array: NDArray[Any], size: int) -> tuple[int, ...]:
    """Size of a filter's window along each axis; 1 along an axis of one voxel."""
    return tuple(size if n > 1 else 1 for n in array.shape)


def coarse_phases(smoothed: Floats, in_field: Mask | None, thresholds: Thresholds) -> Codes:
    """Phases by brightness alone, uint8: PORE for everything dark, COLLECTOR, ACTIVE, OUTSIDE.

    Blurred edges of active material pass through the collector's grey value, so that only layers of at least
    `COLLECTOR_THICKNESS` voxels count as collector (a morphological opening).
    """
    if thresholds.active is None:
        codes = np.zeros(smoothed.shape, np.uint8)
    elif thresholds.collector is None:
        codes = np.where(smoothed < np.float32(thresholds.active), np.uint8(Phase.PORE), np.uint8(Phase.ACTIVE))
    else:
        between = (smoothed >= np.float32(thresholds.collector)) & (smoothed < np.float32(thresholds.active))
        window = _window(smoothed, COLLECTOR_THICKNESS)
        opened = ndimage.maximum_filter(ndimage.minimum_filter(between.astype(np.uint8), window), window) > 0
        bright = smoothed >= np.float32(thresholds.edge if thresholds.edge is not None else thresholds.active)
        codes = np.where(bright, np.uint8(Phase.ACTIVE), np.uint8(Phase.PORE))
        codes = np.where(opened & between, np.uint8(Phase.COLLECTOR), codes)
    return codes if in_field is None else np.where(in_field, codes, np.uint8(Phase.OUTSIDE))


def uniform_mean(grey: Floats, codes: Codes, phase: Phase, sigma: float) -> tuple[Floats, Floats, Mask]:
    """Grey values smoothed over the uniform voxels of one phase only: mean, weight, and those voxels.

    Voxels in the blurred edge of active material, which have the grey value of carbon-binder, do not enter the mean: a
    voxel in that edge takes the mean of the uniform voxels next to it.
    """
    chosen = uniform_voxels(codes) & (codes == np.uint8(phase))
    return *mean_within(grey, chosen, sigma), chosen


def classify(grey: Floats, in_field: Mask | None, thresholds: Thresholds, sigma: float) -> Codes:
    """Classify grey values without shading.

    Parameters
    ----------
    grey
        (nz, ny, nx) float32 grey values without shading.
    in_field
        (nz, ny, nx) bool, voxels in the field of view; all when None.
    thresholds
        Grey values between phases.
    sigma
        Gaussian sigma in voxels.

    Returns
    -------
    numpy.ndarray
        (nz, ny, nx) uint8 codes of `Phase`.
    """
    smoothed = smooth_within(grey, in_field, sigma)
    codes = coarse_phases(smoothed, in_field, thresholds)
    if thresholds.cbd is None:
        return codes
    mean, weight, _ = uniform_mean(grey, codes, Phase.PORE, sigma * thresholds.dark_smoothing)
    cbd = (codes == np.uint8(Phase.PORE)) & (weight > np.float32(LEAST_WEIGHT)) & (mean >= np.float32(thresholds.cbd))
    return np.where(cbd, np.uint8(Phase.CBD), codes)
