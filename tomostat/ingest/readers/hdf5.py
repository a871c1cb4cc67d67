"""HDF5 and NeXus files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Box
from tomostat.ingest.options import IngestOptions
from tomostat.ingest.source import ArraySource, Reader, Source, count_long_axes, lengths_zyx, volume_axes
from tomostat.ingest.spacing import attribute_spacing, axes_spacing
from tomostat.volume import Spacing


@dataclass(frozen=True, kw_only=True, eq=False)
class HDF5Source(ArraySource):
    """A dataset in an HDF5 or NeXus file."""

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box; HDF5 decodes the chunks that it touches."""
        with h5py.File(self.path, "r") as file:
            return self.select(file[self.dataset], box)


def find_hdf5(path: Path, options: IngestOptions) -> Source:
    """Find a dataset of an HDF5 or NeXus file: the one that the options name, the NeXus default, or the only 3D one.

    Raises
    ------
    ValueError
        When the file is damaged, lacks the dataset that the options name, or holds no 3D dataset or several.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        reason = " ".join(str(error).split())  # HDF5 reports some errors in several lines
        raise ValueError(f"{path} is no HDF5 file, or truncated: {reason}") from None
    with file:
        found = _choose_dataset(path, file, options.dataset)
        name = str(found.name)
        axes = volume_axes(f"{path}:{name}", found.shape)
        chunks = found.chunks or (1,) * found.ndim
        return HDF5Source(
            path=path, kind="HDF5", dataset=name, shape=lengths_zyx(found.shape, axes), dtype=found.dtype,
            chunk=lengths_zyx(chunks, axes), axes=axes, spacing=_spacing(found, axes),
        )  # fmt: skip


def _choose_dataset(path: Path, file: h5py.File, name: str | None) -> h5py.Dataset:
    """The dataset called `name`; without a name, the NeXus default or the only 3D dataset."""
    candidates: list[h5py.Dataset] = []

    def collect(_: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and count_long_axes(node.shape) == 3 and node.dtype.kind in "iufbc":
            candidates.append(node)

    file.visititems(collect)  # visits data with several links once
    listed = ", ".join(f"{d.name} ({' x '.join(map(str, d.shape))})" for d in candidates) or "no 3D dataset"
    if name is not None:
        node = _nexus_signal(file[name]) if name in file else None
        if node is None:
            raise ValueError(f"{path} has no dataset {name!r}; it holds {listed}")
        return node
    node = _nexus_signal(file)
    if node is not None and count_long_axes(node.shape) in (2, 3):
        return node
    if len(candidates) != 1:
        raise ValueError(f"{path} holds {listed}; expected exactly one, name yours with dataset=PATH")
    return candidates[0]


def _nexus_signal(node: Any) -> h5py.Dataset | None:
    """Follow the NeXus attributes ``default`` and ``signal`` from a file, entry or data group to its dataset."""
    for _ in range(10):
        if isinstance(node, h5py.Dataset):
            return node
        target = node.attrs.get("signal", node.attrs.get("default"))
        target = target.decode() if isinstance(target, bytes) else target
        if not isinstance(target, str) or target not in node:
            return None
        node = node[target]
    return None


def _spacing(dataset: h5py.Dataset, axes: tuple[int, ...]) -> Spacing | None:
    """Voxel size from the attributes of the dataset, or from the axes of its NeXus group."""
    attributes = {key: value.tolist() if hasattr(value, "tolist") else value for key, value in dataset.attrs.items()}
    found = attribute_spacing(attributes, len(axes))
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
        distances = np.diff(scale[:].astype(np.float64))
        if not np.allclose(distances, distances.mean(), rtol=1e-3):
            return None
        steps.append(abs(float(distances.mean())))
        units.append(scale.attrs.get("units"))
    return axes_spacing(steps, units)


class HDF5Reader(Reader):
    """HDF5 and NeXus files."""

    formats = "HDF5 and NeXus"

    def recognizes(self, path: Path, first_bytes: bytes) -> bool:
        """By the first bytes."""
        return first_bytes.startswith(b"\x89HDF\r\n\x1a\n")

    def find(self, path: Path, options: IngestOptions) -> Source:
        """See `find_hdf5`."""
        return find_hdf5(path, options)


READER = HDF5Reader()
