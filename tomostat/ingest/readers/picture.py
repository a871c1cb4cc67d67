"""PNG and JPEG pictures: single slices, or folders of slices."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Box
from tomostat.ingest.axes import place_axes
from tomostat.ingest.folders import files_of_folder, slices_of_folder
from tomostat.ingest.options import IngestOptions
from tomostat.ingest.readers.zarr import is_zarr_folder
from tomostat.ingest.source import ArraySource, Reader, Source

DECODERS = {b"\x89PNG\r\n\x1a\n": ("PNG", imagecodecs.png_decode), b"\xff\xd8\xff": ("JPEG", imagecodecs.jpeg_decode)}
"""Name and decoder of every format, by its first bytes."""

SUFFIXES = (".png", ".jpg", ".jpeg")
ORIENTATION = 274
"""Number of the EXIF tag that tells how a picture is turned."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureSource(ArraySource):
    """Slices that are pictures, one file each; `axes` are those of a picture."""

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box; every picture that it touches is decoded whole."""
        out = np.empty([s.stop - s.start for s in box], self.dtype)
        part = self.axes.part((slice(0, 1), box[1], box[2]))
        for i, path in enumerate(self.files[box[0]]):
            stored = _decode(path)
            if (stored.shape, stored.dtype) != (self.axes.lengths, self.dtype):
                raise ValueError(f"{path} has pixels {stored.dtype} {stored.shape}; expected {self.dtype} "
                                 f"{self.axes.lengths} as {self.files[0].name}")  # fmt: skip
            out[i] = self.axes.turn(stored[part])[0]
        return out


def _decode(path: Path) -> NDArray[Any]:
    """Pixels (ny, nx), or (ny, nx, colours) of a picture whose colours differ."""
    content = path.read_bytes()
    decode = next((decode for mark, (_, decode) in DECODERS.items() if content.startswith(mark)), None)
    if decode is None:
        raise ValueError(f"{path} is neither a PNG nor a JPEG picture")
    try:
        pixels = decode(content)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path} is a damaged picture: {error}") from None
    if pixels.ndim == 3 and pixels.shape[-1] in (2, 4) and np.ptp(pixels[..., -1]) == 0:
        pixels = pixels[..., :-1]  # opaque everywhere
    same = pixels.ndim == 3 and (pixels == pixels[..., :1]).all()
    return pixels[..., 0] if same else pixels


def _orientation(path: Path) -> int:
    """How a picture is turned, from its EXIF header; 1 without any."""
    with path.open("rb") as file:
        content = file.read(2**17)
    found = re.search(rb"(?:Exif\0\0|eXIf)(II\*\0|MM\0\*)", content)
    if found is None:
        return 1
    header, order = content[found.start(1) :], "<" if found[1][:1] == b"I" else ">"
    (first,) = struct.unpack_from(f"{order}I", header, 4)
    (count,) = struct.unpack_from(f"{order}H", header, first)
    for i in range(count):
        tag, _, _, value = struct.unpack_from(f"{order}HHIH", header, first + 2 + 12 * i)
        if tag == ORIENTATION:
            return int(value)
    return 1


def find_pictures(path: Path, options: IngestOptions) -> Source:
    """Find the voxels of a picture, or of a folder of pictures.

    Raises
    ------
    ValueError
        When a picture is damaged or in colour, or slices are missing.
    """
    files = slices_of_folder(path, SUFFIXES, options) if path.is_dir() else [path]
    stored = _decode(files[0])
    try:
        axes = place_axes(str(files[0]), stored.shape, "yxc"[: stored.ndim], options).oriented(_orientation(files[0]))
    except struct.error as error:
        raise ValueError(f"{files[0]} has a damaged EXIF header: {error}") from None
    _, ny, nx = axes.shape
    kind = next(name for mark, (name, _) in DECODERS.items() if files[0].read_bytes().startswith(mark))
    return PictureSource(
        path=path, kind=f"{kind} slices" if path.is_dir() else kind, shape=(len(files), ny, nx), dtype=stored.dtype,
        chunk=(1, ny, nx), axes=axes, files=tuple(files),
    )  # fmt: skip


class PictureReader(Reader):
    """PNG and JPEG pictures, and folders of them."""

    formats = "PNG and JPEG slices, and folders of them"

    def recognizes(self, path: Path, first_bytes: bytes) -> bool:
        """A file by its first bytes, a folder by the pictures in it, unless it is a zarr folder."""
        if not path.is_dir():
            return any(first_bytes.startswith(mark) for mark in DECODERS)
        return not is_zarr_folder(path) and bool(files_of_folder(path, SUFFIXES))

    def find(self, path: Path, options: IngestOptions) -> Source:
        """See `find_pictures`."""
        return find_pictures(path, options)


READER = PictureReader()
