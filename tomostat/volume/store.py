"""Creating volumes, reading and writing their voxels."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
import zarr.codecs
from numpy.typing import DTypeLike, NDArray

from tomostat.blocks import Box, Shape, grid_shape
from tomostat.volume.damage import read_part
from tomostat.volume.metadata import (
    check_spacing,
    image_prefix,
    is_map,
    is_volume,
    map_names,
    ome_metadata,
    open_array,
    open_group,
)

DTYPES = ("uint8", "uint16", "float32", "uint32")
CHUNK: Shape = (32, 64, 64)
SHARD: Shape = (64, 256, 256)
"""Voxels (z, y, x) of a chunk, which is read at once, and of a shard, which is written at once as one file."""

LARGE_SHARD: Shape = (64, 512, 512)
"""Voxels of a shard of volumes that would have more than `MOST_SHARDS` others: blocks of work are shards, and a cluster
is kept busy by fewer, longer tasks."""

MOST_SHARDS = 1024
"""Shards of the usual size that a volume has at most: 1600 voxels along every edge, about."""

SMALLEST_LEVEL = 64
"""Resolution levels are added until no axis is longer than this."""

CODEC = zarr.codecs.BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")
"""Compressor, chosen by `benchmarks/bench_storage.py`."""

CODECS = (CODEC, zarr.codecs.Crc32cCodec())
"""Codecs of a chunk: compressed, with a checksum that is compared whenever the chunk is read."""


def storage_layout(shape: Sequence[int]) -> tuple[Shape, Shape]:
    """Chunk and shard shape for a volume: slices and boxes both overlap few chunks, and there are few files in all."""
    chunk, shard = [], []
    usual = SHARD if math.prod(grid_shape(shape, SHARD)) <= MOST_SHARDS else LARGE_SHARD
    for n, c, s in zip(shape, CHUNK, usual, strict=True):
        rounded = 1 << (int(n) - 1).bit_length()  # a short axis gets chunks no longer than itself, up to a power of two
        chunk.append(min(c, rounded))
        shard.append(min(s, rounded))
    return tuple(chunk), tuple(shard)  # type: ignore[return-value]


def level_shapes(shape: Sequence[int]) -> list[Shape]:
    """Shapes of the resolution levels: every axis is halved until all are small."""
    shapes = [tuple(int(n) for n in shape)]
    while max(shapes[-1]) > SMALLEST_LEVEL:
        shapes.append(tuple(max(n // 2, 1) for n in shapes[-1]))
    return shapes  # type: ignore[return-value]


def create_volume(
    path: str | Path,
    *,
    shape: Sequence[int],
    dtype: DTypeLike,
    spacing: Sequence[float],
    label: str | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Create an empty multiscale image with its metadata; an existing image of the same name is replaced.

    Parameters
    ----------
    path
        The store, ``NAME.zarr``.
    shape
        Voxels (z, y, x).
    dtype
        uint8, uint16 or float32 for grey; uint8 or uint32 for labels.
    spacing
        Voxel size (z, y, x) in micrometers.
    label
        Name of a label image inside an existing store, or of a map as ``maps/NAME``; the grey image when not given.
    attributes
        Metadata beyond OME-Zarr, JSON-able, stored in the group's attribute ``tomostat``.

    Raises
    ------
    ValueError
        When shape, dtype or spacing are invalid, or `path` is something that is no volume.
    """
    spacing = check_spacing(spacing)
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"shape is {tuple(shape)}; expected three positive integers z y x")
    if np.dtype(dtype).name not in DTYPES:
        raise ValueError(f"dtype is {np.dtype(dtype).name}; expected one of {', '.join(DTYPES)}")
    target = Path(path) / image_prefix(label)
    if label is None and target.exists() and not is_volume(target):
        raise ValueError(f"{path} exists and is no volume; it is not replaced, choose another destination")
    if target.exists():
        shutil.rmtree(target)
    root = zarr.open_group(str(path), mode="a", zarr_format=3)
    group = root.require_group(image_prefix(label).rstrip("/")) if label else root
    shapes = level_shapes(shape)
    for level, level_shape in enumerate(shapes):
        chunks, shards = storage_layout(level_shape)
        group.create_array(
            str(level), shape=level_shape, dtype=dtype, chunks=chunks, shards=shards, compressors=CODECS,
            fill_value=math.nan if is_map(label) else 0, dimension_names=("z", "y", "x"),
        )  # fmt: skip
    group.attrs["ome"] = ome_metadata(shapes, spacing, label)
    group.attrs["tomostat"] = {"spacing": list(spacing), **(attributes or {})}
    if is_map(label):
        _list_maps(path)
    elif label:
        _list_labels(root)


def remove_map(path: str | Path, label: str) -> None:
    """Remove a map, where there is one."""
    if is_map(label) and (Path(path) / image_prefix(label)).exists():
        shutil.rmtree(Path(path) / image_prefix(label))
        _list_maps(path)


def _list_labels(root: zarr.Group) -> None:
    """List all label images in the group ``labels``, as OME-Zarr requires."""
    labels = root["labels"]
    labels.attrs["ome"] = {"version": "0.5", "labels": sorted(name for name, _ in labels.groups())}  # type: ignore[union-attr]


def _list_maps(path: str | Path) -> None:
    """List all maps after the grey image: OME-Zarr lets a group hold several images; viewers choose by name."""
    root = open_group(path, None, "r+")
    ome: Any = root.attrs["ome"]
    images = [ome["multiscales"][0]]
    for label in map_names(path):
        found: Any = open_group(path, label).attrs["ome"]
        (image,) = found["multiscales"]
        datasets = [{**dataset, "path": image_prefix(label) + dataset["path"]} for dataset in image["datasets"]]
        images.append({**image, "datasets": datasets})
    root.attrs["ome"] = {**ome, "multiscales": images}


def read_box(path: str | Path, box: Box, label: str | None = None, level: int = 0) -> NDArray[Any]:
    """Read a box (z, y, x) of voxels of a resolution level."""
    return read_part(open_array(path, f"{image_prefix(label)}{level}"), box)


def write_box(
    path: str | Path, start: Sequence[int], array: NDArray[Any], label: str | None = None, level: int = 0
) -> None:
    """Write a box of voxels whose first voxel is `start`; no other task may write to the shards that it overlaps."""
    box = tuple(slice(a, a + n) for a, n in zip(start, array.shape, strict=True))
    open_array(path, f"{image_prefix(label)}{level}", "r+")[box] = array
