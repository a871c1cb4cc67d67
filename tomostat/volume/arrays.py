"""Volumes as dask arrays: opened with the names and places of their axes, and written block by block.

In a module of its own, since what writes voxels only starts a second earlier without dask.array, xarray and pandas.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr
import zarr
from dask.delayed import Delayed
from numpy.typing import NDArray

from tomostat.blocks import Box, block_grid, check_whole_shards
from tomostat.volume.damage import read_part
from tomostat.volume.metadata import describe, image_prefix, open_array, open_group
from tomostat.volume.store import write_box


def open_volume(path: str | Path, label: str | None = None, *, level: int = 0) -> xr.DataArray:
    """Open a volume lazily.

    Parameters
    ----------
    path
        The store, ``NAME.zarr``.
    label
        Name of a label image such as ``phases`` or ``particles``; the grey values when not given.
    level
        Resolution level, 0 is full resolution.

    Returns
    -------
    xarray.DataArray
        Dims z, y, x with coordinates in micrometers; dask chunks are the store's shards. ``attrs["spacing"]`` is the
        voxel size (z, y, x) in micrometers.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such volume, label image or level.
    """
    info = describe(path, label)
    if not 0 <= level < len(info.levels):
        raise ValueError(f"level is {level}; {path} has levels 0 to {len(info.levels) - 1}")
    path = Path(path).absolute()  # workers have other working folders, and chunks that are not found read as zeros
    array = open_array(path, f"{image_prefix(label)}{level}")
    chunks = array.shards or array.chunks
    data = da.from_array(array, chunks=chunks, name=False, inline_array=True, getitem=_read)
    ome: Any = open_group(path, label).attrs["ome"]
    scale, shift = ome["multiscales"][0]["datasets"][level]["coordinateTransformations"]
    coords = {
        axis: (axis, t + s * np.arange(n), {"units": "micrometer", "long_name": f"{axis} position"})
        for axis, n, s, t in zip("zyx", array.shape, scale["scale"], shift["translation"], strict=True)
    }
    attrs = {**info.attributes, "spacing": tuple(scale["scale"])}
    return xr.DataArray(data, dims=("z", "y", "x"), coords=coords, name=label or "grey", attrs=attrs)


def _read(array: zarr.Array[Any], box: Box, asarray: bool = True) -> NDArray[Any]:
    """`read_part` with the parameters that dask passes."""
    return read_part(array, box)


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
