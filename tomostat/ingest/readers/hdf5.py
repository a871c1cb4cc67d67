"""HDF5 and NeXus files."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Box, grid_shape
from tomostat.ingest.axes import Axes, long_axes, place_axes
from tomostat.ingest.folders import TAKE_ANYWAY, check_inside
from tomostat.ingest.holes import check_holes
from tomostat.ingest.options import IngestOptions
from tomostat.ingest.source import NAME_IT, ArraySource, Reader, Source
from tomostat.ingest.spacing import attribute_spacing, axes_spacing
from tomostat.volume import Spacing

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MATLAB = b"MATLAB 7.3"
"""First bytes of the files of MATLAB that are HDF5 behind a header."""

PROJECTIONS = ("image_key", "rotation_angle", "theta", "data_white", "data_dark")
"""Names beside a dataset of projections: those of NXtomo, and of the Advanced Photon Source."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HDF5Source(ArraySource):
    """A dataset in an HDF5 or NeXus file."""

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box; HDF5 decodes the chunks that it touches."""
        with _opened(self.path) as file:
            found = file[self.dataset]
            _check_filters(self.path, found)
            return self.axes.select(found, box)


def find_hdf5(path: Path, options: IngestOptions) -> Source:
    """Find a dataset of an HDF5 or NeXus file: the one that the options name, the NeXus default, or the only 3D one.

    Raises
    ------
    ValueError
        When the file is damaged, lacks the dataset that the options name, holds no 3D dataset, several, or projections;
        when a part of it is missing, in another folder, or packed as this installation cannot read.
    """
    with _opened(path) as file:
        name = _choose_dataset(path, file, options)
        found = file[name]
        where = f"{path}:{name}"
        files = _linked_files(path, found, options)
        _check_filters(path, found)
        axes = place_axes(where, found.shape, _axis_names(found), options)
        source = HDF5Source(
            path=path, kind="HDF5", dataset=name, shape=axes.shape, dtype=found.dtype,
            chunk=axes.pick(found.chunks or (1,) * found.ndim, 1), axes=axes, spacing=_spacing(found, axes),
            files=files,
        )  # fmt: skip
        if found.chunks is not None:
            check_holes(source, _stored(found), found.chunks, found.fillvalue, options)
        elif found.id.get_storage_size() == 0 and not (found.is_virtual or found.external or options.incomplete):
            raise ValueError(f"{where} was never written, all its voxels are {found.fillvalue}; export it again")
        return source


def _stored(dataset: h5py.Dataset) -> NDArray[np.bool_]:
    """Whether every chunk of a dataset is stored, on the grid of chunks."""
    grid = grid_shape(dataset.shape, dataset.chunks)
    if dataset.id.get_num_chunks() >= math.prod(grid):
        return np.ones(grid, bool)
    stored = np.zeros(grid, bool)

    def note(chunk: Any) -> None:
        stored[tuple(offset // n for offset, n in zip(chunk.chunk_offset, dataset.chunks, strict=True))] = True

    dataset.id.chunk_iter(note)
    return stored


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file, open for reading."""
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        reason = " ".join(str(error).split())  # HDF5 reports some errors in several lines
        if "unable to lock file" in reason:
            raise ValueError(f"{path} is in use by another program that writes it; wait for it, or close it") from None
        raise ValueError(f"{path} is no HDF5 file, or truncated: {reason}") from None
    with file:
        yield file


def _choose_dataset(path: Path, file: h5py.File, options: IngestOptions) -> str:
    """The path of the dataset that the options name; without a name, of the NeXus default or the only 3D dataset."""
    broken: list[str] = []
    candidates = {name: node for name, node in _datasets(path, file, options, broken) if _is_volume(node)}
    listed = ", ".join(f"{name} ({' x '.join(map(str, d.shape))})" for name, d in sorted(candidates.items()))
    listed = ", ".join([listed or "no 3D dataset", *broken])
    wanted = options.dataset
    if wanted is not None:
        if file.get(wanted, getlink=True) is not None and file.get(wanted) is None:
            raise ValueError(f"{path}: {wanted} is a link to {_target(file, wanted)}, where there is nothing")
        name = _signal(file, wanted) if wanted in file else None
        if name is None:
            raise ValueError(f"{path} has no dataset {wanted!r}; it holds {listed}")
        return name
    default = _signal(file, "/")
    if default is not None and long_axes(file[default].shape) in (2, 3):
        candidates = {default: file[default]}
    if len(candidates) != 1:
        raise ValueError(f"{path} holds {listed}; expected exactly one, name yours: {NAME_IT}")
    (name,) = candidates
    if _is_scan(file, candidates[name]):
        raise ValueError(f"{path}: {name} holds projections of a scan, not slices; reconstruct it first, or name the "
                         "dataset of the reconstruction with dataset=PATH (--ingest.dataset)")  # fmt: skip
    return name


def _is_volume(node: h5py.Dataset) -> bool:
    """Whether a dataset may be a volume."""
    return node.dtype.kind in "iufbc" and long_axes(node.shape) >= 3


def _datasets(
    path: Path, file: h5py.File, options: IngestOptions, broken: list[str]
) -> Iterator[tuple[str, h5py.Dataset]]:
    """Datasets of a file and those that it links to, each once, with their paths; links to nothing go to `broken`."""
    seen: set[Any] = set()
    waiting: list[tuple[str, Any]] = [("", file)]
    while waiting:
        prefix, group = waiting.pop(0)
        for key in group:
            name, link = f"{prefix}/{key}", group.get(key, getlink=True)
            if isinstance(link, h5py.SoftLink):
                continue  # what it leads to is found under its own path
            if isinstance(link, h5py.ExternalLink):
                linked = check_inside(Path(group.file.filename), link.filename, options)
                if not linked.is_file() or group.get(key) is None:
                    broken.append(f"{name} is a link to {_target(group, key)}, where there is nothing")
                    continue
            node = group.get(key)
            identity = None if node is None else (node.file.filename, h5py.h5o.get_info(node.id).addr)
            if identity is None or identity in seen:
                continue
            seen.add(identity)
            if isinstance(node, h5py.Group):
                waiting.append((name, node))
            elif isinstance(node, h5py.Dataset):
                yield name, node


def _target(group: h5py.Group, name: str) -> str:
    """Where a link leads, for messages."""
    link = group.get(name, getlink=True)
    return f"{getattr(link, 'filename', '')}:{getattr(link, 'path', '?')}".lstrip(":")


def _signal(file: h5py.File, name: str) -> str | None:
    """Path of the dataset to which the NeXus attributes ``default`` and ``signal`` lead from a file, entry or group."""
    for _ in range(10):
        node = file[name]
        if isinstance(node, h5py.Dataset):
            return name
        target = node.attrs.get("signal", node.attrs.get("default"))
        target = target.decode() if isinstance(target, bytes) else target
        if not isinstance(target, str) or target not in node:
            return None
        name = target if target.startswith("/") else f"{name.rstrip('/')}/{target}"
    return None


def _is_scan(file: h5py.File, dataset: h5py.Dataset) -> bool:
    """Whether a dataset holds the projections of a scan: its images are numbered beside it, or in its NeXus entry."""

    def numbered(_: str, node: Any) -> bool | None:
        if not (isinstance(node, h5py.Group) and any(node.get(name) is not None for name in PROJECTIONS)):
            return None
        return True if any(node.get(key) == dataset for key in node) else None

    return bool(file.visititems(numbered))


def _linked_files(path: Path, dataset: h5py.Dataset, options: IngestOptions) -> tuple[Path, ...]:
    """Files that hold the voxels of a dataset: the one it is in, external ones, and the sources of a virtual one.

    Raises
    ------
    ValueError
        When one is missing or too short, or lies outside the folder.
    """
    home = Path(dataset.file.filename)
    first = path if home.resolve() == path.resolve() else check_inside(path, str(home.resolve()), options)
    files = {path: True, first: True}
    _add_parts(first, dataset, options, files)
    missing = [file for file, complete in files.items() if not complete]
    if missing and not options.incomplete:
        names = ", ".join(sorted({file.name for file in missing}))
        raise ValueError(f"{path}: {dataset.name} is put together from other files, of which {names} is missing or "
                         f"lacks its part; copy it as well, {TAKE_ANYWAY}")  # fmt: skip
    return tuple(file for file, complete in files.items() if complete)


def _add_parts(path: Path, dataset: h5py.Dataset, options: IngestOptions, files: dict[Path, bool]) -> None:
    """Add the files outside of `path` that hold voxels of a dataset in it, and whether each holds what it should."""
    for name, offset, size in dataset.external or ():
        file = check_inside(path, name, options)
        files[file] = file.is_file() and file.stat().st_size >= offset + min(size, dataset.nbytes)
    for source in dataset.virtual_sources() if dataset.is_virtual else ():
        if source.file_name == ".":
            continue
        file = check_inside(path, source.file_name, options)
        files[file] = files.get(file, True) and file.is_file()
        if files[file]:
            with _opened(file) as opened:
                part = opened.get(source.dset_name)
                files[file] = isinstance(part, h5py.Dataset)
                if files[file]:
                    _add_parts(file, part, options, files)


def _check_filters(path: Path, dataset: h5py.Dataset) -> None:
    """Refuse voxels that are packed by a filter which is not installed; those of the package hdf5plugin are loaded."""
    plan = dataset.id.get_create_plist()
    for code, _, _, name in (plan.get_filter(i) for i in range(plan.get_nfilters())):
        if h5py.h5z.filter_avail(code):
            continue
        with contextlib.suppress(ImportError):
            import hdf5plugin  # noqa: F401 - it registers its filters
        if not h5py.h5z.filter_avail(code):
            packer = f"{code} {name.decode(errors='replace')}".strip()
            raise ValueError(f"{path}: {dataset.name} is packed by the HDF5 filter {packer}; install its plugin with "
                             "`pip install hdf5plugin`")  # fmt: skip


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _axis_names(dataset: h5py.Dataset) -> Sequence[str] | None:
    """Names of the axes: vigra's axis tags, labels of the dimensions, or those of the NeXus group."""
    tags = dataset.attrs.get("axistags")
    if tags is not None:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return [str(axis["key"]) for axis in json.loads(_text(tags))["axes"]]
    labels = [dimension.label for dimension in dataset.dims]
    if all(labels):
        return labels
    return [_text(name) for name in np.atleast_1d(dataset.parent.attrs.get("axes", []))] or None


def _spacing(dataset: h5py.Dataset, axes: Axes) -> Spacing | None:
    """Voxel size from the attributes of the dataset, or from the axes of its NeXus group."""
    attributes = {key: value.tolist() if hasattr(value, "tolist") else value for key, value in dataset.attrs.items()}
    found = attribute_spacing(attributes, axes)
    names = [_text(name) for name in np.atleast_1d(dataset.parent.attrs.get("axes", []))]
    if found is not None or len(names) != dataset.ndim:
        return found
    scales = [_step(dataset.parent.get(name)) for name in names]
    steps, units = zip(*scales, strict=True)
    return axes_spacing(axes.pick(steps), axes.pick(units))


def _step(scale: Any) -> tuple[float | None, Any]:
    """Distance and unit of the even positions along an axis; None where there are none."""
    if not isinstance(scale, h5py.Dataset) or scale.ndim != 1 or scale.size < 2 or scale.dtype.kind not in "iuf":
        return None, None
    distances = np.diff(scale[:].astype(np.float64))
    even = np.allclose(distances, distances.mean(), rtol=1e-3)
    return (float(distances.mean()), scale.attrs.get("units")) if even else (None, None)


class HDF5Reader(Reader):
    """HDF5 and NeXus files."""

    formats = "HDF5 and NeXus"

    def recognizes(self, path: Path, first_bytes: bytes) -> bool:
        """By the first bytes."""
        return first_bytes.startswith((SIGNATURE, MATLAB))

    def find(self, path: Path, options: IngestOptions) -> Source:
        """See `find_hdf5`."""
        return find_hdf5(path, options)


READER = HDF5Reader()
