"""zarr v2 and v3, OME-Zarr 0.4 and 0.5."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from tomostat.blocks import Box
from tomostat.ingest.options import IngestOptions
from tomostat.ingest.source import ArraySource, Reader, Source, count_long_axes, lengths_zyx, volume_axes
from tomostat.ingest.spacing import attribute_spacing, axes_spacing
from tomostat.volume import Spacing

NOT_COPIED = ("spacing", "source", "range")
"""Attributes of a tomostat volume that describe this volume alone; a copy gets its own."""

METADATA_FILES = ("zarr.json", ".zgroup", ".zarray")
"""Files of which every zarr folder holds one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ZarrSource(ArraySource):
    """An array in a zarr store."""

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box; zarr decodes only the chunks that it overlaps."""
        return self.select(zarr.open(str(self.path), path=self.dataset, mode="r"), box)


def find_zarr(path: Path, options: IngestOptions) -> Source:
    """Find an array of a zarr store: the one that the options name, OME-Zarr at full resolution, or the only 3D one.

    Raises
    ------
    ValueError
        When the store is damaged, lacks the array that the options name, or holds no 3D array or several.
    """
    try:
        node: Any = zarr.open(str(path), mode="r", path=options.dataset or "")
    except (OSError, ValueError, KeyError, TypeError) as error:
        where = f"{path} has no dataset {options.dataset!r}" if options.dataset else f"{path} is no zarr store"
        raise ValueError(f"{where}, or it is damaged: {error or type(error).__name__}") from None
    image = _find_image(path, node) if isinstance(node, zarr.Group) else _Image(node)
    array = image.array
    name = str(array.path)
    axes = volume_axes(f"{path}/{name}", array.shape, image.axes)
    return ZarrSource(
        path=path, kind=image.kind or f"zarr v{array.metadata.zarr_format}", dataset=name,
        shape=lengths_zyx(array.shape, axes), dtype=np.dtype(array.dtype), chunk=lengths_zyx(array.chunks, axes),
        axes=axes, spacing=image.spacing or attribute_spacing(dict(array.attrs), len(axes)),
        attributes=image.attributes,
    )  # fmt: skip


@dataclass(frozen=True)
class _Image:
    """An array in a zarr store, with metadata from the groups around it."""

    array: Any
    spacing: Spacing | None = None
    axes: tuple[int, ...] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    kind: str | None = None


def _find_image(path: Path, group: zarr.Group) -> _Image:
    """The image in a group: OME-Zarr at full resolution, else the only 3D array."""
    if "multiscales" not in _ome(group) and "bioformats2raw.layout" in _ome(group):
        group = group["0"]  # type: ignore[assignment]
    ome = _ome(group)
    if "multiscales" not in ome:
        arrays = [array for _, array in group.members(max_depth=None) if isinstance(array, zarr.Array)]
        volumes = [array for array in arrays if count_long_axes(array.shape) == 3]
        if len(volumes) != 1:
            listed = ", ".join(f"{a.path} ({' x '.join(map(str, a.shape))})" for a in volumes) or "no 3D array"
            raise ValueError(f"{path} holds {listed}; expected exactly one, name yours with dataset=PATH")
        return _Image(volumes[0])
    scales = ome["multiscales"][0]
    array: Any = group[scales["datasets"][0]["path"]]
    spacing, axes = _ome_axes(scales, array.ndim)
    known: Any = group.attrs.get("tomostat", {})
    version = ome.get("version") or scales.get("version", "")
    attributes = {key: value for key, value in known.items() if key not in NOT_COPIED}
    return _Image(array, spacing, axes, attributes, f"OME-Zarr {version}".strip())


def _ome(group: zarr.Group) -> dict[str, Any]:
    """OME-Zarr metadata: in the attribute ``ome`` since version 0.5, among the attributes of the group before."""
    return dict(group.attrs.get("ome", dict(group.attrs)))  # type: ignore[arg-type]


def _ome_axes(scales: Mapping[str, Any], ndim: int) -> tuple[Spacing | None, tuple[int, ...] | None]:
    """Spacing and axes (z, y, x) of an OME-Zarr image."""
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in scales.get("axes", [])]
    if len(axes) != ndim:
        return None, None
    space = tuple(i for i, axis in enumerate(axes) if str(axis["name"]).lower() in ("z", "y", "x"))
    scale = np.ones(ndim)
    transforms = scales["datasets"][0].get("coordinateTransformations", [])
    for transform in [*transforms, *scales.get("coordinateTransformations", [])]:
        if transform.get("type") == "scale":
            scale = scale * transform["scale"]
    spacing = axes_spacing([scale[i] for i in space], [axes[i].get("unit") for i in space])
    others = tuple(i for i in range(ndim) if i not in space)
    return spacing, others + space


def is_zarr_folder(path: Path) -> bool:
    """Whether a folder holds zarr metadata."""
    return any((path / name).exists() for name in METADATA_FILES)


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
