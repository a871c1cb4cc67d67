"""A source of voxels, block by block, into an OME-Zarr volume."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import math
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dask
import numpy as np
from dask.delayed import Delayed

from tomostat.blocks import Block, Shape, block_grid, check_memory
from tomostat.execution import Execution
from tomostat.files import atomic, remove
from tomostat.ingest.options import IngestOptions
from tomostat.ingest.source import Reader, Source, target_dtype
from tomostat.options import as_dict
from tomostat.plugins import Plugin, Registry
from tomostat.volume import (
    Spacing,
    VolumeInfo,
    check_spacing,
    create_volume,
    describe,
    is_volume,
    pyramid_tasks,
    storage_layout,
    update_attributes,
    write_box,
)

logger = logging.getLogger(__name__)

BLOCK_BYTES = 2**27
"""Most bytes of the source that one task reads, where whole shards allow it."""

READERS: Registry[Reader] = Registry(
    "reader", "tomostat.readers", lambda value: isinstance(value, Reader), "a tomostat.ingest.Reader",
    package="tomostat.ingest.readers", attribute="READER",
)  # fmt: skip
"""Readers of files, tomostat's own and those of installed packages."""


def probe(
    source: str | Path,
    *,
    spacing: float | Sequence[float] | None = None,
    options: IngestOptions | None = None,
    need_spacing: bool = True,
) -> Source:
    """Look at a source without reading its voxels.

    Parameters
    ----------
    source
        File or folder.
    spacing
        Voxel size in micrometers, as for `ingest_volume`.
    options
        Dataset, shape and type where the source does not tell them.
    need_spacing
        Refuse a source of unknown voxel size.

    Returns
    -------
    Source
        Kind, shape, type and voxel size.

    Raises
    ------
    FileNotFoundError, ValueError
        When it is not there, damaged, of an unknown kind or type, in colour, or of unknown voxel size.
    """
    path, options = Path(source), options or IngestOptions()
    found = _find(path, options)
    target_dtype(str(path), found.dtype)
    if need_spacing or spacing is not None:
        _choose_spacing(found, spacing)
    return found


def choose_reader(path: Path, options: IngestOptions) -> Plugin[Reader]:
    """The reader for a path: the one that is named, else the first that recognizes it, tomostat's own first.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such file or reader, or no reader recognizes it.
    """
    start = _first_bytes(path)
    if options.reader is not None:
        return READERS.get(options.reader)
    known = [READERS.get(name) for name in READERS.names()]
    for plugin in sorted(known, key=lambda plugin: plugin.value.fallback):
        with plugin.blame(str(path)):
            if plugin.value.recognizes(path, start):
                return plugin
    formats = ", ".join(plugin.value.formats for plugin in known)
    raise ValueError(f"{path} holds nothing that tomostat reads; expected one of {formats}")


def _find(path: Path, options: IngestOptions) -> Source:
    """What a path holds."""
    plugin = choose_reader(path, options)
    if not plugin.value.fallback and (options.shape is not None or options.dtype is not None):
        raise ValueError(
            f"shape and dtype are for raw files; {path} is {plugin.value.formats} and tells them itself, leave them out"
        )
    if plugin.name in READERS.built_in():
        return plugin.value.find(path, options)
    with plugin.blame(str(path)):
        return plugin.value.find(path, options)


def _first_bytes(path: Path) -> bytes:
    """The first bytes of a file; none of a folder."""
    if not path.exists():
        raise FileNotFoundError(f"no file or folder at {path}")
    if path.is_dir():
        return b""
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except PermissionError:
        raise ValueError(f"no right to read {path}") from None
    if not start:
        raise ValueError(f"{path} is empty; copy or export it again")
    return start


def _choose_spacing(source: Source, given: float | Sequence[float] | None) -> Spacing:
    """The voxel size given, else the one that the file tells."""
    if given is None and source.spacing is None:
        raise ValueError(f"{source.path} tells no voxel size; give spacing in micrometers (z y x, or one number)")
    if given is None:
        return check_spacing(source.spacing)  # type: ignore[arg-type]
    spacing = check_spacing([given] * 3 if isinstance(given, int | float) else given)
    if source.spacing is not None and not np.allclose(spacing, source.spacing, rtol=0.01):
        logger.warning("%s says voxels of %s micrometers; taking %s as given", source.path, source.spacing, spacing)
    return spacing


def ingest_volume(
    source: str | Path,
    path: str | Path,
    *,
    spacing: float | Sequence[float] | None = None,
    options: IngestOptions | None = None,
    attributes: Mapping[str, Any] | None = None,
    execution: Execution | None = None,
) -> VolumeInfo:
    """Bring a volume in: the grey values at full resolution, and a pyramid of halved ones.

    The volume is written beside its place and moved there when it is whole. uint8, uint16 and float32 are kept; see
    `tomostat.ingest.source.target_dtype` for others. What was added to the grey values is noted as ``grey_shift``,
    and a density offset moves with it.

    Parameters
    ----------
    source
        A folder of TIFF slices (in natural order), a TIFF or BigTIFF file, HDF5 / NeXus, raw, npy, zarr or OME-Zarr.
        A single image is a volume of one slice.
    path
        The volume to write, ``NAME.zarr``; a volume that stands there is replaced.
    spacing
        Voxel size in micrometers, (z, y, x) or one number; needed when the file does not tell it.
    options
        Dataset in the file; shape and type of a raw file.
    attributes
        Noted with the volume, such as ``density_scale`` and ``density_offset`` (delta = grey * scale + offset).
    execution
        Where to run, who is told, and where finished tasks are marked; threads of this process when not given.

    Returns
    -------
    VolumeInfo
        What was written. Its attributes hold the source, and ``range``, the smallest and largest grey value.

    Raises
    ------
    FileNotFoundError, ValueError
        When the source is missing, damaged, of unknown kind, type or voxel size, in colour, constant, or holds NaN;
        when the place cannot be written or is too small. Nothing is left half-written.
    """
    path, options = Path(path), options or IngestOptions()
    found = probe(source, spacing=spacing, options=options)
    dtype, shift = target_dtype(str(found.path), found.dtype)
    noted = _attributes(found, shift, attributes, options)
    core = block_shape(found, storage_layout(found.shape)[1])
    _check_place(path, found, dtype)
    execution = (execution or Execution()).named("ingest")
    check_memory(8 * found.dtype.itemsize * math.prod(core), execution.memory_per_task(), "ingest")
    partial = path.with_name(path.name + ".partial")
    if _finished(path, partial, execution, noted):
        return describe(path)
    with _whole_or_nothing(path, partial, execution):
        if not (execution.started("blocks") and partial.exists()):
            _clear(partial, execution)
            size = _choose_spacing(found, spacing)
            create_volume(partial, shape=found.shape, dtype=dtype, spacing=size, attributes=noted)
        ranges = execution.run("blocks", _block_tasks(found, partial, core, dtype, shift))
        _note_range(partial, found, ranges.values())
        for level, tasks in enumerate(pyramid_tasks(partial), 1):
            execution.run(f"level {level}", tasks)
        _move(partial, path)
    logger.info("%s -> %s", found, path)
    return describe(path)


def _note_range(path: Path, source: Source, ranges: Collection[Sequence[float]]) -> None:
    """Note the smallest and largest grey value of all blocks; refuse a volume that has only one."""
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    if low == high:
        raise ValueError(f"{source.path} is constant, every voxel is {low:g}; check the export, or the dataset chosen")
    update_attributes(path, {"range": [low, high]})


def block_shape(source: Source, shards: Shape) -> Shape:
    """Voxels (z, y, x) of a task: whole shards, as large as the source's own pieces unless that is too much memory."""
    pieces = zip(shards, source.unit, source.shape, strict=True)
    core = [shard * math.ceil(min(unit, n) / shard) for shard, unit, n in pieces]
    while math.prod(core) * source.dtype.itemsize > BLOCK_BYTES and core != list(shards):
        axis = max(range(3), key=lambda a: core[a] / shards[a])
        core[axis] = shards[axis] * math.ceil(core[axis] / shards[axis] / 2)
    z, y, x = core
    return z, y, x


def _block_tasks(source: Source, path: Path, core: Shape, dtype: np.dtype[Any], shift: int) -> dict[str, Delayed]:
    copy = dask.delayed(_copy_block, pure=False)
    return {block.key: copy(source, path, block, dtype, shift) for block in block_grid(source.shape, core)}


def _copy_block(source: Source, path: Path, block: Block, dtype: np.dtype[Any], shift: int) -> list[float]:
    """Copy one block; smallest and largest grey value of it."""
    voxels = source.read(block.core)
    if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
        z, y, x = (int(i) + s for i, s in zip(np.argwhere(~np.isfinite(voxels))[0], block.start, strict=True))
        raise ValueError(
            f"{source.path} holds NaN or infinite voxels, first seen at z {z}, y {y}, x {x}; "
            "put a finite grey value there, such as a constant outside the field of view"
        )
    voxels = voxels.astype(np.int32) + shift if shift else voxels
    with np.errstate(over="ignore"):
        stored = voxels.astype(dtype)
    if stored.dtype.kind == "f" and not np.isfinite(stored).all():
        raise ValueError(f"{source.path} holds values beyond the range of float32; scale them down first")
    write_box(path, block.start, stored)
    return [stored.min().item(), stored.max().item()]


def _attributes(source: Source, shift: int, given: Mapping[str, Any] | None, options: IngestOptions) -> dict[str, Any]:
    """What is noted with the volume: carried over from the source, given, and where it came from."""
    noted = {**source.attributes, **(given or {})}
    if shift:
        noted["grey_shift"] = shift
        if "density_scale" in noted:
            noted["density_offset"] = noted.get("density_offset", 0.0) - shift * noted["density_scale"]
    known: dict[str, Any] = json.loads(json.dumps({**noted, "source": source.record(), "ingest": as_dict(options)}))
    return known  # as it reads back: lists, not tuples


def _check_place(path: Path, source: Source, dtype: np.dtype[Any]) -> None:
    """Refuse a place that cannot take the volume."""
    if path.resolve() == source.path.resolve():
        raise ValueError(f"{path} is the source itself; choose another place to write to")
    if path.exists() and not is_volume(path):
        raise ValueError(f"{path} exists and is no volume of tomostat; choose another place to write to")
    with _clear_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        here = path.parent / f".{path.name}.try"
        here.touch()
        here.unlink()
    need, free = math.prod(source.shape) * dtype.itemsize, shutil.disk_usage(path.parent).free
    if free < need:
        raise ValueError(
            f"{path.parent} has {free / 2**30:.2f} GiB free; {path.name} takes up to {need / 2**30:.2f} GiB"
        )


def _finished(path: Path, partial: Path, execution: Execution, noted: Mapping[str, Any]) -> bool:
    """Whether an earlier call with the same markers wrote the whole volume."""
    if partial.exists() or not execution.started("blocks") or not is_volume(path):
        return False
    known = describe(path).attributes
    return all(known.get(key) == value for key, value in noted.items())


def _clear(partial: Path, execution: Execution) -> None:
    """Remove what was half-written, and its markers."""
    for folder in filter(None, (partial, execution.markers)):
        remove(folder)


def _move(partial: Path, path: Path) -> None:
    """Put the finished volume in its place."""
    with atomic(path) as part:
        partial.rename(part)


@contextlib.contextmanager
def _whole_or_nothing(path: Path, partial: Path, execution: Execution) -> Iterator[None]:
    """Remove what was half-written, unless markers let a later call go on; bad input is never gone on with."""
    try:
        with _clear_errors(path):
            yield
    except BaseException as error:
        if execution.markers is None or isinstance(error, ValueError):
            _clear(partial, execution)
        raise


@contextlib.contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    """Say no space and no right to write in one line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ValueError(f"no space left to write {path}; free some, or choose another place") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise ValueError(f"no right to write {path}, or its folder is no folder; choose another place") from error
        raise
