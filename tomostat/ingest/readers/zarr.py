"""zarr v2 and v3, OME-Zarr 0.4 and 0.5."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from tomostat.blocks import Box, grid_shape
from tomostat.ingest.axes import long_axes, place_axes
from tomostat.ingest.folders import check_inside
from tomostat.ingest.holes import check_holes
from tomostat.ingest.options import IngestOptions
from tomostat.ingest.source import NAME_IT, ArraySource, Reader, Source
from tomostat.ingest.spacing import attribute_spacing, axes_spacing

NOT_COPIED = ("spacing", "source", "range", "blank_slices", "warnings", "not_a_number", "grey_scale", "grey_shift")
"""Attributes of a tomostat volume that describe this volume alone; a copy gets its own."""

MOST_CHUNKS = 2**22
"""Chunks of an array, above which it is taken for damaged."""

METADATA_FILES = ("zarr.json", ".zgroup", ".zarray")
"""Files of which every zarr folder holds one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ZarrSource(ArraySource):
    """An array in a zarr store."""

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box; zarr decodes only the chunks that it overlaps."""
        return self.axes.select(zarr.open(str(self.path), path=self.dataset, mode="r"), box)


def find_zarr(path: Path, options: IngestOptions) -> Source:
    """Find an array of a zarr store: the one that the options name, OME-Zarr at full resolution, or the only 3D one.

    Raises
    ------
    ValueError
        When the store is damaged, lacks the array that the options name, or holds no 3D array or several.
    """
    wanted = options.dataset or ""
    if wanted and not is_zarr_folder(path / wanted) and is_zarr_folder(path / "labels" / wanted):
        wanted = f"labels/{wanted}"
    try:
        node: Any = zarr.open(str(path), mode="r", path=wanted)
    except (OSError, ValueError, KeyError, TypeError) as error:
        where = f"{path} has no dataset {options.dataset!r}" if options.dataset else f"{path} is no zarr store"
        raise ValueError(f"{where}, or it is damaged: {error or type(error).__name__}") from None
    image = _find_image(path, node) if isinstance(node, zarr.Group) else _Image(node)
    array = image.array
    name = str(array.path)
    axes = place_axes(f"{path}/{name}", array.shape, image.names or _dimension_names(array), options)
    spacing = None if image.scale is None else axes_spacing(axes.pick(image.scale), axes.pick(image.units))
    source = ZarrSource(
        path=path, kind=image.kind or f"zarr v{array.metadata.zarr_format}", dataset=name, shape=axes.shape,
        dtype=np.dtype(array.dtype), chunk=axes.pick(array.chunks, 1), axes=axes,
        spacing=spacing or attribute_spacing(dict(array.attrs), axes), attributes=image.attributes,
    )  # fmt: skip
    chunk = array.shards or array.chunks
    check_holes(source, _stored(path, array, chunk, options), chunk, array.fill_value, options)
    return source


def _stored(path: Path, array: Any, chunk: Sequence[int], options: IngestOptions) -> NDArray[np.bool_]:
    """Whether every file of an array is there, on the grid of chunks (or shards)."""
    folder = path / array.path
    grid = grid_shape(array.shape, chunk)
    if math.prod(grid) > MOST_CHUNKS:
        raise ValueError(f"{path}/{array.path} has {math.prod(grid)} chunks; expected no more than {MOST_CHUNKS}")
    files = set()
    for root, folders, names in os.walk(folder):
        for name in (*folders, *names):
            found = Path(root, name)
            if found.is_symlink():
                check_inside(path / name, str(found.resolve()), options)
            files.add(found.relative_to(folder).as_posix())
    check_inside(path / "zarr", str(folder.resolve()), options)
    encode = array.metadata.encode_chunk_key
    stored = [encode(index) in files or (folder / encode(index)).is_file() for index in np.ndindex(*grid)]
    return np.array(stored, bool).reshape(grid)


def _dimension_names(array: Any) -> Sequence[Any] | None:
    """Names of the axes as zarr v3 or xarray store them."""
    return getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")


@dataclass(frozen=True)
class _Image:
    """An array in a zarr store, with metadata from the groups around it."""

    array: Any
    names: Sequence[str] | None = None
    scale: Sequence[float] | None = None
    units: Sequence[Any] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    kind: str | None = None


def _find_image(path: Path, group: zarr.Group) -> _Image:
    """The image in a group: OME-Zarr at full resolution, else the only 3D array."""
    if "multiscales" not in _ome(group) and "bioformats2raw.layout" in _ome(group):
        group = group["0"]  # type: ignore[assignment]
    ome = _ome(group)
    if "multiscales" not in ome:
        arrays = [array for _, array in group.members(max_depth=None) if isinstance(array, zarr.Array)]
        volumes = [array for array in arrays if long_axes(array.shape) >= 3]
        if len(volumes) != 1:
            listed = ", ".join(f"{a.path} ({' x '.join(map(str, a.shape))})" for a in volumes) or "no 3D array"
            raise ValueError(f"{path} holds {listed}; expected exactly one, name yours: {NAME_IT}")
        return _Image(volumes[0])
    scales = ome["multiscales"][0]
    array: Any = group[scales["datasets"][0]["path"]]
    known: Any = group.attrs.get("tomostat", {})
    version = ome.get("version") or scales.get("version", "")
    attributes = {key: value for key, value in known.items() if key not in NOT_COPIED}
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in scales.get("axes", [])]
    return _Image(
        array=array, names=[axis["name"] for axis in axes], scale=_scale(scales, array.ndim) if axes else None,
        units=[axis.get("unit") for axis in axes], attributes=attributes, kind=f"OME-Zarr {version}".strip(),
    )  # fmt: skip


def _ome(group: zarr.Group) -> dict[str, Any]:
    """OME-Zarr metadata: in the attribute ``ome`` since version 0.5, among the attributes of the group before."""
    return dict(group.attrs.get("ome", dict(group.attrs)))  # type: ignore[arg-type]


def _scale(scales: Mapping[str, Any], ndim: int) -> list[float]:
    """Scale of every axis of an OME-Zarr image at full resolution."""
    scale = np.ones(ndim)
    transforms = scales["datasets"][0].get("coordinateTransformations", [])
    for transform in [*transforms, *scales.get("coordinateTransformations", [])]:
        if transform.get("type") == "scale":
            scale = scale * transform["scale"]
    return scale.tolist()


def is_zarr_folder(path: Path) -> bool:
    """Whether a folder holds zarr metadata."""
    return any((path / name).exists() for name in METADATA_FILES)


def labels_beside(path: Path) -> list[str]:
    """Names of the label images that an OME-Zarr store holds beside its grey image."""
    return sorted(found.name for found in path.glob("labels/*") if is_zarr_folder(found))


class ZarrReader(Reader):
    """zarr and OME-Zarr folders."""

    formats = "zarr and OME-Zarr"

    def recognizes(self, path: Path, first_bytes: bytes) -> bool:
        """By the metadata file in the folder."""
        return is_zarr_folder(path)

    def find(self, path: Path, options: IngestOptions) -> Source:
        """See `find_zarr`."""
        return find_zarr(path, options)


READER = ZarrReader()
