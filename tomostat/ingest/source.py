"""Sources of voxels: where they lie, their shape and type, and how a box of them is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tomostat.blocks import Box, Shape
from tomostat.ingest.options import IngestOptions
from tomostat.plugins import Plugin
from tomostat.volume import Spacing

COLOUR_CHANNELS = (3, 4)
"""Lengths of a last axis that holds colours: RGB and RGBA."""


@dataclass(frozen=True, kw_only=True)
class SourceRecord:
    """Where the voxels of a volume came from: small, and enough to see whether the source changed since.

    Attributes
    ----------
    path
        Absolute path of the file or folder.
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

    @abstractmethod
    def read(self, box: Box) -> NDArray[Any]:
        """Read a box (z, y, x) of voxels into an array of its own."""

    def record(self, reader: Plugin[Reader]) -> SourceRecord:
        """Provenance of the voxels, as stored with the volume."""
        stats = [path.stat() for path in self.files or (self.path,)]
        return SourceRecord(
            path=str(self.path.resolve()),
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
    """Voxels in an array of any number of axes, of which two or three are longer than 1.

    Attributes
    ----------
    axes
        Which of the array's axes are (z, y, x), or (y, x) for a single image; all others have length 1.
    """

    axes: tuple[int, ...]

    def select(self, array: Any, box: Box) -> NDArray[Any]:
        """A box (z, y, x) of the array."""
        index: list[Any] = [0] * array.ndim
        for axis, part in zip(self.axes, box[-len(self.axes) :], strict=True):
            index[axis] = part
        voxels = np.asarray(array[tuple(index)])
        return voxels if len(self.axes) == 3 else voxels[np.newaxis]


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
            The first 16 bytes of a file; empty for a folder.
        """

    @abstractmethod
    def find(self, path: Path, options: IngestOptions) -> Source:
        """Find the voxels in a file or folder without reading them.

        Raises
        ------
        ValueError
            When it is damaged or holds no volume.
        """


def count_long_axes(shape: tuple[int, ...] | None) -> int:
    """Number of axes that are longer than 1."""
    return sum(n > 1 for n in shape or ())


def volume_axes(name: str, shape: Sequence[int], axes: Sequence[int] | None = None) -> tuple[int, ...]:
    """Which axes of an array are (z, y, x), or (y, x).

    Parameters
    ----------
    name
        Name of the array, for messages.
    shape
        Shape of the array.
    axes
        Its axes in the order ..., z, y, x where the file names them; the array's own order when None. Leading axes of
        length 1 are left out.

    Raises
    ------
    ValueError
        When the array is empty, in colour, or has too few or too many axes.
    """
    text = " x ".join(map(str, shape))
    if min(shape, default=0) < 1 or len(shape) < 2:
        raise ValueError(f"{name} has shape {text or '()'}; expected a volume z y x, or an image y x")
    found = tuple(range(len(shape))) if axes is None else tuple(axes)
    while len(found) > 3 and shape[found[0]] == 1:
        found = found[1:]
    if len(found) == 3 and shape[found[2]] in COLOUR_CHANNELS:
        if min(shape[found[0]], shape[found[1]]) > 4 * max(COLOUR_CHANNELS):
            raise ValueError(f"{name} has shape {text}: a colour image (RGB); expected one grey value per voxel")
    if len(found) > 3:
        raise ValueError(f"{name} has shape {text}; expected three axes z y x, one channel and one point in time")
    return found


def lengths_zyx(lengths: Sequence[int], axes: Sequence[int]) -> Shape:
    """Lengths along `axes` as (z, y, x); 1 along z where there are only two axes."""
    chosen = [int(lengths[axis]) for axis in axes]
    z, y, x = [1] * (3 - len(chosen)) + chosen
    return z, y, x


def target_dtype(name: str, dtype: DTypeLike) -> tuple[np.dtype[Any], int]:
    """The type in which voxels are stored, and what is added to their grey values.

    uint8, uint16 and float32 are kept. int8 and int16 are shifted up by half their range, without loss. float16
    becomes float32 without loss, float64 becomes float32 with 7 digits kept. All others are refused: integers of 32
    or 64 bits are labels or counts more often than grey values, and silent rounding would hide that.

    Parameters
    ----------
    name
        Name of the source, for messages.
    dtype
        Voxel type of the source.

    Raises
    ------
    ValueError
        When the type is not one of these.
    """
    kind = np.dtype(dtype)
    known = {"uint8": ("uint8", 0), "uint16": ("uint16", 0), "float32": ("float32", 0), "int8": ("uint8", 128),
             "int16": ("uint16", 32768), "float16": ("float32", 0), "float64": ("float32", 0)}  # fmt: skip
    if kind.name not in known:
        raise ValueError(
            f"{name} holds {kind.name} voxels; expected uint8, uint16 or float32 (int8, int16, float16 and float64 "
            "are converted); convert it first"
        )
    stored, offset = known[kind.name]
    return np.dtype(stored), offset
