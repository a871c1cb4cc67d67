"""Smooth additive shading of a volume: stored as a coarse grid, and subtracted from grey values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from dask_image import ndfilters
from numpy.typing import NDArray

from tomostat.blocks import Box, Shape
from tomostat.volume.arrays import open_volume
from tomostat.volume.damage import read_part
from tomostat.volume.kernels.grid import interpolate_grid
from tomostat.volume.metadata import open_array, open_group
from tomostat.volume.store import CODECS, read_box


def write_shading(path: str | Path, grid: NDArray[np.float32] | None) -> None:
    """Store the shading of a volume, or remove it.

    Parameters
    ----------
    path
        The store, ``NAME.zarr``.
    grid
        (gz, gy, gx) grey values at nodes spaced evenly from the first to the last voxel of each axis; None removes the
        shading that is stored.
    """
    root = open_group(path, None, "r+")
    if grid is not None:
        grid = np.ascontiguousarray(grid, dtype=np.float32)
        nodes = tuple(f"shading_{axis}" for axis in "zyx")  # xarray opens no group with an array without them
        root.create_array("shading", data=grid, compressors=CODECS, dimension_names=nodes, overwrite=True)
    elif "shading" in root:
        del root["shading"]


def read_shading(path: str | Path) -> NDArray[np.float32] | None:
    """The shading stored by `write_shading`, (gz, gy, gx) float32; None where there is none."""
    root = open_group(path, None)
    if "shading" not in root:
        return None
    grid = open_array(path, "shading")
    return read_part(grid, tuple(slice(0, n) for n in grid.shape)).astype(np.float32, copy=False)


def read_flat(path: str | Path, box: Box) -> NDArray[np.float32]:
    """Grey values of a box with the shading subtracted, float32."""
    return without_shading(path, read_box(path, box).astype(np.float32), box)


def without_shading(path: str | Path, grey: NDArray[np.float32], box: Box) -> NDArray[np.float32]:
    """Grey values of a box less the shading that is stored with the volume."""
    grid = read_shading(path)
    return grey if grid is None else grey - interpolate_grid(grid, open_array(path, "0").shape, box)


def open_flat(path: str | Path, *, smoothing: float = 0.0) -> xr.DataArray:
    """Open the grey values with the shading subtracted, as a lazy array.

    Parameters
    ----------
    path
        The store, ``NAME.zarr``.
    smoothing
        Standard deviation in voxels of a Gaussian along every axis longer than one voxel; 0 does not smooth.

    Returns
    -------
    xarray.DataArray
        Dims z, y, x, float32, with coordinates in micrometers as `open_volume` gives them. Chunks are the shards of the
        store; a smoothed value does not depend on them, since the filter reads a halo from neighbouring chunks.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such volume, or `smoothing` is negative.
    """
    if smoothing < 0:
        raise ValueError(f"smoothing is {smoothing}; expected 0 or more voxels")
    opened = open_volume(path)
    grey, grid = opened.data.astype(np.float32), read_shading(path)
    if grid is not None:
        grey = grey.map_blocks(_subtract_shading, grid, grey.shape, dtype=np.float32)
    if smoothing:
        grey = ndfilters.gaussian_filter(grey, [smoothing if n > 1 else 0.0 for n in grey.shape])
    return opened.copy(data=grey)


def _subtract_shading(
    block: NDArray[np.float32], grid: NDArray[np.float32], shape: Shape, block_info: Any = None
) -> NDArray[np.float32]:
    """One chunk of `open_flat`; dask passes its location in `block_info`."""
    box = tuple(slice(a, b) for a, b in block_info[0]["array-location"])
    return block - interpolate_grid(grid, shape, box)  # type: ignore[arg-type,operator]
