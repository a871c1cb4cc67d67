"""Lazy tasks that write dask arrays, and fill the pyramid of resolution levels."""

from __future__ import annotations

from pathlib import Path

import dask
import dask.array as da
import numpy as np
from dask.delayed import Delayed

from tomostat.blocks import Box, block_grid, check_whole_shards
from tomostat.volume.damage import read_part
from tomostat.volume.kernels.halve import halve, halve_sparse
from tomostat.volume.metadata import describe, image_prefix, is_map, open_array
from tomostat.volume.store import storage_layout, write_box


def store_tasks(array: da.Array, path: str | Path, label: str | None = None) -> dict[str, Delayed]:
    """Tasks that write a dask array into an existing image, one per chunk of the array.

    Parameters
    ----------
    array
        (z, y, x) voxels; chunks are whole shards of the image.
    path, label
        The store, and the label image in it; the grey image when not given.

    Returns
    -------
    dict
        Tasks by the key of their block, for `tomostat.execution.Execution.run`.

    Raises
    ------
    ValueError
        When the array's shape differs from the image's, or its chunks split shards.
    """
    info = describe(path, label)
    if array.shape != info.shape:
        raise ValueError(f"array has shape {array.shape}; {path} has {info.shape}")
    check_whole_shards(array.chunksize, info.shards, info.shape)
    write = dask.delayed(write_box, pure=False)
    parts = split_blocks(array)
    return {
        block.key: write(path, block.start, parts[block.index], label)
        for block in block_grid(array.shape, array.chunksize)
    }


def split_blocks(array: da.Array) -> dict[tuple[int, ...], Delayed]:
    """The blocks of a dask array by index, each with a graph of only the tasks that it needs.

    `dask.array.Array.to_delayed` gives every block the graph of the whole array, and all of it is processed again for
    each block that is computed.
    """
    keys = list(dask.core.flatten(array.__dask_keys__()))
    graph = dict(da.optimization.optimize(array.__dask_graph__(), keys))
    dependencies = {key: dask.core.get_dependencies(graph, task=task) for key, task in graph.items()}
    parts = {}
    for key in keys:
        needed, pending = {}, [key]
        while pending:
            name = pending.pop()
            if name not in needed:
                needed[name] = graph[name]
                pending.extend(dependencies[name])
        parts[key[1:]] = Delayed(key, needed)
    return parts


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
