"""Raw binary files: voxels without a header, whose shape and type come from the options."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Box
from tomostat.ingest.options import IngestOptions
from tomostat.ingest.source import ArraySource, Reader, Source, volume_axes


@dataclass(frozen=True, kw_only=True, eq=False)
class RawSource(ArraySource):
    """A file of voxels without a header."""

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box through a memory map."""
        return self.select(np.memmap(self.path, self.dtype, "r", shape=self.shape), box).copy()


def find_raw(path: Path, options: IngestOptions) -> Source:
    """Find the voxels of a raw file.

    Raises
    ------
    ValueError
        When it is a folder, or shape or type are missing or do not fit the size of the file.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder; expected a raw binary file")
    if options.shape is None or options.dtype is None:
        raise ValueError(
            f"{path} is neither TIFF, HDF5, npy nor zarr; if it is raw binary, give its shape (z y x) and dtype"
        )
    try:
        dtype = np.dtype(options.dtype)
    except TypeError:
        expected = "a voxel type such as uint8, '<u2' or '>f4'"
        raise ValueError(f"{path}: dtype is {options.dtype!r}; expected {expected}") from None
    needed, size = math.prod(options.shape) * dtype.itemsize, path.stat().st_size
    if needed != size:
        shape = " x ".join(map(str, options.shape))
        raise ValueError(
            f"{path} has {size} bytes; shape {shape} of {dtype.name} needs {needed}; check shape and dtype"
        )
    axes = volume_axes(str(path), options.shape)
    return RawSource(path=path, kind="raw", shape=options.shape, dtype=dtype, axes=axes)


class RawReader(Reader):
    """Raw binary files: any file that no other reader recognizes."""

    formats = "raw binary (with its shape and type)"
    fallback = True

    def recognizes(self, path: Path, first_bytes: bytes) -> bool:
        """Any file."""
        return path.is_file()

    def find(self, path: Path, options: IngestOptions) -> Source:
        """See `find_raw`."""
        return find_raw(path, options)


READER = RawReader()
