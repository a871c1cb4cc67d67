"""Arrays on disk: raw, npy, HDF5 / NeXus, zarr v2 and v3, OME-Zarr 0.4 and 0.5."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr
from numpy.typing import NDArray

from tomostat.blocks import Box
from tomostat.ingest import spacing as sizes
from tomostat.ingest.source import ArraySource, Source, three, volume_axes
from tomostat.options import IngestOptions
from tomostat.volume import Spacing

logger = logging.getLogger(__name__)

OWN = ("spacing", "source", "range")
"""What a tomostat volume notes that does not pass on to its copy."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RawSource(ArraySource):
    """A file that holds nothing but voxels."""

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box through a memory map."""
        return self.pick(np.memmap(self.path, self.dtype, "r", shape=self.shape), box).copy()


@dataclass(frozen=True, kw_only=True, eq=False)
class NpySource(ArraySource):
    """A numpy file."""

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box through a memory map."""
        return self.pick(np.load(self.path, mmap_mode="r", allow_pickle=False), box).copy()


@dataclass(frozen=True, kw_only=True, eq=False)
class HDF5Source(ArraySource):
    """A dataset in an HDF5 or NeXus file."""

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box; HDF5 decodes the chunks that it touches."""
        with h5py.File(self.path, "r") as file:
            return self.pick(file[self.dataset], box)


@dataclass(frozen=True, kw_only=True, eq=False)
class ZarrSource(ArraySource):
    """An array in a zarr store."""

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box; zarr decodes the chunks that it touches."""
        return self.pick(zarr.open(str(self.path), path=self.dataset, mode="r"), box)


def find_raw(path: Path, options: IngestOptions) -> Source:
    """A raw file of known shape and type.

    Raises
    ------
    ValueError
        When shape or type are missing or do not fit the size of the file.
    """
    if options.shape is None or options.dtype is None:
        raise ValueError(
            f"{path} is neither TIFF, HDF5, npy nor zarr; if it is raw binary, give its shape (z y x) and dtype"
        )
    try:
        dtype = np.dtype(options.dtype)
    except TypeError:
        expected = "a voxel type such as uint8, '<u2' or '>f4'"
        raise ValueError(f"{path}: dtype is {options.dtype!r}; expected {expected}") from None
    need, have = math.prod(options.shape) * dtype.itemsize, path.stat().st_size
    if need != have:
        told = " x ".join(map(str, options.shape))
        raise ValueError(f"{path} has {have} bytes; shape {told} of {dtype.name} needs {need}; check shape and dtype")
    axes = volume_axes(str(path), options.shape)
    return RawSource(path=path, kind="raw", shape=options.shape, dtype=dtype, axes=axes, ndim=3)


def find_npy(path: Path) -> Source:
    """A numpy file.

    Raises
    ------
    ValueError
        When it is damaged or no volume.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} is no npy file, or truncated: {error}; save it again with numpy.save") from None
    axes = volume_axes(str(path), array.shape)
    return NpySource(
        path=path, kind="npy", shape=three(array.shape, axes), dtype=array.dtype, axes=axes, ndim=array.ndim
    )


def find_hdf5(path: Path, options: IngestOptions) -> Source:
    """A dataset of an HDF5 or NeXus file: the one asked for, the default of NeXus, or the only 3D one.

    Raises
    ------
    ValueError
        When the file is damaged, or the dataset is not there or cannot be told from others.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path} is no HDF5 file, or truncated: {error}") from None
    with file:
        found = _hdf5_dataset(path, file, options.dataset)
        name = str(found.name)
        axes = volume_axes(f"{path}:{name}", found.shape)
        chunks = found.chunks or (1,) * found.ndim
        return HDF5Source(
            path=path, kind="HDF5", dataset=name, shape=three(found.shape, axes), dtype=found.dtype,
            unit=three(chunks, axes), axes=axes, ndim=found.ndim, spacing=_hdf5_spacing(found, axes),
        )  # fmt: skip


def _hdf5_dataset(path: Path, file: h5py.File, name: str | None) -> h5py.Dataset:
    candidates: list[h5py.Dataset] = []

    def collect(_: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and _axes_over_one(node.shape) == 3 and node.dtype.kind in "iufbc":
            candidates.append(node)

    file.visititems(collect)  # visits linked data once
    listed = ", ".join(f"{d.name} ({' x '.join(map(str, d.shape))})" for d in candidates) or "no 3D dataset"
    if name is not None:
        node = _nexus_signal(file[name]) if name in file else None
        if node is None:
            raise ValueError(f"{path} has no dataset {name!r}; it holds {listed}")
        return node
    node = _nexus_signal(file)
    if node is not None and _axes_over_one(node.shape) in (2, 3):
        return node
    if len(candidates) != 1:
        raise ValueError(f"{path} holds {listed}; expected exactly one, name yours with dataset=PATH")
    return candidates[0]


def _axes_over_one(shape: tuple[int, ...] | None) -> int:
    return sum(n > 1 for n in shape or ())


def _nexus_signal(node: Any) -> h5py.Dataset | None:
    """Follow NeXus' chain of defaults from a file, entry or data group to its dataset."""
    for _ in range(10):
        if isinstance(node, h5py.Dataset):
            return node
        following = node.attrs.get("signal", node.attrs.get("default"))
        following = following.decode() if isinstance(following, bytes) else following
        if not isinstance(following, str) or following not in node:
            return None
        node = node[following]
    return None


def _hdf5_spacing(dataset: h5py.Dataset, axes: tuple[int, ...]) -> Spacing | None:
    """Voxel size from the dataset's attributes, or from the axes of its NeXus group."""
    attributes = {key: value.tolist() if hasattr(value, "tolist") else value for key, value in dataset.attrs.items()}
    found = sizes.from_attributes(attributes, len(axes))
    if found is not None:
        return found
    group = dataset.parent
    listed = np.atleast_1d(group.attrs.get("axes", []))
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in listed]
    if len(names) != dataset.ndim:
        return None
    steps, units = [], []
    for axis in axes:
        scale = group.get(names[axis])
        if not isinstance(scale, h5py.Dataset) or scale.ndim != 1 or scale.size < 2:
            return None
        gaps = np.diff(scale[:].astype(np.float64))
        if not np.allclose(gaps, gaps.mean(), rtol=1e-3):
            return None
        steps.append(abs(float(gaps.mean())))
        units.append(scale.attrs.get("units"))
    return sizes.from_axes(steps, units)


def find_zarr(path: Path, options: IngestOptions) -> Source:
    """An array of a zarr store: full resolution of OME-Zarr, the one asked for, or the only 3D one.

    Raises
    ------
    ValueError
        When the store is damaged, or the array is not there or cannot be told from others.
    """
    try:
        node: Any = zarr.open(str(path), mode="r", path=options.dataset or "")
    except (OSError, ValueError, KeyError, TypeError) as error:
        where = f"{path} has no dataset {options.dataset!r}" if options.dataset else f"{path} is no zarr store"
        raise ValueError(f"{where}, or it is damaged: {error or type(error).__name__}") from None
    image = _zarr_image(path, node) if isinstance(node, zarr.Group) else _Image(node)
    array = image.array
    name = str(array.path)
    axes = volume_axes(f"{path}/{name}", array.shape, image.axes)
    return ZarrSource(
        path=path, kind=image.kind or f"zarr v{array.metadata.zarr_format}", dataset=name,
        shape=three(array.shape, axes), dtype=np.dtype(array.dtype), unit=three(array.chunks, axes), axes=axes,
        ndim=array.ndim, spacing=image.spacing or sizes.from_attributes(dict(array.attrs), len(axes)),
        attributes=image.attributes,
    )  # fmt: skip


@dataclass(frozen=True)
class _Image:
    """An array in a zarr store, and what the groups around it tell."""

    array: Any
    spacing: Spacing | None = None
    axes: tuple[int, ...] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    kind: str | None = None


def _zarr_image(path: Path, group: zarr.Group) -> _Image:
    """The image in a group: full resolution of an OME-Zarr multiscale, else the only 3D array."""
    if "multiscales" not in _ome(group) and "bioformats2raw.layout" in _ome(group):
        group = group["0"]  # type: ignore[assignment]
    ome = _ome(group)
    if "multiscales" not in ome:
        arrays = [array for _, array in group.members(max_depth=None) if isinstance(array, zarr.Array)]
        volumes = [array for array in arrays if _axes_over_one(array.shape) == 3]
        if len(volumes) != 1:
            listed = ", ".join(f"{a.path} ({' x '.join(map(str, a.shape))})" for a in volumes) or "no 3D array"
            raise ValueError(f"{path} holds {listed}; expected exactly one, name yours with dataset=PATH")
        return _Image(volumes[0])
    scales = ome["multiscales"][0]
    array: Any = group[scales["datasets"][0]["path"]]
    spacing, axes = _ome_axes(scales, array.ndim)
    own: Any = group.attrs.get("tomostat", {})
    version = ome.get("version") or scales.get("version", "")
    attributes = {key: value for key, value in own.items() if key not in OWN}
    return _Image(array, spacing, axes, attributes, f"OME-Zarr {version}".strip())


def _ome(group: zarr.Group) -> dict[str, Any]:
    """OME metadata: under ``ome`` since version 0.5, at the root before."""
    return dict(group.attrs.get("ome", dict(group.attrs)))  # type: ignore[arg-type]


def _ome_axes(scales: dict[str, Any], ndim: int) -> tuple[Spacing | None, tuple[int, ...] | None]:
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
    spacing = sizes.from_axes([scale[i] for i in space], [axes[i].get("unit") for i in space])
    others = tuple(i for i in range(ndim) if i not in space)
    return spacing, others + space
