"""Sources of voxels: where they lie, their shape and type, and how a box of them is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Box, Shape, box_between, box_of, box_text
from tomostat.ingest.axes import Axes
from tomostat.ingest.options import IngestOptions
from tomostat.plugins import Plugin
from tomostat.volume import Spacing

NAME_IT = "FILE:PATH, or dataset=PATH for all volumes (--ingest.dataset PATH)"
"""How one of several datasets of a file is chosen."""


@dataclass(frozen=True, kw_only=True)
class SourceRecord:
    """Where the voxels of a volume came from: small, and enough to see whether the source changed since.

    Attributes
    ----------
    path
        Name of the file or folder; its place is in the study file only, since volumes may be given away.
    kind
        Kind of file, such as ``BigTIFF``.
    reader, reader_version
        Name of the reader, and version of the package that offers it (empty for tomostat's own).
    dataset
        Path of the dataset inside the file, or None.
    shape
        Voxels (z, y, x).
    dtype
        Voxel type in the file, byte order included, such as ``>u2``.
    bytes
        Size of all files together.
    modified
        Time of the latest change of a file, ISO 8601 in UTC.
    """

    path: str
    kind: str
    reader: str
    reader_version: str
    dataset: str | None
    shape: Shape
    dtype: str
    bytes: int
    modified: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Source(ABC):
    """Voxels in a file or folder, found but not read.

    Attributes
    ----------
    path
        File or folder.
    kind
        Kind of file, for messages and provenance.
    shape
        Voxels (z, y, x); a single image has one slice.
    dtype
        Voxel type in the file, byte order included.
    chunk
        Smallest box (z, y, x) that is read at no extra cost: a page, a row, a chunk.
    spacing
        Voxel size (z, y, x) in micrometers; None where the file does not say.
    dataset
        Path of the dataset inside the file.
    attributes
        Metadata of a tomostat volume that its copy keeps, such as the density scale.
    files
        Files that hold the voxels; `path` alone when empty.
    start
        Where the first voxel (z, y, x) lies in the file.
    """

    path: Path
    kind: str
    shape: Shape
    dtype: np.dtype[Any]
    chunk: Shape = (1, 1, 1)
    spacing: Spacing | None = None
    dataset: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    start: Shape = (0, 0, 0)

    @abstractmethod
    def read(self, box: Box) -> NDArray[Any]:
        """Read a box (z, y, x) of voxels into an array of its own."""

    def read_all(self) -> NDArray[Any]:
        """Read all voxels (z, y, x)."""
        return self.read(box_of(self.shape))

    def record(self, reader: Plugin[Reader]) -> SourceRecord:
        """Provenance of the voxels, as stored with the volume."""
        stats = [path.stat() for path in self.files or (self.path,)]
        return SourceRecord(
            path=self.path.resolve().name,
            kind=self.kind,
            reader=reader.name,
            reader_version=reader.version,
            dataset=self.dataset,
            shape=self.shape,
            dtype=self.dtype.str,
            bytes=sum(stat.st_size for stat in stats),
            modified=datetime.fromtimestamp(max(stat.st_mtime for stat in stats), UTC).isoformat(),
        )

    def __str__(self) -> str:
        size = " x ".join(map(str, self.shape))
        dataset = f", dataset {self.dataset}" if self.dataset else ""
        voxel = "voxel size unknown"
        if self.spacing is not None:
            voxel = "voxels of " + " x ".join(f"{s:g}" for s in self.spacing) + " micrometers"
        return f"{self.kind}{dataset}: {size} {self.dtype.name}, {voxel}"


@dataclass(frozen=True, kw_only=True, eq=False)
class ArraySource(Source):
    """Voxels in an array of any number of axes.

    Attributes
    ----------
    axes
        Where (z, y, x) lie in the array.
    """

    axes: Axes


@dataclass(frozen=True, kw_only=True, eq=False)
class PartSource(Source):
    """A box of another source; only what lies in it is read.

    Attributes
    ----------
    whole
        The other source.
    """

    whole: Source

    @classmethod
    def of(cls, whole: Source, box: Box) -> PartSource:
        """A box (z, y, x) of a source; what it is made of is noted in its attributes.

        Raises
        ------
        ValueError
            When the box is empty, or reaches beyond the source.
        """
        if not all(0 <= part.start < part.stop <= n for part, n in zip(box, whole.shape, strict=True)):
            raise ValueError(
                f"box is {box_text(box)}; expected a part of {whole.path}, which is {box_text(box_of(whole.shape))}"
            )
        z, y, x = box
        return cls(
            path=whole.path, kind=whole.kind, shape=(z.stop - z.start, y.stop - y.start, x.stop - x.start),
            dtype=whole.dtype, chunk=whole.chunk, spacing=whole.spacing, dataset=whole.dataset, files=whole.files,
            attributes={**whole.attributes, "part": box_text(box)}, whole=whole, start=(z.start, y.start, x.start),
        )  # fmt: skip

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box (z, y, x) of the part."""
        low = [part.start + first for part, first in zip(box, self.start, strict=True)]
        return self.whole.read(box_between(low, [a + p.stop - p.start for a, p in zip(low, box, strict=True)]))


class Reader(ABC):
    """Reads files of one format.

    A reader is the object ``READER`` of a module in `tomostat.ingest.readers`, or an object that an installed package
    offers in the entry-point group ``tomostat.readers``.

    Attributes
    ----------
    formats
        Formats that it reads, for lists and messages.
    fallback
        Tried only when no other reader recognizes the file; takes shape and voxel type from the options.
    """

    formats: str
    fallback: bool = False

    @abstractmethod
    def recognizes(self, path: Path, first_bytes: bytes) -> bool:
        """Whether a file or folder is of this format.

        Parameters
        ----------
        path
            The file or folder; it exists.
        first_bytes
            The first 512 bytes of a file; empty for a folder.
        """

    @abstractmethod
    def find(self, path: Path, options: IngestOptions) -> Source:
        """Find the voxels in a file or folder without reading them.

        Raises
        ------
        ValueError
            When it is damaged or holds no volume.
        """
