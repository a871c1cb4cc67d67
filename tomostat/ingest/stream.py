"""Copying a source of voxels into an OME-Zarr volume, block by block."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import itertools
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
from numpy.typing import NDArray

from tomostat.blocks import Block, Box, Shape, block_grid, check_memory
from tomostat.execution import Execution
from tomostat.files import atomic, remove
from tomostat.ingest.choose import FoundSource, choose_spacing, find_source, naming_plugin
from tomostat.ingest.conversion import Conversion, find_conversion
from tomostat.ingest.kernels.plausibility import has_dark_particles, looks_like_labels
from tomostat.ingest.options import IngestOptions
from tomostat.ingest.source import PartSource, Source
from tomostat.options import as_dict
from tomostat.plugins import PluginError
from tomostat.volume import (
    VolumeInfo,
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

MIDDLE = 2048
"""Most pixels along y and x of a slice that are looked at before the work."""

MIDDLE_SLICE, OTHER_SLICES = 0.5, (0.25, 0.75)
"""Slices that are looked at before the work, as shares of the depth: the first, and the others where it is in doubt."""


def ingest_volume(
    source: str | Path,
    path: str | Path,
    *,
    spacing: float | Sequence[float] | None = None,
    options: IngestOptions | None = None,
    attributes: Mapping[str, Any] | None = None,
    box: Box | None = None,
    execution: Execution | None = None,
) -> VolumeInfo:
    """Copy grey values into an OME-Zarr volume with a pyramid of lower resolutions.

    The volume is written beside its destination and moved there when it is complete. uint8, uint16 and float32 are
    kept; see `tomostat.ingest.conversion` for others. Attributes ``grey_scale`` and ``grey_shift`` tell grey values of
    the volume from those of the file, where they differ; the density scale and offset are corrected for them.

    Parameters
    ----------
    source
        A folder of slices (in natural order), a TIFF or BigTIFF file, HDF5 / NeXus, zarr or OME-Zarr, NRRD, npy, raw,
        or a format of an installed reader; ``FILE:DATASET`` names one dataset of several. A single image is a volume of
        one slice.
    path
        The volume to write, ``NAME.zarr``; an existing volume is replaced.
    spacing
        Voxel size in micrometers, (z, y, x) or one number; needed where the file holds none.
    options
        Reader and dataset, where they are not clear; shape and type of a raw file.
    attributes
        Stored with the volume, such as ``density_scale`` and ``density_offset`` (delta = grey * scale + offset).
    box
        Part (z, y, x) of the source that is copied; all of it when not given.
    execution
        Where to run, who receives events, and where finished tasks are recorded; threads of this process when None.

    Returns
    -------
    VolumeInfo
        Metadata of the volume. Its attributes hold ``source``, ``ingest`` (the options) and ``range``, the smallest and
        largest grey value. NaN is stored as one grey value, and counted in ``not_a_number``. What is probably not meant
        as it is stands in ``warnings``.

    Raises
    ------
    FileNotFoundError, ValueError
        When the source is missing, damaged, of unknown kind, type or voxel size, in colour, constant, or infinite; when
        the box is no part of it; when its particles seem to be dark and `IngestOptions.invert` is not given; when the
        destination cannot be written or is too small. Nothing is left half-written.
    """
    path, options = Path(path), options or IngestOptions()
    found = find_source(source, options)
    if box is not None:
        found = dataclasses.replace(found, source=PartSource.of(found.source, box))
    size = choose_spacing(found.source, spacing)
    convert = find_conversion(str(found.source.path), found.source.dtype, bool(options.invert))
    middle = convert(_read_slice(found, MIDDLE_SLICE))
    outside = _outside_value(found.source, middle)
    stored = _volume_attributes(found, convert, attributes, options)
    others = (convert(_read_slice(found, place)) for place in OTHER_SLICES if found.source.shape[0] > 1)
    looked_at = (np.where(np.isfinite(one), one, outside) for one in itertools.chain([middle], others))
    stored["warnings"] = _check_plausible(found.source, looked_at, options)
    core = block_shape(found.source, storage_layout(found.source.shape)[1])
    _check_destination(path, found.source, convert.dtype)
    execution = (execution or Execution()).for_stage("ingest")
    check_memory(8 * found.source.dtype.itemsize * math.prod(core), execution.memory_per_task(), "ingest")
    partial = path.with_name(path.name + ".partial")
    if _already_written(path, partial, execution, stored):
        return describe(path)
    with _removing_partial(path, partial, execution):
        if not (execution.has_finished_tasks("blocks") and partial.exists()):
            _remove_partial(partial, execution)
            create_volume(partial, shape=found.source.shape, dtype=convert.dtype, spacing=size, attributes=stored)
        blocks = execution.run("blocks", _block_tasks(found, partial, core, convert, outside))
        _store_grey_range(partial, found.source, core, blocks.values(), outside)
        execution.run_levels(pyramid_tasks(partial))
        with atomic(path) as part:
            partial.rename(part)
    logger.info("%s -> %s", found.source, path)
    return describe(path)


def _read_slice(found: FoundSource, place: float) -> NDArray[Any]:
    """A slice (ny, nx) at a share of the depth as the source stores it, or its middle part: checked before work."""
    depth, *sides = found.source.shape
    z = int(place * depth)
    y, x = (slice((n - side + 1) // 2, (n - side + 1) // 2 + side) for n in sides for side in [min(n, MIDDLE)])
    return _read_box(found, (slice(z, z + 1), y, x), f"slice {z}")[0]


def _outside_value(source: Source, middle: NDArray[Any]) -> float:
    """Grey value for voxels that are no number: the lowest of the middle slice.

    The phases stage takes voxels of one exact value that reach the border for outside the field of view.
    """
    finite = middle[np.isfinite(middle)]
    if not finite.size:
        raise ValueError(f"{source.path} has no number in its middle slice; check the export")
    return float(finite.min())


def _check_plausible(source: Source, slices: Iterator[NDArray[Any]], options: IngestOptions) -> list[str]:
    """Warnings of what is implausible in the first of some slices (ny, nx); refuses particles that all show as dark.

    A slice without particles may have round pores, which alone look like dark particles.
    """
    middle = next(slices)
    if looks_like_labels(middle):
        text = ("grey values look like labels, phases or a mask (whole numbers in areas of one value): give those with "
                "labels or phases_image (--labels, --phases-image)")  # fmt: skip
        logger.warning("%s: %s", source.path, text)
        return [text]
    if options.invert is None and all(map(has_dark_particles, itertools.chain([middle], slices))):
        raise ValueError(
            f"{source.path}: particles seem to be darker than what lies around them; turn grey values round with "
            "invert=True (--ingest.invert), or take them as they are with invert=False (--ingest.no-invert)"
        )
    return []


def _store_grey_range(path: Path, source: Source, core: Shape, blocks: Collection[CopiedBlock], outside: float) -> None:
    """Store the smallest and largest grey value, slices that have one only, and how many voxels are no number.

    Refuses a volume that has only one grey value.
    """
    low, high = np.full(source.shape[0], np.inf), np.full(source.shape[0], -np.inf)
    for block, (lowest, highest, _) in zip(block_grid(source.shape, core), blocks, strict=True):
        slices = block.core[0]
        low[slices], high[slices] = np.minimum(low[slices], lowest), np.maximum(high[slices], highest)
    if low.min() == high.max():
        raise ValueError(
            f"{source.path} is constant, every voxel is {low.min():g}; check the export, or the dataset chosen"
        )
    found: dict[str, Any] = {"range": [low.min().item(), high.max().item()]}
    if blank := np.flatnonzero(low == high).tolist():
        found["blank_slices"] = blank
    if missing := sum(count for *_, count in blocks):
        found["not_a_number"] = {"voxels": missing, "stored_as": outside}
        logger.warning("%s: %d voxels (%.2g %%) are NaN; taken as outside the field of view at its border, and in "
                       "whole slices", source.path, missing, 100 * missing / math.prod(source.shape))  # fmt: skip
    update_attributes(path, found)


CopiedBlock = tuple[list[float], list[float], int]
"""Smallest and largest grey value of every slice of a block, and how many voxels are no number."""


def block_shape(source: Source, shards: Shape) -> Shape:
    """Voxels (z, y, x) of a task: whole shards, as large as the chunks of the source unless that is too much memory."""
    axes = zip(shards, source.chunk, source.shape, strict=True)
    core = [shard * math.ceil(min(chunk, n) / shard) for shard, chunk, n in axes]
    while math.prod(core) * source.dtype.itemsize > BLOCK_BYTES and core != list(shards):
        axis = max(range(3), key=lambda a: core[a] / shards[a])
        core[axis] = shards[axis] * math.ceil(core[axis] / shards[axis] / 2)
    z, y, x = core
    return z, y, x


def _block_tasks(
    found: FoundSource, path: Path, core: Shape, convert: Conversion, outside: float
) -> dict[str, Delayed]:
    """One task per block, by the key of the block."""
    copy = dask.delayed(_copy_block, pure=False)
    return {block.key: copy(found, path, block, convert, outside) for block in block_grid(found.source.shape, core)}


def _copy_block(found: FoundSource, path: Path, block: Block, convert: Conversion, outside: float) -> CopiedBlock:
    """Copy one block."""
    stored = convert(_read_box(found, block.core, f"block {block.key}"))
    missing = np.isnan(stored)
    stored[missing] = outside
    if stored.dtype.kind == "f" and not np.isfinite(stored).all():
        places = zip(np.argwhere(~np.isfinite(stored))[0], block.start, found.source.start, strict=True)
        z, y, x = (int(i) + s + b for i, s, b in places)
        raise ValueError(f"{found.source.path} holds values that are infinite or beyond the range of float32, first "
                         f"seen at z {z}, y {y}, x {x}; scale them down, or put a finite grey value there")  # fmt: skip
    write_box(path, block.start, stored)
    return stored.min(axis=(1, 2)).tolist(), stored.max(axis=(1, 2)).tolist(), int(missing.sum())


def _read_box(found: FoundSource, box: Box, where: str) -> NDArray[Any]:
    """Voxels of a box as the source stores them."""
    try:
        with naming_plugin(found.reader, f"{found.source.path}, {where}"):
            voxels = found.source.read(box)
            expected = tuple(part.stop - part.start for part in box)
            if voxels.shape != expected:
                raise ValueError(f"a box of {expected} voxels was read with shape {voxels.shape}")
            return voxels
    except PluginError as error:
        if isinstance(error.__cause__, OSError):  # a disk or network that fails for a moment: worth another try
            raise OSError(str(error)) from error.__cause__
        raise


def _volume_attributes(
    found: FoundSource, convert: Conversion, given: Mapping[str, Any] | None, options: IngestOptions
) -> dict[str, Any]:
    """Attributes of the volume: those of the source, those given, and where the voxels came from."""
    stored = {**found.source.attributes, **(given or {})}
    stored |= {"grey_scale": convert.scale} if convert.scale != 1 else {}
    stored |= {"grey_shift": convert.shift} if convert.shift else {}
    if "density_scale" in stored:
        stored["density_scale"] *= convert.scale
        stored["density_offset"] = stored.get("density_offset", 0.0) - convert.shift * stored["density_scale"]
    record = dataclasses.asdict(found.source.record(found.reader))
    as_read_back: dict[str, Any] = json.loads(json.dumps({**stored, "source": record, "ingest": as_dict(options)}))
    return as_read_back  # lists, not tuples: `_already_written` compares it with what the volume holds


def _check_destination(path: Path, source: Source, dtype: np.dtype[Any]) -> None:
    """Refuse a destination that cannot take the volume."""
    if path.resolve() == source.path.resolve():
        raise ValueError(f"{path} is the source itself; choose another destination")
    if path.exists() and not is_volume(path):
        raise ValueError(f"{path} exists and is no volume of tomostat; choose another destination")
    with _plain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        trial = path.parent / f".{path.name}.try"
        trial.touch()
        trial.unlink()
    need, free = math.prod(source.shape) * dtype.itemsize, shutil.disk_usage(path.parent).free
    if free < need:
        raise ValueError(
            f"{path.parent} has {free / 2**30:.2f} GiB free; {path.name} takes up to {need / 2**30:.2f} GiB"
        )


def _already_written(path: Path, partial: Path, execution: Execution, attributes: Mapping[str, Any]) -> bool:
    """Whether an earlier call with the same markers wrote the whole volume."""
    if partial.exists() or not execution.has_finished_tasks("blocks") or not is_volume(path):
        return False
    existing = describe(path).attributes
    return all(existing.get(key) == value for key, value in attributes.items())


def _remove_partial(partial: Path, execution: Execution) -> None:
    """Remove a half-written volume and its markers."""
    for folder in filter(None, (partial, execution.markers)):
        remove(folder)


@contextlib.contextmanager
def _removing_partial(path: Path, partial: Path, execution: Execution) -> Iterator[None]:
    """After an error, remove what is half-written, unless markers let a later call resume; bad input never resumes."""
    try:
        with _plain_os_errors(path):
            yield
    except BaseException as error:
        if execution.markers is None or isinstance(error, ValueError):
            _remove_partial(partial, execution)
        raise


@contextlib.contextmanager
def _plain_os_errors(path: Path) -> Iterator[None]:
    """Report a full disk and missing rights to write in one line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ValueError(f"no space left to write {path}; free some, or choose another destination") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            message = f"no right to write {path}, or its folder is no folder; choose another destination"
            raise ValueError(message) from error
        raise
