"""Reads ``.stk``: a line of text with shape and voxel size, then uint8 voxels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tomostat.ingest import IngestOptions, Reader, Source


@dataclass(frozen=True, kw_only=True, eq=False)
class StkSource(Source):
    """Voxels behind a line of text."""

    offset: int

    def read(self, box):
        """Read a box through a memory map."""
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)[box].copy()


class StkReader(Reader):
    """Files that begin with ``STK``."""

    formats = "stk"

    def recognizes(self, path: Path, start: bytes) -> bool:
        """By the first bytes."""
        return start.startswith(b"STK ")

    def find(self, path: Path, options: IngestOptions) -> Source:
        """Read the line of text."""
        with path.open("rb") as file:
            line = file.readline()
        _, z, y, x, spacing = line.split()
        size = (float(spacing),) * 3
        return StkSource(
            path=path, kind="stk", shape=(int(z), int(y), int(x)), dtype=np.dtype("u1"), spacing=size, offset=len(line)
        )


READER = StkReader()
