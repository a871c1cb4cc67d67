"""Files of zarr arrays that are damaged: chunks whose checksum differs, or which cannot be decompressed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import zarr
from dask.delayed import Delayed
from numpy.typing import NDArray

RESTORE = "restore it, or make it again with --again (`tomostat check` finds all damaged files of an output folder)"
"""Remedy, for messages."""

BATCH = 16
"""Files that one task of a check reads."""

Index = tuple[int, ...]
"""Place of a file among those of an array."""


def read_part(array: zarr.Array[Any], box: tuple[slice, ...]) -> NDArray[Any]:
    """Read a box of an array.

    Raises
    ------
    ValueError
        When a file of the array is damaged; the message names it.
    """
    try:
        return np.asarray(array[box])
    except MemoryError:
        raise
    except Exception as error:  # codecs raise what they like, and none names the file
        for index in _overlapping(array, box):
            if damage := find_damage(array, index):
                raise ValueError(f"{damage}; {RESTORE}") from error
        raise


def find_damage(array: zarr.Array[Any], index: Index) -> str | None:
    """What is wrong with a file of an array; None where all of it can be read."""
    file, size = _file(array, index), array.shards or array.chunks
    if file.is_file() and not file.stat().st_size:  # zarr takes it for one of fill values
        return f"{file} is empty"
    box = tuple(slice(i * n, min((i + 1) * n, end)) for i, n, end in zip(index, size, array.shape, strict=True))
    try:
        array[box]
    except MemoryError:
        raise
    except Exception as error:
        return f"{file} is damaged ({' '.join(str(error).split()) or type(error).__name__})"
    return None


def check_tasks(folders: Iterable[Path]) -> dict[str, Delayed]:
    """Tasks that read all files of the zarr arrays below some folders; each returns a list of what is wrong."""
    metadata = sorted({path for folder in folders for path in folder.rglob("zarr.json")})
    files = [(path.parent, index) for path in metadata for index in _stored_files(path.parent)]
    check = dask.delayed(_check_files, pure=False)
    batches = [files[first : first + BATCH] for first in range(0, len(files), BATCH)]
    return {f"{number:06d}": check(batch) for number, batch in enumerate(batches)}


def _check_files(files: Iterable[tuple[Path, Index]]) -> list[str]:
    return list(filter(None, (find_damage(zarr.open_array(str(path), mode="r"), index) for path, index in files)))


def _stored_files(path: Path) -> list[Index]:
    """Files of an array that are on disk: one of fill values only is not. None of a group, or of damaged metadata."""
    try:
        array = zarr.open_array(str(path), mode="r")
    except Exception:  # a group, or metadata that have a checksum of their own in the inventory
        return []
    everything = tuple(slice(0, n) for n in array.shape)
    return [index for index in _overlapping(array, everything) if _file(array, index).is_file()]


def _overlapping(array: zarr.Array[Any], box: tuple[slice, ...]) -> Iterator[Index]:
    """Indices of the files of an array that a box overlaps."""
    size = array.shards or array.chunks
    ends = (part.indices(n)[:2] for part, n in zip(box, array.shape, strict=True))
    return itertools.product(*(range(a // n, -(-b // n)) for (a, b), n in zip(ends, size, strict=True)))


def _file(array: zarr.Array[Any], index: Index) -> Path:
    """Path of a file of an array."""
    root = Path(str(array.store_path.store.root))  # type: ignore[attr-defined]
    return root / array.path / array.metadata.encode_chunk_key(index)
