"""How voxels of a file become grey values of a volume: their type, and whether they are shifted or turned round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


@dataclass(frozen=True)
class Conversion:
    """How voxels of a source become grey values of the volume.

    Attributes
    ----------
    dtype
        Type in which they are stored.
    scale, shift
        Those of the file times `scale`, plus `shift`, are those of the volume; `scale` is -1 where they are turned
        round.
    """

    dtype: np.dtype[Any]
    scale: int
    shift: int

    def __call__(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Convert voxels, into an array of their own; what float32 cannot hold becomes infinite."""
        if (self.scale, self.shift) != (1, 0):
            wide = np.dtype(np.int32) if voxels.dtype.kind in "iu" else voxels.dtype
            voxels = voxels.astype(wide) * self.scale + self.shift
        with np.errstate(over="ignore"):
            return voxels.astype(self.dtype)


def find_conversion(name: str, dtype: DTypeLike, invert: bool = False) -> Conversion:
    """The conversion of voxels of a type.

    uint8, uint16 and float32 are kept. int8 and int16 are shifted up by half their range, without loss. float16
    becomes float32 without loss, float64 becomes float32 with 7 digits kept. All others are refused: integers of 32
    or 64 bits are labels or counts more often than grey values, and silent rounding would hide that.

    Parameters
    ----------
    name
        Name of the source, for messages.
    dtype
        Voxel type of the source.
    invert
        Turn grey values round.

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
            "are converted); give labels with --labels, and convert grey values first"
        )
    stored, shift = np.dtype(known[kind.name][0]), known[kind.name][1]
    if not invert:
        return Conversion(stored, 1, shift)
    white = 0 if stored.kind == "f" else int(np.iinfo(stored).max)
    return Conversion(stored, -1, white - shift)
