"""Paint masks into a box of label voxels."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Box
from tomostat.stitch.kernels.masks import Masks


def paint_box(masks: Masks, box: Box) -> NDArray[np.uint32]:
    """Label voxels of a box.

    Parameters
    ----------
    masks
        Masks of the box's slices; others are ignored.
    box
        The box in the volume.

    Returns
    -------
    ndarray
        (z, y, x) uint32, 0 is background.
    """
    labels = np.zeros([s.stop - s.start for s in box], np.uint32)
    instances = masks.instances
    _paint(
        labels, instances.slice, masks.particle, instances.offset, instances.run_start, instances.run_length,
        instances.shape[1], box[0].start, box[1].start, box[2].start,
    )  # fmt: skip
    return labels


@numba.njit(cache=True, nogil=True)
def _paint(labels, slices, particle, offset, start, length, nx, z0, y0, x0):  # type: ignore[no-untyped-def]
    """Write the runs of every mask that cross the box."""
    nz, ny, width = labels.shape
    for i in range(len(slices)):
        z = slices[i] - z0
        if z < 0 or z >= nz:
            continue
        for run in range(offset[i], offset[i + 1]):
            y = start[run] // nx - y0
            x = start[run] % nx - x0
            if 0 <= y < ny and x < width and x + length[run] > 0:
                labels[z, y, max(x, 0) : min(x + length[run], width)] = particle[i]
