"""Whether a grey level makes up compact bodies, as active material does, or a web or skins, as carbon-binder does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.kernels.watershed import solidity, split

SMOOTHING = 1.5
"""Sigma in voxels with which an image is smoothed before bodies are looked at: noise would fray their outlines."""
MIN_SOLIDITY = 0.81
"""Least solidity of bodies, in the mean by area. Active material of real and simulated electrodes has 0.84 to 0.95,
cracked, hollow, 10 voxels across, or with noise of half the contrast; webs of carbon-binder have 0.6 to 0.8."""
MIN_AREA = 40
"""Pixels of the smallest piece that counts."""
FILL = 50
"""Pixels of the largest hole that is filled."""
BASINS = {"smoothing": 1.0, "depth": 2.0}
"""Of the watershed that finds the pieces, see `tomostat.kernels.watershed.split`."""


def solidity_sum(mask: NDArray[np.bool_]) -> tuple[float, int]:
    """Solidity of the pieces into which a watershed splits a slice, summed by area.

    Parameters
    ----------
    mask
        (ny, nx) bool, voxels of a grey level.

    Returns
    -------
    float
        Sum of area times solidity in pixels.
    int
        Sum of the areas; what is too thin for a piece counts here.
    """
    pieces = split(mask, fill=FILL, **BASINS)
    total, area = 0.0, int((mask & (pieces == 0)).sum())
    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        piece = pieces[box] == number
        size = int(piece.sum())
        if size >= MIN_AREA:
            total, area = total + size * solidity(piece), area + size
    return total, area
