"""Half as many voxels along each axis, for the pyramid of resolution levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def halve(fine: NDArray[Any], shape: Sequence[int], mean: bool) -> NDArray[Any]:
    """Halve a box: the mean of 2 x 2 x 2 voxels, or every second voxel (labels must not be averaged).

    Parameters
    ----------
    fine
        (2z, 2y, 2x) voxels; an axis of one voxel stays.
    shape
        Shape of the result.
    """
    factors = [2 if n > 1 else 1 for n in fine.shape]
    if not mean:
        return fine[tuple(slice(0, n * f, f) for n, f in zip(shape, factors, strict=True))]
    split = [part for n, f in zip(shape, factors, strict=True) for part in (n, f)]
    total = fine[tuple(slice(0, n * f) for n, f in zip(shape, factors, strict=True))].reshape(split)
    average = total.mean(axis=(1, 3, 5), dtype=np.float32)
    return (average if fine.dtype.kind == "f" else np.rint(average)).astype(fine.dtype)


def halve_sparse(fine: NDArray[np.float32], shape: Sequence[int]) -> NDArray[np.float32]:
    """Halve a box of a map: the mean of those of 2 x 2 x 2 voxels that hold a value, NaN where none does."""
    known = np.nonzero(np.isfinite(fine))  # few: what follows costs as much as there are
    place = np.zeros(len(known[0]), np.int64)
    for at, n, coarse in zip(known, fine.shape, shape, strict=True):
        place = place * coarse + (at // 2 if n > 1 else at)
    count = np.bincount(place, minlength=math.prod(shape))
    total = np.bincount(place, fine[known], minlength=len(count))
    mean = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return mean.astype(np.float32).reshape(tuple(shape))
