"""Dense in, dense out: smoothing and classification as lazy arrays, the same for every chunking.

A dask-image filter takes a halo from neighbouring chunks that its kernel never reaches beyond, so that its result
does not depend on the chunks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import dask.array as da
import numpy as np
from dask_image import ndfilters
from scipy import ndimage

from tomostat.volume import Phase

TRUNCATE = 3.0
"""Standard deviations after which a Gaussian ends."""
DARK_SMOOTHING = 1.5
"""The weak contrast of pore and carbon-binder is smoothed by this much more."""
LEAST_WEIGHT = 0.02
"""Weight of calm neighbours from which pore and carbon-binder are told apart; narrower gaps count as pore."""
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
    """Halo in voxels of everything that `classify` and `calm` (size 5) do."""
    slab = 2 * (SLAB // 2) if collector else 0
    return math.ceil(TRUNCATE * sigma) + slab + 2 + math.ceil(TRUNCATE * sigma * DARK_SMOOTHING)


def smooth(array: da.Array, sigma: float) -> da.Array:
    """Gaussian of a (z, y, x) array, reflected at the volume's faces.

    An axis of one voxel is not smoothed; an axis shorter than the kernel is filtered as one chunk.
    """
    if sigma == 0:
        return array
    depth = math.ceil(TRUNCATE * sigma)
    wide = tuple(sigma if n > depth else 0.0 for n in array.shape)
    for axis, n in enumerate(array.shape):
        if 1 < n <= depth:
            array = array.rechunk({axis: -1})
            array = array.map_blocks(ndimage.gaussian_filter1d, sigma, axis=axis, truncate=TRUNCATE, dtype=array.dtype)
    return ndfilters.gaussian_filter(array, wide, truncate=TRUNCATE) if any(wide) else array


def smooth_within(array: da.Array, mask: da.Array | None, sigma: float) -> tuple[da.Array, da.Array | None]:
    """Gaussian mean over the voxels of a mask only, and the weight of these voxels (None without a mask).

    Where the weight is 0 the value is 0.
    """
    if mask is None:
        return smooth(array, sigma), None
    weight = smooth(mask.astype(np.float32), sigma)
    value = smooth(da.where(mask, array, np.float32(0)), sigma)
    return value / da.maximum(weight, np.float32(1e-6)), weight


def calm(kinds: da.Array, size: int = 3) -> da.Array:
    """Voxels whose cube of `size` neighbours is all of one kind."""
    window = [size if n > 1 else 1 for n in kinds.shape]
    low, high = (_local(function, kinds, window) for function in (ndfilters.minimum_filter, ndfilters.maximum_filter))
    return low == high


def _local(function: Callable[..., da.Array], array: da.Array, window: Sequence[int]) -> da.Array:
    """A dask-image rank filter."""
    return function(array, size=tuple(window))


def kinds_of(smoothed: da.Array, inside: da.Array | None, cuts: Cuts) -> da.Array:
    """Coarse kinds, uint8: PORE for everything dark, COLLECTOR, ACTIVE, OUTSIDE.

    Blurred edges of active material pass through the collector's grey value: only layers of `SLAB` voxels are it.
    """
    if cuts.active is None:
        kinds = da.zeros_like(smoothed, dtype=np.uint8)
    elif cuts.collector is None:
        kinds = da.where(smoothed < np.float32(cuts.active), np.uint8(Phase.PORE), np.uint8(Phase.ACTIVE))
    else:
        between = (smoothed >= np.float32(cuts.collector)) & (smoothed < np.float32(cuts.active))
        window = [SLAB if n > 1 else 1 for n in smoothed.shape]
        slab = _local(ndfilters.minimum_filter, between.astype(np.uint8), window)
        slab = _local(ndfilters.maximum_filter, slab, window) > 0
        bright = smoothed >= np.float32(cuts.edge if cuts.edge is not None else cuts.active)
        kinds = da.where(bright, np.uint8(Phase.ACTIVE), np.uint8(Phase.PORE))
        kinds = da.where(slab & between, np.uint8(Phase.COLLECTOR), kinds)
    return kinds if inside is None else da.where(inside, kinds, np.uint8(Phase.OUTSIDE))


def calm_mean(grey: da.Array, kinds: da.Array, phase: Phase, sigma: float) -> tuple[da.Array, da.Array, da.Array]:
    """Grey values smoothed over the calm voxels of one kind only: mean, weight, and those voxels.

    What lies behind a blurred edge has no part in it, so that the skin of active material does not look like
    carbon-binder: a voxel in that skin takes the mean of the calm voxels next to it.
    """
    chosen = calm(kinds) & (kinds == np.uint8(phase))
    mean, weight = smooth_within(grey, chosen, sigma * DARK_SMOOTHING)
    return mean, weight, chosen


def classify(grey: da.Array, inside: da.Array | None, cuts: Cuts, sigma: float) -> da.Array:
    """Phases of flat grey values.

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
    (nz, ny, nx) uint8
        Codes of `Phase`.
    """
    smoothed, _ = smooth_within(grey, inside, sigma)
    kinds = kinds_of(smoothed, inside, cuts)
    if cuts.cbd is None:
        return kinds
    mean, weight, _ = calm_mean(grey, kinds, Phase.PORE, sigma)
    cbd = (kinds == np.uint8(Phase.PORE)) & (weight > np.float32(LEAST_WEIGHT)) & (mean >= np.float32(cuts.cbd))
    return da.where(cbd, np.uint8(Phase.CBD), kinds)
