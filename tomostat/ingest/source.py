"""What a source of voxels is: where it lies, its shape and type, and how to read a box of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tomostat.blocks import Box, Shape
from tomostat.ingest.options import IngestOptions
from tomostat.volume import Spacing

COLOURS = (3, 4)
"""Length of a last axis that holds colours."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Source(ABC):
    """Voxels in a file or folder, found but not read.

    Attributes
    ----------
    path
        File or folder.
    kind
        What it is, for people.
    shape
        Voxels (z, y, x); a single image has one slice.
    dtype
        Voxel type in the file, byte order included.
    unit
        Smallest box (z, y, x) that is read at no extra cost: a page, a row, a chunk.
    spacing
        Voxel size (z, y, x) in micrometers where the file tells it.
    dataset
        Path of the dataset inside the file.
    attributes
        What a tomostat volume noted about itself, such as its density scale.
    files
        Files that hold the voxels.
    """

    path: Path
    kind: str
    shape: Shape
    dtype: np.dtype[Any]
    unit: Shape = (1, 1, 1)
    spacing: Spacing | None = None
    dataset: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    @abstractmethod
    def read(self, box: Box) -> NDArray[Any]:
        """Read a box of voxels (z, y, x)."""

    def record(self) -> dict[str, Any]:
        """Where the voxels came from: small, and enough to see whether the source changed since."""
        stats = [path.stat() for path in self.files or (self.path,)]
        newest = datetime.fromtimestamp(max(stat.st_mtime for stat in stats), UTC)
        return {
            "path": str(self.path.resolve()), "kind": self.kind, "dataset": self.dataset, "shape": list(self.shape),
            "dtype": self.dtype.str, "bytes": sum(stat.st_size for stat in stats), "modified": newest.isoformat(),
        }  # fmt: skip

    def __str__(self) -> str:
        z, y, x = self.shape
        size = "voxel size unknown" if self.spacing is None else (
            "voxels of " + " x ".join(f"{s:g}" for s in self.spacing) + " micrometers")  # fmt: skip
        inside = f", dataset {self.dataset}" if self.dataset else ""
        return f"{self.kind}{inside}: {z} x {y} x {x} {self.dtype.name}, {size}"


@dataclass(frozen=True, kw_only=True, eq=False)
class ArraySource(Source):
    """Voxels in an array of any number of axes, of which two or three are longer than 1.

    Attributes
    ----------
    axes
        Which of the array's axes are (z, y, x), or (y, x) for a single image; all others have length 1.
    ndim
        Number of the array's axes.
    """

    axes: tuple[int, ...]
    ndim: int

    def pick(self, array: Any, box: Box) -> NDArray[Any]:
        """A box (z, y, x) of the array."""
        index: list[Any] = [0] * self.ndim
        for axis, part in zip(self.axes, box[-len(self.axes) :], strict=True):
            index[axis] = part
        found = np.asarray(array[tuple(index)])
        return found if len(self.axes) == 3 else found[np.newaxis]


class Reader(ABC):
    """Knows files of one kind. A reader is an object ``READER`` in a module of `tomostat.ingest.readers`, or one that an
    installed package offers in the group ``tomostat.readers`` of its entry points.

    Attributes
    ----------
    formats
        What it reads, for people.
    fallback
        Takes only what no other reader recognizes, and needs shape and type from the options.
    """

    formats: str
    fallback: bool = False

    @abstractmethod
    def recognizes(self, path: Path, start: bytes) -> bool:
        """Whether a file, whose first 16 bytes are `start`, or a folder (`start` is empty) is of this kind."""

    @abstractmethod
    def find(self, path: Path, options: IngestOptions) -> Source:
        """Look at a file without reading its voxels.

        Raises
        ------
        ValueError
            When it is damaged or holds no volume.
        """


def axes_over_one(shape: tuple[int, ...] | None) -> int:
    """Number of axes that are longer than 1."""
    return sum(n > 1 for n in shape or ())


def volume_axes(name: str, shape: Sequence[int], axes: Sequence[int] | None = None) -> tuple[int, ...]:
    """Which axes of an array are (z, y, x), or (y, x).

    Parameters
    ----------
    name
        The array, for messages.
    shape
        Shape of the array.
    axes
        The axes, where they are known; else leading axes of length 1 are left out.

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
    if len(found) == 3 and shape[found[2]] in COLOURS and min(shape[found[0]], shape[found[1]]) > 4 * max(COLOURS):
        raise ValueError(f"{name} has shape {text}: a colour image (RGB); expected one grey value per voxel")
    if len(found) > 3:
        raise ValueError(f"{name} has shape {text}; expected three axes z y x, one channel and one point in time")
    return found


def three(values: Sequence[int], axes: Sequence[int]) -> Shape:
    """Lengths (z, y, x) along these axes; 1 along a z that is not there."""
    picked = [int(values[axis]) for axis in axes]
    z, y, x = [1] * (3 - len(picked)) + picked
    return z, y, x


def target_dtype(name: str, dtype: DTypeLike) -> tuple[np.dtype[Any], int]:
    """The type in which voxels are stored, and what is added to them.

    uint8, uint16 and float32 stay as they are. int8 and int16 move up by half their range, without loss. float16
    becomes float32 without loss, float64 becomes float32 with 7 digits kept. All others are refused: integers of 32
    or 64 bits are labels or counts more often than grey values, and a silent rounding would hide that.

    Raises
    ------
    ValueError
        When the type is none of these.
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
