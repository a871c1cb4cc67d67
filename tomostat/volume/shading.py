"""The slow additive shading of a volume: a coarse grid beside it, and grey values without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Box, Shape
from tomostat.volume.kernels.grid import spread_grid
from tomostat.volume.metadata import describe, open_group
from tomostat.volume.store import open_volume, read_box


def write_shading(path: str | Path, grid: NDArray[np.float32] | None) -> None:
    """Store the coarse additive shading field, (gz, gy, gx) grey values spread evenly from first to last voxel.

    None removes the one that is there.
    """
    root = open_group(path, None, "r+")
    if grid is not None:
        root.create_array("shading", data=np.ascontiguousarray(grid, dtype=np.float32), overwrite=True)
    elif "shading" in root:
        del root["shading"]


def read_shading(path: str | Path) -> NDArray[np.float32] | None:
    """The shading field as stored by `write_shading`, or None."""
    root = open_group(path, None)
    return np.asarray(root["shading"][:], np.float32) if "shading" in root else None  # type: ignore[index]


def read_flat(path: str | Path, box: Box) -> NDArray[np.float32]:
    """Grey values of a box less the shading field, float32."""
    grey = read_box(path, box).astype(np.float32)
    grid = read_shading(path)
    return grey if grid is None else grey - spread_grid(grid, describe(path).shape, box)


def open_flat(path: str | Path) -> da.Array:
    """Grey values less the shading field, lazy float32 array (z, y, x); blocks are the store's shards."""
    info = describe(path)
    grey = open_volume(path).data.astype(np.float32)
    grid = read_shading(path)
    return grey if grid is None else grey.map_blocks(_flatten, grid, info.shape, dtype=np.float32)


def _flatten(
    block: NDArray[np.float32], grid: NDArray[np.float32], shape: Shape, block_info: Any = None
) -> NDArray[np.float32]:
    place = block_info[0]["array-location"]
    box = tuple(slice(a, b) for a, b in place)
    return block - spread_grid(grid, shape, box)  # type: ignore[arg-type,operator]
