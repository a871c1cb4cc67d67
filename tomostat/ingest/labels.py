"""Label images of any type as integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

NUMBER_THEM = "give each particle a number of its own, as scipy.ndimage.label or Connected Components of ImageJ do"
"""What to do with a mask in place of labels."""


def as_labels(name: str, voxels: NDArray[Any]) -> NDArray[Any]:
    """Labels as integers.

    Masks count as one object. Whole numbers in floats, as Fiji and CellProfiler save them, are taken for what they are.

    Parameters
    ----------
    name
        Name of the file, for messages.
    voxels
        Labels of any type, 0 for background.

    Returns
    -------
    ndarray
        The same labels: integers as they are, others as uint8 or int64.

    Raises
    ------
    ValueError
        When they are no whole numbers, or negative.
    """
    if voxels.dtype.kind == "b":
        return voxels.astype(np.uint8)
    if voxels.dtype.kind not in "iuf":
        raise ValueError(f"{name} holds {voxels.dtype.name} voxels; expected labels: whole numbers, 0 for background")
    with np.errstate(invalid="ignore"):
        labels = voxels.astype(np.int64) if voxels.dtype.kind == "f" else voxels
    if labels is not voxels and not np.array_equal(labels, voxels):
        raise ValueError(f"{name} holds {voxels.dtype.name} voxels that are no whole numbers; expected labels")
    lowest = int(labels.min(initial=0))
    if lowest < 0:
        raise ValueError(f"{name}: the lowest label is {lowest}; expected 0 for background and positive labels")
    return labels
