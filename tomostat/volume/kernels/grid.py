"""A coarse grid of values, spread over the voxels of a volume."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Box


def spread_grid(grid: NDArray[np.float32], shape: Sequence[int], box: Box) -> NDArray[np.float32]:
    """Trilinear values of a coarse grid over a box of a volume.

    Parameters
    ----------
    grid
        (gz, gy, gx) values at nodes spread evenly from the first to the last voxel of each axis.
    shape
        Voxels of the whole volume.
    box
        The box wanted. A voxel's value does not depend on the box it is asked for with.
    """
    values = grid
    for axis, (n, s) in enumerate(zip(shape, box, strict=True)):
        nodes = values.shape[axis]
        place = np.arange(s.start, s.stop) * ((nodes - 1) / max(n - 1, 1))
        low = np.minimum(place.astype(np.int64), max(nodes - 2, 0))
        weight = (place - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        high = np.minimum(low + 1, nodes - 1)
        values = values.take(low, axis) * (1 - weight) + values.take(high, axis) * weight
    return values.astype(np.float32, copy=False)
