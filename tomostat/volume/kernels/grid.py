"""Interpolation of a coarse grid of values at the voxels of a volume."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Box


def interpolate_grid(grid: NDArray[np.float32], shape: Sequence[int], box: Box) -> NDArray[np.float32]:
    """Interpolate a coarse grid trilinearly at the voxels of a box.

    Parameters
    ----------
    grid
        (gz, gy, gx) float32, values at nodes spaced evenly from the first to the last voxel of each axis.
    shape
        Voxels (z, y, x) of the whole volume.
    box
        Box of the volume. The value at a voxel is the same, bit for bit, for any box that contains it.

    Returns
    -------
    numpy.ndarray
        (z, y, x) float32, the values in the box.
    """
    values = grid
    for axis, (n, s) in enumerate(zip(shape, box, strict=True)):
        nodes = values.shape[axis]
        position = np.arange(s.start, s.stop) * ((nodes - 1) / max(n - 1, 1))
        low = np.minimum(position.astype(np.int64), max(nodes - 2, 0))
        weight = (position - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        high = np.minimum(low + 1, nodes - 1)
        values = values.take(low, axis) * (1 - weight) + values.take(high, axis) * weight
    return values.astype(np.float32, copy=False)
