"""Files of `numpy.save`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Box
from tomostat.ingest.axes import place_axes
from tomostat.ingest.options import IngestOptions
from tomostat.ingest.source import ArraySource, Reader, Source


@dataclass(frozen=True, kw_only=True, eq=False)
class NpySource(ArraySource):
    """An array in a file of `numpy.save`."""

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box through a memory map."""
        return np.array(self.axes.select(np.load(self.path, mmap_mode="r", allow_pickle=False), box))


def find_npy(path: Path, options: IngestOptions) -> Source:
    """Find the voxels of a file of `numpy.save`.

    Raises
    ------
    ValueError
        When it is damaged or holds no volume.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} is no npy file, or truncated: {error}; save it again with numpy.save") from None
    axes = place_axes(str(path), array.shape, None, options)
    return NpySource(path=path, kind="npy", shape=axes.shape, dtype=array.dtype, axes=axes)


class NpyReader(Reader):
    """Files of `numpy.save`."""

    formats = "npy"

    def recognizes(self, path: Path, first_bytes: bytes) -> bool:
        """By the first bytes."""
        return first_bytes.startswith(b"\x93NUMPY")

    def find(self, path: Path, options: IngestOptions) -> Source:
        """See `find_npy`."""
        return find_npy(path, options)


READER = NpyReader()
