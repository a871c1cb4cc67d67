"""An image of phases as a scan would show them, for fields that come without grey values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.phase import Phase

GREY = {Phase.PORE: 40, Phase.CBD: 100, Phase.ACTIVE: 220, Phase.COLLECTOR: 160, Phase.OUTSIDE: 0}
"""Grey value of each phase."""

BLUR = 1.0
"""Gaussian sigma of the edges in voxels."""

HALO = 4
"""Voxels around a block that blur reaches in from."""


def render_phases(phases: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey values (z, y, x) uint8 of phase codes, blurred with `BLUR`."""
    table = np.array([GREY[phase] for phase in Phase], np.float32)
    blurred = ndimage.gaussian_filter(table[phases], BLUR, mode="nearest", truncate=HALO / BLUR)
    return np.rint(blurred).astype(np.uint8)
