"""Volumes on disk: OME-Zarr 0.5, sharded, halved in all three axes, with label images beside the grey values.

A store holds the grey image at its root, label images under ``labels/`` and maps of measured values under ``maps/``.
All are multiscale groups whose arrays are named ``0``, ``1``, ... . What tomostat knows beyond OME-Zarr (density scale,
fitted grey levels) lies in the group's attribute ``tomostat``.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr
import zarr
import zarr.codecs
from dask.delayed import Delayed
from numpy.typing import DTypeLike, NDArray

from tomostat.blocks import Box, Shape, block_grid, check_whole_shards

Spacing = tuple[float, float, float]

DTYPES = ("uint8", "uint16", "float32", "uint32")
CHUNK: Shape = (32, 64, 64)
SHARD: Shape = (64, 256, 256)
SMALLEST_LEVEL = 64
CODEC = zarr.codecs.BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")
"""Chosen by `benchmarks/bench_storage.py`."""


class Phase(IntEnum):
    """Codes of the label image ``phases``."""

    PORE = 0
    CBD = 1
    ACTIVE = 2
    COLLECTOR = 3
    OUTSIDE = 4


@dataclass(frozen=True)
class VolumeInfo:
    """What a volume's metadata tell, without reading a voxel.

    Attributes
    ----------
    path, label
        The store, and the name of the label image in it (None for the grey image).
    shape, dtype, spacing
        Voxels, voxel type, and voxel size (z, y, x) in micrometers.
    chunks, shards
        Storage and write units in voxels.
    levels
        Shapes of all resolution levels.
    attributes
        What tomostat noted with the image.
    """

    path: Path
    label: str | None
    shape: Shape
    dtype: np.dtype[Any]
    spacing: Spacing
    chunks: Shape
    shards: Shape
    levels: tuple[Shape, ...]
    attributes: dict[str, Any]


def check_spacing(spacing: Sequence[float]) -> Spacing:
    """Spacing as three floats.

    Raises
    ------
    ValueError
        When it is not three positive finite numbers.
    """
    values = tuple(float(value) for value in spacing)
    if len(values) != 3 or not all(0 < value < np.inf for value in values):
        raise ValueError(f"spacing is {spacing!r}; expected three positive numbers z y x in micrometers")
    return values


def storage_layout(shape: Sequence[int]) -> tuple[Shape, Shape]:
    """Chunk and shard shape for a volume: whole slices and boxes both touch few chunks, few files in all."""
    chunk, shard = [], []
    for n, c, s in zip(shape, CHUNK, SHARD, strict=True):
        rounded = 1 << (int(n) - 1).bit_length()  # a thin axis gets a chunk of its own size
        chunk.append(min(c, rounded))
        shard.append(min(s, rounded))
    return tuple(chunk), tuple(shard)  # type: ignore[return-value]


def level_shapes(shape: Sequence[int]) -> list[Shape]:
    """Shapes of the resolution levels: every axis is halved until all are small."""
    shapes = [tuple(int(n) for n in shape)]
    while max(shapes[-1]) > SMALLEST_LEVEL:
        shapes.append(tuple(max(n // 2, 1) for n in shapes[-1]))
    return shapes  # type: ignore[return-value]


def _prefix(label: str | None) -> str:
    if label is None:
        return ""
    return f"{label}/" if is_map(label) else f"labels/{label}/"


def is_map(label: str | None) -> bool:
    """Whether an image is a map: float32 values in some voxels, NaN in all others, named ``maps/NAME``."""
    return label is not None and label.startswith("maps/")


def _open(path: str | Path, component: str, mode: Any = "r") -> zarr.Array[Any]:
    found = zarr.open(str(path), path=component, mode=mode)
    if not isinstance(found, zarr.Array):
        raise ValueError(f"{path}/{component} is a group; expected an array")
    return found


def _group(path: str | Path, label: str | None, mode: Any = "r") -> zarr.Group:
    """The multiscale group, or one clear error."""
    if not Path(path).exists():
        raise FileNotFoundError(f"no volume at {path}")
    name = _prefix(label).rstrip("/")
    try:
        group = zarr.open_group(str(path), path=name, mode=mode)
    except (FileNotFoundError, KeyError, ValueError) as error:
        what = "an OME-Zarr volume" if label is None else f"a volume with labels {label!r}"
        raise ValueError(f"{path} is not {what}: {error or type(error).__name__}") from None
    if "ome" not in group.attrs:
        raise ValueError(f"{path}/{name} carries no OME-Zarr 0.5 metadata; bring it in with `tomostat ingest`")
    return group


def create_volume(
    path: str | Path,
    *,
    shape: Sequence[int],
    dtype: DTypeLike,
    spacing: Sequence[float],
    label: str | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Create an empty multiscale image with its metadata; what stood under the same name is replaced.

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
        Noted in the group's ``tomostat`` attribute.

    Raises
    ------
    ValueError
        When shape, dtype or spacing are off, or something that is no volume stands in the place.
    """
    spacing = check_spacing(spacing)
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"shape is {tuple(shape)}; expected three positive integers z y x")
    if np.dtype(dtype).name not in DTYPES:
        raise ValueError(f"dtype is {np.dtype(dtype).name}; expected one of {', '.join(DTYPES)}")
    target = Path(path) / _prefix(label)
    if label is None and target.exists() and not is_volume(target):
        raise ValueError(f"{path} exists and is no volume; it is not replaced, choose another place")
    if target.exists():
        shutil.rmtree(target)
    root = zarr.open_group(str(path), mode="a", zarr_format=3)
    group = root.require_group(_prefix(label).rstrip("/")) if label else root
    shapes = level_shapes(shape)
    for level, level_shape in enumerate(shapes):
        chunks, shards = storage_layout(level_shape)
        group.create_array(
            str(level), shape=level_shape, dtype=dtype, chunks=chunks, shards=shards, compressors=CODEC,
            fill_value=math.nan if is_map(label) else 0, dimension_names=("z", "y", "x"),
        )  # fmt: skip
    group.attrs["ome"] = _ome_metadata(shapes, spacing, label)
    group.attrs["tomostat"] = {"spacing": list(spacing), **(attributes or {})}
    if label and not is_map(label):
        _list_labels(root)


def remove_map(path: str | Path, label: str) -> None:
    """Remove a map, where there is one."""
    if is_map(label):
        shutil.rmtree(Path(path) / _prefix(label), ignore_errors=True)


def _ome_metadata(shapes: Sequence[Shape], spacing: Spacing, label: str | None) -> dict[str, Any]:
    """The group's OME-Zarr 0.5 metadata."""
    datasets = []
    factors = [1, 1, 1]
    for level in range(len(shapes)):
        if level > 0:  # an axis of one voxel is not halved any more
            factors = [f * 2 if n > 1 else f for f, n in zip(factors, shapes[level - 1], strict=True)]
        scale = [s * f for s, f in zip(spacing, factors, strict=True)]
        shift = [s * (f - 1) / 2 for s, f in zip(spacing, factors, strict=True)]
        transforms = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]
        datasets.append({"path": str(level), "coordinateTransformations": transforms})
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    named = label is not None and not is_map(label)
    kind = "nearest" if named else "mean"
    multiscale = {"name": (label or "grey").removeprefix("maps/"), "axes": axes, "datasets": datasets, "type": kind}
    metadata: dict[str, Any] = {"version": "0.5", "multiscales": [multiscale]}
    if named:
        metadata["image-label"] = {"source": {"image": "../../"}}
    return metadata


def _list_labels(root: zarr.Group) -> None:
    """Name all label images in the group ``labels``, as OME-Zarr asks."""
    labels = root["labels"]
    labels.attrs["ome"] = {"version": "0.5", "labels": sorted(name for name, _ in labels.groups())}  # type: ignore[union-attr]


def describe(path: str | Path, label: str | None = None) -> VolumeInfo:
    """Read a volume's metadata.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such volume or label image.
    """
    group = _group(path, label)
    ome: Any = group.attrs["ome"]
    names = [dataset["path"] for dataset in ome["multiscales"][0]["datasets"]]
    arrays = [_open(path, _prefix(label) + name) for name in names]
    first = arrays[0]
    transforms = ome["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    attributes: Any = group.attrs.get("tomostat", {})
    return VolumeInfo(
        path=Path(path),
        label=label,
        shape=first.shape,  # type: ignore[arg-type]
        dtype=first.dtype,
        spacing=check_spacing(transforms[0]["scale"]),
        chunks=first.chunks,  # type: ignore[arg-type]
        shards=first.shards or first.chunks,  # type: ignore[arg-type]
        levels=tuple(array.shape for array in arrays),  # type: ignore[misc]
        attributes=dict(attributes),
    )


def is_volume(path: str | Path) -> bool:
    """Whether a zarr group lies there: what `create_volume` may replace."""
    return (Path(path) / "zarr.json").is_file()


def label_names(path: str | Path) -> list[str]:
    """Names of the label images in a store."""
    group = _group(path, None)
    return sorted(name for name, _ in group["labels"].groups()) if "labels" in group else []  # type: ignore[union-attr]


def map_names(path: str | Path) -> list[str]:
    """Names of the maps in a store, as ``maps/NAME``."""
    return sorted(f"maps/{found.name}" for found in Path(path).glob("maps/*") if is_volume(found))


def update_attributes(path: str | Path, values: Mapping[str, Any], label: str | None = None) -> None:
    """Add to what tomostat notes with an image."""
    group = _group(path, label, "r+")
    known: Any = group.attrs.get("tomostat", {})
    group.attrs["tomostat"] = {**known, **values}


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
    array = _open(path, f"{_prefix(label)}{level}")
    data = da.from_array(array, chunks=array.shards or array.chunks, name=False, inline_array=True)
    ome: Any = _group(path, label).attrs["ome"]
    scale, shift = ome["multiscales"][0]["datasets"][level]["coordinateTransformations"]
    coords = {
        axis: (axis, t + s * np.arange(n), {"units": "micrometer", "long_name": f"{axis} position"})
        for axis, n, s, t in zip("zyx", array.shape, scale["scale"], shift["translation"], strict=True)
    }
    attrs = {**info.attributes, "spacing": tuple(scale["scale"])}
    return xr.DataArray(data, dims=("z", "y", "x"), coords=coords, name=label or "grey", attrs=attrs)


def read_box(path: str | Path, box: Box, label: str | None = None, level: int = 0) -> NDArray[Any]:
    """Read a box of voxels."""
    return np.asarray(_open(path, f"{_prefix(label)}{level}")[box])


def write_box(
    path: str | Path, start: Sequence[int], array: NDArray[Any], label: str | None = None, level: int = 0
) -> None:
    """Write a box of voxels at `start`; the caller owns the shards that it touches."""
    box = tuple(slice(a, a + n) for a, n in zip(start, array.shape, strict=True))
    _open(path, f"{_prefix(label)}{level}", "r+")[box] = array


def store_tasks(array: da.Array, path: str | Path, label: str | None = None) -> dict[str, Delayed]:
    """Tasks that write a lazy array into an existing image, one per block.

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
    """The blocks of a lazy array by index, each with its own few tasks and nothing of the other blocks' graphs.

    `dask.array.Array.to_delayed` gives every block the graph of all, which is walked again for each block computed.
    """
    keys = list(dask.core.flatten(array.__dask_keys__()))
    graph = dict(da.optimization.optimize(array.__dask_graph__(), keys))
    needs = {key: dask.core.get_dependencies(graph, task=task) for key, task in graph.items()}
    parts = {}
    for key in keys:
        own, waiting = {}, [key]
        while waiting:
            name = waiting.pop()
            if name not in own:
                own[name] = graph[name]
                waiting.extend(needs[name])
        parts[key[1:]] = Delayed(key, own)
    return parts


def pyramid_tasks(path: str | Path, label: str | None = None) -> list[dict[str, Delayed]]:
    """Tasks that fill the lower resolution levels: one dict per level, to be executed in this order."""
    info = describe(path, label)
    halve = dask.delayed(_halve_box, pure=False)
    return [
        {block.key: halve(path, label, level, block.core) for block in block_grid(shape, storage_layout(shape)[1])}
        for level, shape in enumerate(info.levels)
        if level > 0
    ]


def _halve_box(path: str | Path, label: str | None, level: int, core: Box) -> None:
    """Write one box of a level from the level above: eight times as many voxels, read a layer of chunks at a time."""
    above = _open(path, f"{_prefix(label)}{level - 1}")
    factors = [2 if n > 1 else 1 for n in above.shape]
    thick = max(above.chunks[0] // factors[0], 1)
    coarse = np.empty([s.stop - s.start for s in core], above.dtype)
    for first in range(0, len(coarse), thick):
        layer = coarse[first : first + thick]
        low = [core[0].start + first, core[1].start, core[2].start]
        box = tuple(slice(i * f, (i + n) * f) for i, n, f in zip(low, layer.shape, factors, strict=True))
        fine = np.asarray(above[box])
        layer[:] = halve_sparse(fine, layer.shape) if is_map(label) else halve(fine, layer.shape, mean=label is None)
    write_box(path, [s.start for s in core], coarse, label, level)


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


def write_shading(path: str | Path, grid: NDArray[np.float32] | None) -> None:
    """Store the coarse additive shading field, (gz, gy, gx) grey values spread evenly from first to last voxel.

    None removes the one that is there.
    """
    root = _group(path, None, "r+")
    if grid is not None:
        root.create_array("shading", data=np.ascontiguousarray(grid, dtype=np.float32), overwrite=True)
    elif "shading" in root:
        del root["shading"]


def read_shading(path: str | Path) -> NDArray[np.float32] | None:
    """The shading field as stored by `write_shading`, or None."""
    root = _group(path, None)
    return np.asarray(root["shading"][:], np.float32) if "shading" in root else None  # type: ignore[index]


def spread_grid(grid: NDArray[np.float32], shape: Sequence[int], box: Box) -> NDArray[np.float32]:
    """Trilinear values of a coarse grid over a box of a volume.

    Parameters
    ----------
    grid
        (gz, gy, gx) values at nodes spread evenly from the first to the last voxel of each axis.
    shape
        Voxels of the whole volume.
    box
        The box wanted. A voxel's value does not depend on the box it is asked for with.
    """
    values = grid
    for axis, (n, s) in enumerate(zip(shape, box, strict=True)):
        nodes = values.shape[axis]
        place = np.arange(s.start, s.stop) * ((nodes - 1) / max(n - 1, 1))
        low = np.minimum(place.astype(np.int64), max(nodes - 2, 0))
        weight = (place - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        high = np.minimum(low + 1, nodes - 1)
        values = values.take(low, axis) * (1 - weight) + values.take(high, axis) * weight
    return values.astype(np.float32, copy=False)


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
