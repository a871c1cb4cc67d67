"""A distance-transform watershed of one binary slice: the conventional way to separate touching particles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

SMOOTHING, DEPTH, FILL = 1.0, 2.0, 500
"""What a conventional segmentation takes for the parameters of `split`."""


def split(
    active: NDArray[np.bool_], *, smoothing: float = SMOOTHING, depth: float = DEPTH, fill: int = FILL
) -> NDArray[np.int32]:
    """Label particles of a binary slice by the watershed of its distance map, with the holes of particles filled.

    Filling a hole keeps a hollow particle whole, but filling a pocket between touching particles fuses them. A region
    with filled holes is therefore also segmented with its holes open, and stays split if the pieces have a higher
    solidity than the whole.

    Parameters
    ----------
    active
        (ny, nx) bool.
    smoothing
        Gaussian sigma of the distance map in pixels.
    depth
        A particle is split where its distance map dips by more than this many pixels.
    fill
        Area in pixels of the largest hole that may be the core of a hollow particle.

    Returns
    -------
    ndarray
        (ny, nx) int32, 0 is background.
    """
    solid = fill_small_holes(active, fill)
    labels = _basins(solid, smoothing, depth)
    if not (solid & ~active).any():
        return labels
    pieces = _basins(active, smoothing, depth)
    next_label = int(labels.max()) + 1
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        own = labels[box] == number
        if not (own & ~active[box]).any():
            continue
        parts = np.where(own, pieces[box], 0)
        numbers, area = np.unique(parts[parts > 0], return_counts=True)
        if len(numbers) > 1 and np.average([solidity(parts == n) for n in numbers], weights=area) > solidity(own):
            labels[box][own] = 0
            labels[box][parts > 0] = next_label + np.searchsorted(numbers, parts[parts > 0])
            next_label += len(numbers)
    return labels


def fill_small_holes(active: NDArray[np.bool_], largest: int) -> NDArray[np.bool_]:
    """Fill holes of at most `largest` pixels that do not touch the edge of the slice, (ny, nx) bool."""
    holes, count = ndimage.label(~active)
    small = np.bincount(holes.ravel(), minlength=count + 1) <= largest
    small[0] = False
    small[np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]])] = False
    filled: NDArray[np.bool_] = active | small[holes]
    return filled


def _basins(solid: NDArray[np.bool_], smoothing: float, depth: float) -> NDArray[np.int32]:
    """Watershed of the smoothed distance map."""
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(solid), smoothing) * solid
    seeds, _ = ndimage.label(h_maxima(distance, depth), structure=np.ones((3, 3)))
    labels: NDArray[np.int32] = watershed(-distance, seeds, mask=solid).astype(np.int32)
    return labels


def solidity(mask: NDArray[np.bool_]) -> float:
    """Area of a mask (ny, nx) divided by the area of its convex hull, 0 to 1.

    The hull is that of the corners of the pixels, so that the solidity of a convex shape is close to 1.
    """
    corners = _row_corners(mask)
    # The corners are whole numbers, so that this area is exact; `ConvexHull.volume` is rounded.
    y, x = corners[ConvexHull(corners).vertices].T
    area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    return float(np.count_nonzero(mask) / area)


def _row_corners(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Corners (y, x) of the first and last pixel of every row, (k, 2)."""
    rows = np.flatnonzero(mask.any(1))
    left, right = mask[rows].argmax(1), mask.shape[1] - mask[rows, ::-1].argmax(1)
    y = np.concatenate([rows, rows + 1, rows, rows + 1])
    x = np.concatenate([left, left, right, right])
    return np.stack([y, x], 1).astype(np.float64)
