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
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
from dask.delayed import Delayed

from tomostat.blocks import Block, Shape, block_grid, check_memory
from tomostat.ingest.arrays import find_hdf5, find_npy, find_raw, find_zarr
from tomostat.ingest.source import Source, target_dtype
from tomostat.ingest.tiff import find_tiff
from tomostat.options import IngestOptions, as_dict
from tomostat.runner import Progress, execute, memory_per_task
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

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

BLOCK_BYTES = 2**27
"""Most bytes of the source that one task reads, where whole shards allow it."""

MAGIC = {
    b"II*\0": "tiff", b"MM\0*": "tiff", b"II+\0": "tiff", b"MM\0+": "tiff",
    b"\x89HDF\r\n\x1a\n": "hdf5", b"\x93NUMPY": "npy",
}  # fmt: skip
"""First bytes of a file, by kind."""

ZARR_FILES = ("zarr.json", ".zgroup", ".zarray")


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


def _find(path: Path, options: IngestOptions) -> Source:
    """The reader for a path."""
    kind = _kind(path)
    if kind != "raw" and (options.shape is not None or options.dtype is not None):
        raise ValueError(f"shape and dtype are for raw files; {path} is {kind} and tells them itself, leave them out")
    if kind == "zarr":
        return find_zarr(path, options)
    if kind == "tiff":
        return find_tiff(path)
    if kind == "hdf5":
        return find_hdf5(path, options)
    return find_npy(path) if kind == "npy" else find_raw(path, options)


def _kind(path: Path) -> str:
    """Kind of a file by its first bytes, of a folder by what is in it."""
    if not path.exists():
        raise FileNotFoundError(f"no file or folder at {path}")
    if path.is_dir():
        return "zarr" if any((path / name).exists() for name in ZARR_FILES) else "tiff"
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except PermissionError:
        raise ValueError(f"no right to read {path}") from None
    if not start:
        raise ValueError(f"{path} is empty; copy or export it again")
    return next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), "raw")


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
    markers: Path | None = None,
    client: Client | None = None,
    progress: Progress | None = None,
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
    markers
        Folder of markers of finished blocks: with it, an interrupted call goes on where it stopped.
    client
        Where to run; threads of this process when not given.
    progress
        Called as blocks are finished.

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
    check_memory(8 * found.dtype.itemsize * math.prod(core), memory_per_task(client), "ingest")
    aside = path.with_name(path.name + ".partial")
    if _finished(path, aside, markers, noted):
        return describe(path)
    resumes = markers is not None and any((markers / "blocks").glob("*.json")) and aside.exists()
    with _whole_or_nothing(path, aside, markers):
        if not resumes:
            _clear(aside, markers)
            size = _choose_spacing(found, spacing)
            create_volume(aside, shape=found.shape, dtype=dtype, spacing=size, attributes=noted)
        copies = _block_tasks(found, aside, core, dtype, shift)
        ranges = execute(copies, label="ingest", markers=_under(markers, "blocks"), client=client, progress=progress)
        _note_range(aside, found, ranges.values())
        for level, tasks in enumerate(pyramid_tasks(aside), 1):
            execute(tasks, label=f"ingest, level {level}", markers=_under(markers, f"level-{level}"), client=client)
        _move(aside, path)
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


def _finished(path: Path, aside: Path, markers: Path | None, noted: Mapping[str, Any]) -> bool:
    """Whether an earlier call with these markers wrote the whole volume."""
    if markers is None or aside.exists() or not any((markers / "blocks").glob("*.json")) or not is_volume(path):
        return False
    known = describe(path).attributes
    return all(known.get(key) == value for key, value in noted.items())


def _clear(aside: Path, markers: Path | None) -> None:
    for folder in (aside, markers):
        if folder is not None and folder.exists():
            shutil.rmtree(folder)


def _under(markers: Path | None, name: str) -> Path | None:
    return None if markers is None else markers / name


def _move(aside: Path, path: Path) -> None:
    """Put the finished volume in its place."""
    old = path.with_name(path.name + ".old")
    if old.exists():
        shutil.rmtree(old)
    if path.exists():
        path.rename(old)
    aside.rename(path)
    if old.exists():
        shutil.rmtree(old)


@contextlib.contextmanager
def _whole_or_nothing(path: Path, aside: Path, markers: Path | None) -> Iterator[None]:
    """Remove what was half-written, unless markers let a later call go on; bad input is never gone on with."""
    try:
        with _clear_errors(path):
            yield
    except BaseException as error:
        if markers is None or isinstance(error, ValueError):
            _clear(aside, markers)
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
