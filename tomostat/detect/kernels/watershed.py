"""A distance-transform watershed of one binary slice: the conventional way to part touching particles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import h_maxima
from skimage.segmentation import watershed


def split(active: NDArray[np.bool_], *, smoothing: float, depth: float, fill: int) -> NDArray[np.int32]:
    """Label particles of a binary slice by the watershed of its distance map, holes filled where that makes sense.

    A filled hole keeps a hollow particle whole, but a pocket between touching particles fuses them. So whatever holds a
    filled hole is also looked at with its holes open, and stays in pieces where these are more solid than the whole.

    Parameters
    ----------
    active
        (ny, nx) bool.
    smoothing, depth, fill
        As in `tomostat.detect.detectors.watershed.WatershedDetector`.

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
    following = int(labels.max()) + 1
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        own = labels[box] == number
        if not (own & ~active[box]).any():
            continue
        inside = np.where(own, pieces[box], 0)
        names, area = np.unique(inside[inside > 0], return_counts=True)
        if len(names) > 1 and np.average([solidity(inside == n) for n in names], weights=area) > solidity(own):
            labels[box][own] = 0
            labels[box][inside > 0] = following + np.searchsorted(names, inside[inside > 0])
            following += len(names)
    return labels


def fill_small_holes(active: NDArray[np.bool_], largest: int) -> NDArray[np.bool_]:
    """Fill holes of at most `largest` pixels that the edge of the slice does not cut."""
    holes, count = ndimage.label(~active)
    small = np.bincount(holes.ravel(), minlength=count + 1) <= largest
    small[0] = False
    small[np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]])] = False
    filled: NDArray[np.bool_] = active | small[holes]
    return filled


def _basins(solid: NDArray[np.bool_], smoothing: float, depth: float) -> NDArray[np.int32]:
    """Watershed of the smoothed distance map."""
    away = ndimage.gaussian_filter(ndimage.distance_transform_edt(solid), smoothing) * solid
    seeds, _ = ndimage.label(h_maxima(away, depth), structure=np.ones((3, 3)))
    labels: NDArray[np.int32] = watershed(-away, seeds, mask=solid).astype(np.int32)
    return labels


def solidity(mask: NDArray[np.bool_]) -> float:
    """Area of a mask by the area of its convex hull, 0 to 1.

    The hull is that of the pixels' corners, so that a convex pixel shape comes close to 1.
    """
    points = _rim(mask)
    x, y = _hull(points).T
    area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    return float(np.count_nonzero(mask) / area)


def _rim(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Corners of the first and last pixel of every row, sorted by row and column, (k, 2)."""
    rows = np.flatnonzero(mask.any(1))
    left, right = mask[rows].argmax(1), mask.shape[1] - mask[rows, ::-1].argmax(1)
    corners = {
        (int(y) + dy, int(x)) for y, a, b in zip(rows, left, right, strict=True) for x in (a, b) for dy in (0, 1)
    }
    return np.array(sorted(corners), float)


def _hull(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convex hull of sorted points by Andrew's monotone chain, (k, 2)."""

    def chain(sequence: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        hull: list[NDArray[np.float64]] = []
        for p in sequence:
            while len(hull) > 1 and np.linalg.det([hull[-1] - hull[-2], p - hull[-2]]) <= 0:
                hull.pop()
            hull.append(p)
        return hull[:-1]

    return np.array(chain(points) + chain(points[::-1]))
