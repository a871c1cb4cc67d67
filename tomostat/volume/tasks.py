"""Lazy tasks that fill the pyramid of resolution levels."""

from __future__ import annotations

from pathlib import Path

import dask
import numpy as np
from dask.delayed import Delayed

from tomostat.blocks import Box, block_grid
from tomostat.volume.damage import read_part
from tomostat.volume.kernels.halve import halve, halve_sparse
from tomostat.volume.metadata import describe, image_prefix, is_map, open_array
from tomostat.volume.store import storage_layout, write_box


def pyramid_tasks(path: str | Path, label: str | None = None) -> list[dict[str, Delayed]]:
    """Tasks that fill the lower resolution levels: a dict of tasks by block key per level, to be run in this order."""
    info = describe(path, label)
    task = dask.delayed(_halve_box, pure=False)
    return [
        {block.key: task(path, label, level, block.core) for block in block_grid(shape, storage_layout(shape)[1])}
        for level, shape in enumerate(info.levels)
        if level > 0
    ]


def _halve_box(path: str | Path, label: str | None, level: int, core: Box) -> None:
    """Write one box of a level from the next finer one, of which one layer of chunks is in memory at a time."""
    finer = open_array(path, f"{image_prefix(label)}{level - 1}")
    factors = [2 if n > 1 else 1 for n in finer.shape]
    thickness = max(finer.chunks[0] // factors[0], 1)
    coarse = np.empty([s.stop - s.start for s in core], finer.dtype)
    for first in range(0, len(coarse), thickness):
        layer = coarse[first : first + thickness]
        low = [core[0].start + first, core[1].start, core[2].start]
        box = tuple(slice(i * f, (i + n) * f) for i, n, f in zip(low, layer.shape, factors, strict=True))
        fine = read_part(finer, box)
        layer[:] = halve_sparse(fine, layer.shape) if is_map(label) else halve(fine, layer.shape, mean=label is None)
    write_box(path, [s.start for s in core], coarse, label, level)
