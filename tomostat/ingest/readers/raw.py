"""Raw binary files: voxels whose shape and type come from the options, or from a text file beside them."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Box
from tomostat.ingest.axes import place_axes
from tomostat.ingest.foreign import foreign_format
from tomostat.ingest.options import IngestOptions
from tomostat.ingest.source import ArraySource, Reader, Source
from tomostat.volume import Spacing


@dataclass(frozen=True, kw_only=True, eq=False)
class RawSource(ArraySource):
    """A file of voxels.

    Attributes
    ----------
    offset
        First byte of the voxels.
    """

    offset: int

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box through a memory map."""
        return np.array(self.axes.select(np.memmap(self.path, self.dtype, "r", self.offset, self.axes.lengths), box))


def find_raw(path: Path, options: IngestOptions) -> Source:
    """Find the voxels of a raw file.

    Raises
    ------
    ValueError
        When it is a folder, or shape or type are missing or do not fit the size of the file.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder; expected a raw binary file")
    spacing = None
    sidecar = path.with_name(path.name + ".info")
    if sidecar.is_file() and options.shape is None and options.dtype is None:
        options, spacing = _read_sidecar(sidecar, options)
    if options.shape is None or options.dtype is None:
        with path.open("rb") as file:
            known = foreign_format(file.read(512))
        raise ValueError(f"{path} is {known}" if known else f"{path} is of no format that tomostat knows; if it is raw "
                         "binary, give its shape (z y x) and dtype (--ingest.shape, --ingest.dtype)")  # fmt: skip
    try:
        dtype = np.dtype(options.dtype)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind not in "iufbc":
        expected = "a voxel type such as uint8, '<u2' or '>f4'"
        raise ValueError(f"{path}: dtype is {options.dtype!r}; expected {expected}")
    needed, size = options.offset + math.prod(options.shape) * dtype.itemsize, path.stat().st_size
    if needed != size:
        shape = " x ".join(map(str, options.shape))
        hint = "shape and dtype"
        if size > needed and not options.offset:
            hint += f", and offset (a header of {size - needed} bytes?)"
        raise ValueError(f"{path} has {size} bytes; shape {shape} of {dtype.name} needs {needed}; check {hint}")
    axes = place_axes(str(path), options.shape, "zyx", options)
    return RawSource(
        path=path, kind="raw", shape=axes.shape, dtype=dtype, axes=axes, offset=options.offset, spacing=spacing
    )


def _read_sidecar(path: Path, options: IngestOptions) -> tuple[IngestOptions, Spacing | None]:
    """Shape, type and voxel size as PyHST, the program of the ESRF, writes them into ``NAME.vol.info``."""
    text = path.read_text(encoding="utf-8", errors="replace")
    values = {key.lower(): value for key, value in re.findall(r"^\s*(\w+)\s*=\s*([^\s#!]+)", text, re.MULTILINE)}
    try:
        z, y, x = (int(values[f"num_{axis}"]) for axis in "zyx")
        size = float(values["voxelsize"]) if "voxelsize" in values else 0.0  # in micrometers
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} does not tell shape and voxel size ({error}); give shape and dtype") from None
    dtype = ">f4" if "high" in values.get("byteorder", "").lower() else "<f4"
    found = dataclasses.replace(options, shape=(z, y, x), dtype=dtype)
    return found, (size, size, size) if 0 < size < math.inf else None


class RawReader(Reader):
    """Raw binary files: any file that no other reader recognizes."""

    formats = "raw binary (with its shape and type), and .vol with .vol.info"
    fallback = True

    def recognizes(self, path: Path, first_bytes: bytes) -> bool:
        """Any file."""
        return path.is_file()

    def find(self, path: Path, options: IngestOptions) -> Source:
        """See `find_raw`."""
        return find_raw(path, options)


READER = RawReader()
