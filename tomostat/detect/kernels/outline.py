"""Outlines of detections moved to the edges in the grey values.

The outline of a 28 x 28 mask is off by a pixel or more. The edge of a blurred particle lies where the grey value is the
mean of that of the particle and that of its surroundings at that place.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

SMOOTHING = 0.5
"""Sigma in pixels of the Gaussian filter before grey values are compared."""

MAX_SHIFT = 1
"""Pixels by which an outline may move."""

CLEARANCE = 1
"""Distance in pixels from all outlines beyond which a grey value counts as that of a particle or its surroundings. Blur
reaches farther, but as far on either side, and nearer grey values are more alike."""

WINDOW = 6
"""Distance in pixels up to which pixels count for the mean grey values of particle and surroundings."""

MIN_PIXELS = 4
"""With fewer pixels on either side the outline does not move."""


@njit(cache=True, nogil=True)
def _regions(labels: NDArray[np.int32], margin: int) -> NDArray[np.int32]:
    """Label of pixels farther than `margin` inside a particle, -1 farther outside of all, 0 near an outline."""
    ny, nx = labels.shape
    region = np.empty(labels.shape, np.int32)
    for y in range(ny):
        for x in range(nx):
            own = labels[y, x]
            same = True
            for v in range(max(y - margin, 0), min(y + margin + 1, ny)):
                for u in range(max(x - margin, 0), min(x + margin + 1, nx)):
                    same &= labels[v, u] == own
            region[y, x] = (own if own else -1) if same else 0
    return region


@njit(cache=True, nogil=True)
def _nearest(labels: NDArray[np.int32], y: int, x: int, band: int, background: bool) -> int:
    """The closest label within `band` pixels, or 0; with `background`, 1 where there is background, else 0."""
    ny, nx = labels.shape
    best, nearest = band * band + 1, 0
    for v in range(max(y - band, 0), min(y + band + 1, ny)):
        for u in range(max(x - band, 0), min(x + band + 1, nx)):
            distance = (v - y) ** 2 + (u - x) ** 2
            if distance < best and (labels[v, u] == 0) == background:
                best, nearest = distance, 1 if background else labels[v, u]
    return nearest


@njit(cache=True, nogil=True)
def _edge_level(grey: NDArray[np.float32], region: NDArray[np.int32], y: int, x: int, label: int, reach: int) -> float:
    """Mean of the grey values of a particle and its surroundings near a pixel; NaN where too few pixels show them."""
    ny, nx = region.shape
    inner = outer = 0.0
    n = m = 0
    for v in range(max(y - reach, 0), min(y + reach + 1, ny)):
        for u in range(max(x - reach, 0), min(x + reach + 1, nx)):
            if region[v, u] == label:
                inner += grey[v, u]
                n += 1
            elif region[v, u] == -1:
                outer += grey[v, u]
                m += 1
    return 0.5 * (inner / n + outer / m) if min(n, m) >= MIN_PIXELS else np.nan


@njit(cache=True, nogil=True)
def _move(labels: NDArray[np.int32], grey: NDArray[np.float32], region: NDArray[np.int32]) -> NDArray[np.int32]:
    """Reassign pixels near outlines by their grey values."""
    moved = labels.copy()
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            if region[y, x] != 0:
                continue
            own = labels[y, x]
            if own and not _nearest(labels, y, x, MAX_SHIFT, True):
                continue  # the pixel does not touch the background
            label = own if own else _nearest(labels, y, x, MAX_SHIFT, False)
            if label:
                level = _edge_level(grey, region, y, x, label, WINDOW)
                if grey[y, x] > level:
                    moved[y, x] = label
                elif grey[y, x] <= level:
                    moved[y, x] = 0
    return moved


def snap_outlines(labels: NDArray[np.int32], grey: NDArray[np.float32]) -> NDArray[np.int32]:
    """Move the outlines of bright particles by up to `MAX_SHIFT` pixels to the edges in the grey values.

    An edge is where the grey value is half way between those of the particle and its surroundings. Both are local
    means, so that edges towards carbon-binder and towards pores are both found. Outlines between two particles do not
    move, nor do those of particles in which no pixel is farther than `CLEARANCE` from the outline.

    Parameters
    ----------
    labels
        (ny, nx) int32, 0 is background.
    grey
        (ny, nx) float32.

    Returns
    -------
    ndarray
        (ny, nx) int32, the same labels.
    """
    smooth = ndimage.gaussian_filter(grey, SMOOTHING)
    return _move(labels, smooth, _regions(labels, CLEARANCE))
