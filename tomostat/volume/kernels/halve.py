"""Half as many voxels along each axis, for the pyramid of resolution levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def halve(fine: NDArray[Any], shape: Sequence[int], mean: bool) -> NDArray[Any]:
    """Halve the resolution of a box: the mean of 2 x 2 x 2 voxels, or every second voxel.

    Parameters
    ----------
    fine
        (2z, 2y, 2x) voxels; an axis of one voxel keeps its length.
    shape
        Shape (z, y, x) of the result; a last odd voxel of an axis is left out.
    mean
        Average, for grey values (rounded for integers); else every second voxel, for labels.
    """
    factors = [2 if n > 1 else 1 for n in fine.shape]
    if not mean:
        return fine[tuple(slice(0, n * f, f) for n, f in zip(shape, factors, strict=True))]
    split = [part for n, f in zip(shape, factors, strict=True) for part in (n, f)]
    total = fine[tuple(slice(0, n * f) for n, f in zip(shape, factors, strict=True))].reshape(split)
    average = total.mean(axis=(1, 3, 5), dtype=np.float32)
    return (average if fine.dtype.kind == "f" else np.rint(average)).astype(fine.dtype)


def halve_sparse(fine: NDArray[np.float32], shape: Sequence[int]) -> NDArray[np.float32]:
    """Halve the resolution of a map: the mean of the finite ones of 2 x 2 x 2 voxels, NaN where there is none.

    Parameters
    ----------
    fine
        (2z, 2y, 2x) float32, NaN in most voxels; an axis of one voxel keeps its length.
    shape
        Shape (z, y, x) of the result.
    """
    known = np.nonzero(np.isfinite(fine))  # few voxels: the rest takes time in proportion to their number
    position = np.zeros(len(known[0]), np.int64)
    for index, n, coarse in zip(known, fine.shape, shape, strict=True):
        position = position * coarse + (index // 2 if n > 1 else index)
    count = np.bincount(position, minlength=math.prod(shape))
    total = np.bincount(position, fine[known], minlength=len(count))
    mean = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return mean.astype(np.float32).reshape(tuple(shape))
