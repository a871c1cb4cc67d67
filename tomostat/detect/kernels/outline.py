"""Outlines of detections moved to where the grey values put them.

A mask of 28 x 28 tells which particle a pixel belongs to, and is off by a pixel or more at its rim. The rim of a
blurred particle lies where the grey value is half way between the particle's and that of what lies beside it there.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

SMOOTH = 0.6
"""Sigma in pixels of the smoothing before grey values are compared."""

BAND = 1
"""Pixels by which an outline may move."""

MARGIN = 2
"""Pixels from any outline beyond which a grey value is that of the particle, or of its surroundings, alone."""

WINDOW = 6
"""Pixels around a place from which both grey values are taken."""

LEAST = 4
"""Pixels on either side below which the outline stays."""


@njit(cache=True, nogil=True)
def _sides(labels: NDArray[np.int32], margin: int) -> NDArray[np.int32]:
    """Label of pixels deep inside of a particle, -1 far from all, 0 near an outline."""
    ny, nx = labels.shape
    side = np.empty(labels.shape, np.int32)
    for y in range(ny):
        for x in range(nx):
            own = labels[y, x]
            same = True
            for v in range(max(y - margin, 0), min(y + margin + 1, ny)):
                for u in range(max(x - margin, 0), min(x + margin + 1, nx)):
                    same &= labels[v, u] == own
            side[y, x] = (own if own else -1) if same else 0
    return side


@njit(cache=True, nogil=True)
def _nearest(labels: NDArray[np.int32], y: int, x: int, band: int, background: bool) -> int:
    """The closest label within the band; with `background`, 1 where there is background and else 0."""
    ny, nx = labels.shape
    best, found = band * band + 1, 0
    for v in range(max(y - band, 0), min(y + band + 1, ny)):
        for u in range(max(x - band, 0), min(x + band + 1, nx)):
            far = (v - y) ** 2 + (u - x) ** 2
            if far < best and (labels[v, u] == 0) == background:
                best, found = far, 1 if background else labels[v, u]
    return found


@njit(cache=True, nogil=True)
def _half_way(grey: NDArray[np.float32], side: NDArray[np.int32], y: int, x: int, label: int, reach: int) -> float:
    """Half way between the grey values of a particle and of its surroundings near a place; NaN where not known."""
    ny, nx = side.shape
    inner = outer = 0.0
    n = m = 0
    for v in range(max(y - reach, 0), min(y + reach + 1, ny)):
        for u in range(max(x - reach, 0), min(x + reach + 1, nx)):
            if side[v, u] == label:
                inner += grey[v, u]
                n += 1
            elif side[v, u] == -1:
                outer += grey[v, u]
                m += 1
    return 0.5 * (inner / n + outer / m) if min(n, m) >= LEAST else np.nan


@njit(cache=True, nogil=True)
def _move(labels: NDArray[np.int32], grey: NDArray[np.float32], side: NDArray[np.int32]) -> NDArray[np.int32]:
    moved = labels.copy()
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            if side[y, x] != 0:
                continue
            own = labels[y, x]
            if own and not _nearest(labels, y, x, BAND, True):
                continue  # between two particles
            label = own if own else _nearest(labels, y, x, BAND, False)
            if label:
                level = _half_way(grey, side, y, x, label, WINDOW)
                if grey[y, x] > level:
                    moved[y, x] = label
                elif grey[y, x] <= level:
                    moved[y, x] = 0
    return moved


def snap_outlines(labels: NDArray[np.int32], grey: NDArray[np.float32]) -> NDArray[np.int32]:
    """Move the outlines of bright particles by up to `BAND` pixels to where the grey value is half way.

    Both grey values are local, so that an outline towards carbon-binder and one towards a pore are both right. Outlines
    between two particles stay, as do particles too small to have an inside.

    Parameters
    ----------
    labels
        (ny, nx) int32, 0 is background.
    grey
        (ny, nx) float32.

    Returns
    -------
    numpy.ndarray
        (ny, nx) int32.
    """
    smooth = ndimage.gaussian_filter(grey, SMOOTH)
    return _move(labels, smooth, _sides(labels, MARGIN))
