"""Whether a slice is plausible as grey values of an electrode: no labels, and particles brighter than the rest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import block_reduce

LEAST_PIXELS = 100
"""Fewer pixels of other than the most frequent value, or of edges, tell nothing."""

FEW_VALUES = 8
"""Most values of an image that is one of labels whatever its areas."""

LEAST_IN_AREAS = 0.97
"""Share of pixels with an equal neighbour along x and one along y, from which on an image is one of labels."""

LARGEST_SIDE = 512
"""Pixels along the longer side, above which a slice is binned before its edges are looked at."""

EDGE_SCALES = (2.0, 4.0)
"""Sigmas in pixels at which the curvature of edges is taken."""

STEEP = 0.15
"""Slope of a smoothed mask times sigma, from which on a place counts as an edge; 0.4 at the edge of something large."""

LEAST_EXCESS = 0.03
"""Share beyond one half of the edges that are convex on the dark side, from which on what is dark is convex.

It is 0.06 to 0.2 in real slices of electrodes that are turned round, and 0.15 to 0.4 in synthetic ones."""


def looks_like_labels(image: NDArray[Any]) -> bool:
    """Whether a slice holds labels, phases or a mask rather than grey values.

    Those are few whole numbers, or whole numbers in areas of one value each, without noise and without blurred edges
    between them.

    Parameters
    ----------
    image
        (ny, nx) values.
    """
    if image.dtype.kind == "f" and not np.array_equal(image, np.rint(image)):
        return False
    values, counts = np.unique(image, return_counts=True)
    rest = image != values[np.argmax(counts)]
    if len(values) <= FEW_VALUES:
        return bool(np.count_nonzero(rest) >= LEAST_PIXELS)
    in_areas = rest & _has_equal_neighbour(image, 0) & _has_equal_neighbour(image, 1)
    return bool(np.count_nonzero(in_areas) >= max(LEAST_PIXELS, LEAST_IN_AREAS * np.count_nonzero(rest)))


def _has_equal_neighbour(image: NDArray[Any], axis: int) -> NDArray[np.bool_]:
    """Where a neighbour along an axis has the same value."""
    rows = np.moveaxis(image, axis, 0)
    equal = np.zeros(rows.shape, np.bool_)
    same = rows[1:] == rows[:-1]
    equal[1:] |= same
    equal[:-1] |= same
    return np.moveaxis(equal, 0, axis)


def has_dark_particles(image: NDArray[Any]) -> bool:
    """Whether particles seem to be darker than what lies around them, where an electrode has bright ones.

    Particles are convex along most of their outline, also where they touch, so the edges between bright and dark tell
    on which side they lie, where there are enough of them to tell it from chance. Areas of one exact value that reach
    the border, such as what lies outside of the field of view, are left out.

    Parameters
    ----------
    image
        (ny, nx) grey values.
    """
    step = math.ceil(max(image.shape) / LARGEST_SIDE)
    grey = block_reduce(image.astype(np.float32), step, np.mean)[: image.shape[0] // step, : image.shape[1] // step]
    grey = ndimage.median_filter(grey, 3)
    inside = ~_flat_at_border(grey)
    if min(grey.shape) <= 2 * _reach(EDGE_SCALES[-1]) or not inside.any() or np.ptp(grey[inside]) == 0:
        return False
    bright = (grey > threshold_otsu(grey[inside])).astype(np.float32)
    return all(_is_dark_convex(bright, inside, sigma) for sigma in EDGE_SCALES)


def _flat_at_border(grey: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Areas of one value that reach the border of an image."""
    flat = ndimage.maximum_filter(grey, 5) == ndimage.minimum_filter(grey, 5)
    border = np.ones(grey.shape, np.bool_)
    border[1:-1, 1:-1] = False
    return np.asarray(ndimage.binary_propagation(border & flat, mask=flat))


def _reach(sigma: float) -> int:
    """Pixels beyond which something changes no curvature."""
    return round(3 * sigma)


def _is_dark_convex(bright: NDArray[np.float32], inside: NDArray[np.bool_], sigma: float) -> bool:
    """Whether more edges than by chance are convex on the dark side.

    The curvature of a level set of f is div(grad f / |grad f|) (Sethian, Level Set Methods, 1999, section 2.2). Places
    along an edge are independent beyond the smoothing; by chance, a share of n is one half, with an error of
    1 / (2 sqrt(n)), of which three are asked for.
    """
    smooth = ndimage.gaussian_filter(bright, sigma)
    along_y, along_x = np.gradient(smooth)
    yy, yx = np.gradient(along_y)
    xx = np.gradient(along_x, axis=1)
    high = smooth > 0.5
    edge = high ^ ndimage.binary_erosion(high, border_value=1)
    edge &= ndimage.binary_erosion(inside, iterations=_reach(sigma))
    edge &= np.hypot(along_y, along_x) * sigma > STEEP
    bend = (yy * along_x**2 - 2 * yx * along_x * along_y + xx * along_y**2)[edge]
    if len(bend) < LEAST_PIXELS:
        return False
    excess = np.count_nonzero(bend > 0) / len(bend) - 0.5
    return bool(excess > max(LEAST_EXCESS, 1.5 * math.sqrt(2 * sigma / len(bend))))
