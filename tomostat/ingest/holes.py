"""Chunks that are not stored: left out on purpose, since all their voxels have the fill value, or lost."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.blocks import Box, Shape, box_between
from tomostat.ingest.folders import TAKE_ANYWAY
from tomostat.ingest.options import IngestOptions
from tomostat.ingest.source import ArraySource

logger = logging.getLogger(__name__)

MOST_HOLES = 64
"""Holes that are looked at; of more, as many are taken evenly."""

MOST_FACES = 8
"""Faces between a hole and stored chunks that are read."""


def check_holes(
    source: ArraySource, stored: NDArray[np.bool_], chunk: Sequence[int], fill: Any, options: IngestOptions
) -> None:
    """Refuse a source that lost chunks.

    Programs leave out chunks in which every voxel has the fill value, as around a round field of view. Beside such a
    chunk some voxels have that value as well; where none has, the chunk is taken for lost.

    Parameters
    ----------
    source
        The source.
    stored
        Whether every chunk is stored, on the grid of chunks, with the axes of the source's array.
    chunk
        Lengths of a chunk along the axes of the array.
    fill
        The fill value; None where the file has none.
    options
        Whether chunks may be missing.

    Raises
    ------
    ValueError
        When chunks are lost.
    """
    if stored.all():
        return
    grid = source.axes.over(stored.shape, chunk)
    present = grid.select(stored, box_between((0, 0, 0), grid.shape))
    size: Shape = source.axes.pick(chunk, 1)
    lost = _lost(source, present, size, fill)
    left_out = f"{np.count_nonzero(~present)} of {present.size} chunks are not stored"
    if lost is not None and not options.incomplete:
        z, y, x = (int(i) * n for i, n in zip(lost, size, strict=True))
        why = "there is no fill value" if fill is None else f"no voxel beside them has the fill value {fill}"
        raise ValueError(f"{source.path}: {left_out}, first at z {z}, y {y}, x {x}, and {why}; copy or export it "
                         f"again, {TAKE_ANYWAY}")  # fmt: skip
    logger.info("%s: %s; all their voxels are %s", source.path, left_out, fill)


def _lost(source: ArraySource, present: NDArray[np.bool_], size: Shape, fill: Any) -> tuple[int, ...] | None:
    """A chunk (z, y, x) of the grid that was lost; None where all others may have been left out on purpose."""
    if present.all() or not (present.any() or fill is None):
        return None
    if fill is None:
        return tuple(np.argwhere(~present)[0].tolist())
    holes, count = ndimage.label(~present)
    for number in np.unique(np.linspace(1, count, min(count, MOST_HOLES)).astype(int)):
        inside = holes == number
        faces = list(itertools.islice(_faces(source.shape, inside, present, size), 10**4))
        chosen = faces[:: max(1, math.ceil(len(faces) / MOST_FACES))]
        if not any(_has(source.read(box), fill) for box in chosen):
            return tuple(np.argwhere(inside)[0].tolist())
    return None


def _has(voxels: NDArray[Any], fill: Any) -> bool:
    """Whether a voxel has the fill value."""
    return bool((np.isnan(voxels) if isinstance(fill, float) and math.isnan(fill) else voxels == fill).any())


def _faces(shape: Shape, inside: NDArray[np.bool_], present: NDArray[np.bool_], size: Shape) -> Iterator[Box]:
    """Layers of voxels of stored chunks that touch a hole."""
    for axis, step in itertools.product(range(3), (-1, 1)):
        beside = np.zeros_like(inside)
        there = [slice(None)] * 3
        here = [slice(None)] * 3
        here[axis], there[axis] = (slice(None, -1), slice(1, None)) if step > 0 else (slice(1, None), slice(None, -1))
        beside[tuple(there)] = inside[tuple(here)]
        for cell in np.argwhere(beside & present).tolist():
            low = [i * n for i, n in zip(cell, size, strict=True)]
            high = [min(a + n, most) for a, n, most in zip(low, size, shape, strict=True)]
            low[axis], high[axis] = (low[axis], low[axis] + 1) if step > 0 else (high[axis] - 1, high[axis])
            yield box_between(low, high)
