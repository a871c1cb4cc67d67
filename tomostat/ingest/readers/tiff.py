"""TIFF: folders of slices, multi-page files, BigTIFF, ImageJ and OME stacks, read page by page."""

from __future__ import annotations

import contextlib
import logging
import re
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from tomostat.blocks import Box, Shape
from tomostat.ingest import spacing as sizes
from tomostat.ingest.options import IngestOptions
from tomostat.ingest.source import COLOURS, Reader, Source
from tomostat.volume import Spacing

logger = logging.getLogger(__name__)

SUFFIXES = (".tif", ".tiff")
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF and BigTIFF."""
GREY = (tifffile.PHOTOMETRIC.MINISWHITE, tifffile.PHOTOMETRIC.MINISBLACK)


@dataclass(frozen=True, kw_only=True, eq=False)
class TiffSlices(Source):
    """A folder of single-page TIFF files, one per slice."""

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box, decoding only the strips or tiles that it touches."""
        out = np.empty([s.stop - s.start for s in box], self.dtype.newbyteorder("="))
        for i, path in enumerate(self.files[box[0]]):
            with _open(path) as tif:
                _read_page(path, tif.pages.first, box[1], box[2], out[i])
        return out


@dataclass(frozen=True, kw_only=True, eq=False)
class TiffStack(Source):
    """One TIFF file that holds all slices.

    Attributes
    ----------
    offset
        Byte at which the voxels start, where they lie in one uncompressed piece; else None.
    """

    offset: int | None

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box: memory-mapped where the file allows it, else page by page."""
        if self.offset is not None:
            return np.array(np.memmap(self.path, self.dtype, "r", self.offset, self.shape)[box])
        out = np.empty([s.stop - s.start for s in box], self.dtype.newbyteorder("="))
        with _open(self.path) as tif:
            pages = tif.series[0].pages
            for i, z in enumerate(range(box[0].start, box[0].stop)):
                _read_page(self.path, pages[z].aspage(), box[1], box[2], out[i])
        return out


@contextlib.contextmanager
def _open(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF file; what tifffile only logs about a broken chain of pages is an error here."""
    noted: list[str] = []

    def note(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR and record.thread == threading.get_ident():
            noted.append(record.getMessage())
        return False

    log = logging.getLogger("tifffile")
    log.addFilter(note)
    try:
        with tifffile.TiffFile(path) as tif:
            len(tif.pages)  # walks the chain of pages
            broken = [text for text in noted if "offset" in text or "corrupted" in text]
            if broken:
                raise ValueError(f"{path} is damaged or truncated ({broken[0]}); copy or export it again")
            yield tif
    except (tifffile.TiffFileError, struct.error, IndexError) as error:
        raise ValueError(f"{path} is no TIFF file, or damaged: {error}") from None
    finally:
        log.removeFilter(note)


def _read_page(path: Path, page: Any, rows: slice, columns: slice, out: NDArray[Any]) -> None:
    """Read part of a page into `out` (rows, columns)."""
    if page.is_memmappable:
        dtype = np.dtype(page.parent.byteorder + page.dtype.char)
        out[:] = np.memmap(path, dtype, "r", page.dataoffsets[0], (page.imagelength, page.imagewidth))[rows, columns]
        return
    height, width = page.chunks[:2]
    across = -(-page.imagewidth // width)
    tops = range(rows.start // height, -(-rows.stop // height))
    lefts = range(columns.start // width, -(-columns.stop // width))
    for index in (top * across + left for top in tops for left in lefts):
        page.parent.filehandle.seek(page.dataoffsets[index])
        packed = page.parent.filehandle.read(page.databytecounts[index])
        try:
            piece, place, _ = page.decode(packed, index)
        except (RuntimeError, ValueError, OSError, TypeError) as error:
            raise ValueError(f"{path}: page {page.index} cannot be decoded ({error}); export it again") from error
        y, x = place[2], place[3]
        inside = (slice(max(rows.start, y), min(rows.stop, y + height, page.imagelength)),
                  slice(max(columns.start, x), min(columns.stop, x + width, page.imagewidth)))  # fmt: skip
        target = out[_moved(inside[0], rows.start), _moved(inside[1], columns.start)]
        target[:] = 0 if piece is None else piece[0, _moved(inside[0], y), _moved(inside[1], x), 0]


def _moved(part: slice, origin: int) -> slice:
    return slice(part.start - origin, part.stop - origin)


def find_tiff(path: Path) -> Source:
    """A TIFF file, or a folder of TIFF slices.

    Raises
    ------
    ValueError
        When there is none, when it is damaged or in colour, or when slices differ.
    """
    if not path.is_dir():
        return _find_stack(path)
    files = natural_order(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"{path} holds no TIFF files; expected a folder of slices *.tif or *.tiff")
    return _find_stack(files[0]) if len(files) == 1 else _find_slices(path, files)


def natural_order(files: Any) -> list[Path]:
    """Files ordered as a person would: slice_9 before slice_10."""

    def key(path: Path) -> tuple[list[tuple[int, str]], str]:
        parts = re.split(r"(\d+)", path.name)
        return [(int(part), "") if i % 2 else (-1, part.lower()) for i, part in enumerate(parts)], path.name

    return sorted(files, key=key)


def _find_slices(folder: Path, files: Sequence[Path]) -> Source:
    first: tuple[Any, ...] | None = None
    for path in files:
        with _open(path) as tif:
            page = tif.pages.first
            if len(tif.pages) > 1:
                raise ValueError(f"{path} holds {len(tif.pages)} pages; expected one slice per file, or give that file")
            _check_page(path, page)
            this = (page.shape, np.dtype(page.dtype))
            if first is None:
                first, spacing = this, _spacing(tif)
                unit, dtype = _unit(page), np.dtype(tif.byteorder + page.dtype.char)
            elif this != first:
                raise ValueError(f"{path} is {_told(this)} but {files[0].name} is {_told(first)}; "
                                 "expected slices of one size and type")  # fmt: skip
    ny, nx = first[0]  # type: ignore[index]
    return TiffSlices(
        path=folder, kind="TIFF slices", shape=(len(files), ny, nx), dtype=dtype, unit=unit, spacing=spacing,
        files=tuple(files),
    )  # fmt: skip


def _told(image: tuple[Any, ...]) -> str:
    return f"{' x '.join(map(str, image[0]))} {image[1].name}"


def _find_stack(path: Path) -> Source:
    with _open(path) as tif:
        pages = {(page.shape, np.dtype(page.dtype)) for page in tif.pages}
        if len(pages) > 1:
            told = " and ".join(sorted(_told(page) for page in pages))
            raise ValueError(f"{path} holds pages of {told}; expected pages of one size and type")
        first = tif.pages.first
        for page in tif.pages:
            _check_page(path, page)
        series = tif.series[0]
        shape = _stack_shape(path, series)
        dtype = np.dtype(tif.byteorder + first.dtype.char)
        offset = series.dataoffset
        if offset is None and (len(tif.series) > 1 or len(series.pages) != shape[0]):
            raise ValueError(f"{path} holds {len(tif.series)} images of {len(series.pages)} pages; expected one volume")
        end = 0 if offset is None else offset + int(np.prod(shape)) * dtype.itemsize
        if end > path.stat().st_size:
            raise ValueError(f"{path} is truncated: {path.stat().st_size} bytes of {end}; copy or export it again")
        kind = "BigTIFF" if tif.is_bigtiff else "TIFF"
        unit = (1, 1, 1) if offset is not None else _unit(first)
        return TiffStack(
            path=path, kind=kind, shape=shape, dtype=dtype, unit=unit, spacing=_spacing(tif), offset=offset,
        )  # fmt: skip


def _stack_shape(path: Path, series: Any) -> Shape:
    """Shape (z, y, x) of a series of pages."""
    axes = [(name, n) for name, n in zip(series.axes, series.shape, strict=True) if n > 1 or name in "ZYX"]
    names = "".join(name for name, _ in axes)
    told = ", ".join(f"{name} {n}" for name, n in axes)
    if "S" in names or dict(axes).get("C", 9) <= max(COLOURS):  # more channels than that are slices, wrongly named
        raise ValueError(f"{path} holds colours or channels ({told}); expected one grey value per voxel")
    if not names.endswith("YX") or len(names) > 3:
        raise ValueError(f"{path} has axes {told}; expected slices (z) of images (y, x)")
    z, y, x = [1] * (3 - len(axes)) + [int(n) for _, n in axes]
    return z, y, x


def _check_page(path: Path, page: Any) -> None:
    """Refuse colours and pages that the file does not hold in full."""
    if page.samplesperpixel != 1 or page.photometric not in GREY:
        colour = getattr(page.photometric, "name", page.photometric)
        raise ValueError(f"{path} is a colour image ({colour}); expected one grey value per voxel, convert it to grey")
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    size = path.stat().st_size
    if not ends or max(ends) > size:
        raise ValueError(f"{path} is truncated: page {page.index} ends at byte {max(ends, default=0)}, the file at "
                         f"{size}; copy or export it again")  # fmt: skip


def _unit(page: Any) -> Shape:
    """What is decoded at once: a strip or a tile; of uncompressed pages, a row."""
    if page.is_memmappable:
        return 1, 1, 1
    return 1, int(page.chunks[0]), int(page.chunks[1])


def _spacing(tif: tifffile.TiffFile) -> Spacing | None:
    """Voxel size as the file tells it: ImageJ, OME, or the resolution tags."""
    page: Any = tif.pages.first
    if tif.is_ome and tif.ome_metadata and (found := sizes.from_ome(tif.ome_metadata)):
        return found
    if tif.imagej_metadata and (found := sizes.from_imagej(tif.imagej_metadata, page.resolution)):
        return found
    return sizes.from_resolution(page.resolution, page.resolutionunit)


class TiffReader(Reader):
    """TIFF files, and folders of them."""

    formats = "TIFF stacks and folders of TIFF slices"

    def recognizes(self, path: Path, start: bytes) -> bool:
        """By the first bytes; of folders, by TIFF files in it."""
        inside = path.iterdir() if path.is_dir() else ()
        return start[:4] in MAGIC or any(file.suffix.lower() in SUFFIXES for file in inside)

    def find(self, path: Path, options: IngestOptions) -> Source:
        """See `find_tiff`."""
        return find_tiff(path)


READER = TiffReader()
