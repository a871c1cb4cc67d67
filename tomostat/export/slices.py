"""Slices of a field one after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tomostat.volume import VolumeInfo, describe, read_box


def read_slices(path: Path, label: str | None = None) -> Iterator[NDArray[Any]]:
    """All slices (ny, nx) of an image; one layer of chunks is in memory at a time."""
    info = describe(path, label)
    thickness, (nz, ny, nx) = info.chunks[0], info.shape
    for first in range(0, nz, thickness):
        yield from read_box(path, (slice(first, min(first + thickness, nz)), slice(0, ny), slice(0, nx)), label)


def memory_of_slices(info: VolumeInfo) -> int:
    """Bytes that `read_slices` takes: a layer of chunks, and as much while it is unpacked."""
    return 2 * info.chunks[0] * math.prod(info.shape[1:]) * info.dtype.itemsize
