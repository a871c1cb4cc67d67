"""The conventional baseline: a distance-transform watershed of the active phase, slice by slice.

It splits cracked and fuses flat-touching particles, which is what the network is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import regionprops
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from tomostat.instances import Instances
from tomostat.volume import Phase


@dataclass(frozen=True, kw_only=True)
class WatershedDetector:
    """Detector by watershed; call it with a block of slices.

    Attributes
    ----------
    smoothing
        Gaussian sigma of the distance map in pixels.
    depth
        A particle is split where its distance map dips by more than this many pixels.
    fill
        Largest hole, in pixels of area, that may be the core of a hollow particle; see `split`.
    min_area
        Smaller pieces are dropped.
    """

    smoothing: float = 1.0
    depth: float = 2.0
    fill: int = 500
    min_area: int = 40

    def __call__(self, grey: NDArray[np.float32], phases: NDArray[np.uint8], first: int) -> Instances:
        """Find particles in slices ``first``, ``first + 1``, ...

        Parameters
        ----------
        grey
            (n, ny, nx) float32; not looked at.
        phases
            (n, ny, nx) uint8 codes of `Phase`.
        first
            Index of the first slice.

        Returns
        -------
        Instances
            Scores are solidities.
        """
        shape = (grey.shape[1], grey.shape[2])
        parts = [self._slice(phases[i] == Phase.ACTIVE, first + i) for i in range(len(phases))]
        return Instances.concatenate([Instances.empty(shape), *parts])

    def _slice(self, active: NDArray[np.bool_], z: int) -> Instances:
        labels = split(active, smoothing=self.smoothing, depth=self.depth, fill=self.fill)
        regions: list[Any] = [region for region in regionprops(labels) if region.area >= self.min_area]
        kept, scores = np.zeros(labels.max() + 1, np.int32), np.zeros(len(regions) + 1, np.float32)
        for i, region in enumerate(regions, start=1):
            kept[region.label], scores[i] = i, solidity(region.image)
        return Instances.from_labels(kept[labels], z, scores)


def split(active: NDArray[np.bool_], *, smoothing: float, depth: float, fill: int) -> NDArray[np.int32]:
    """Label particles of a binary slice by the watershed of its distance map, holes filled where that makes sense.

    A filled hole keeps a hollow particle whole, but a pocket between touching particles fuses them. So whatever holds a
    filled hole is also looked at with its holes open, and stays in pieces where these are more solid than the whole.

    Parameters
    ----------
    active
        (ny, nx) bool.
    smoothing, depth, fill
        As in `WatershedDetector`.

    Returns
    -------
    ndarray
        (ny, nx) int32, 0 is background.
    """
    solid = fill_holes(active, fill)
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


def fill_holes(active: NDArray[np.bool_], largest: int) -> NDArray[np.bool_]:
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
