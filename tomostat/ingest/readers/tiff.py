"""TIFF: folders of slices, multi-page files, BigTIFF, ImageJ and OME stacks, read page by page."""

from __future__ import annotations

import contextlib
import logging
import re
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from tomostat.blocks import Box, Shape
from tomostat.ingest.options import IngestOptions
from tomostat.ingest.readers.zarr import is_zarr_folder
from tomostat.ingest.source import COLOUR_CHANNELS, Reader, Source
from tomostat.ingest.spacing import imagej_spacing, ome_spacing, resolution_spacing
from tomostat.volume import Spacing

SUFFIXES = (".tif", ".tiff")
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF and BigTIFF."""
GREY_PHOTOMETRICS = (tifffile.PHOTOMETRIC.MINISWHITE, tifffile.PHOTOMETRIC.MINISBLACK)
"""Values of the tag PhotometricInterpretation for one grey value per pixel."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TiffSlices(Source):
    """A folder of single-page TIFF files, one per slice."""

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box, decoding only the strips or tiles that it overlaps."""
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
        First byte of the voxels where they are stored uncompressed and contiguous; else None.
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
    """Open a TIFF file; a broken chain of pages, which tifffile only logs, raises an error."""
    errors: list[str] = []

    def collect(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR and record.thread == threading.get_ident():
            errors.append(record.getMessage())
        return False

    log = logging.getLogger("tifffile")
    log.addFilter(collect)
    try:
        with tifffile.TiffFile(path) as tif:
            len(tif.pages)  # follows the chain of pages to its end
            broken = [text for text in errors if "offset" in text or "corrupted" in text]
            if broken:
                raise ValueError(f"{path} is damaged or truncated ({broken[0]}); copy or export it again")
            yield tif
    except (tifffile.TiffFileError, struct.error, IndexError) as error:
        raise ValueError(f"{path} is no TIFF file, or damaged: {error}") from None
    finally:
        log.removeFilter(collect)


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
            piece, position, _ = page.decode(packed, index)
        except (RuntimeError, ValueError, OSError, TypeError) as error:
            raise ValueError(f"{path}: page {page.index} cannot be decoded ({error}); export it again") from error
        y, x = position[2], position[3]
        shared_rows = slice(max(rows.start, y), min(rows.stop, y + height, page.imagelength))
        shared_columns = slice(max(columns.start, x), min(columns.stop, x + width, page.imagewidth))
        target = out[_relative(shared_rows, rows.start), _relative(shared_columns, columns.start)]
        target[:] = 0 if piece is None else piece[0, _relative(shared_rows, y), _relative(shared_columns, x), 0]


def _relative(part: slice, origin: int) -> slice:
    """A slice counted from `origin`."""
    return slice(part.start - origin, part.stop - origin)


def find_tiff(path: Path) -> Source:
    """Find the voxels of a TIFF file, or of a folder of TIFF slices.

    Raises
    ------
    ValueError
        When there is no TIFF file, when one is damaged or in colour, or when slices or pages differ.
    """
    if not path.is_dir():
        return _find_stack(path)
    files = natural_order(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"{path} holds no TIFF files; expected a folder of slices *.tif or *.tiff")
    return _find_stack(files[0]) if len(files) == 1 else _find_slices(path, files)


def natural_order(files: Iterable[Path]) -> list[Path]:
    """Files in natural order, numbers in names by their value: slice_9 before slice_10."""

    def key(path: Path) -> tuple[list[tuple[int, str]], str]:
        parts = re.split(r"(\d+)", path.name)
        return [(int(part), "") if i % 2 else (-1, part.lower()) for i, part in enumerate(parts)], path.name

    return sorted(files, key=key)


def _find_slices(folder: Path, files: Sequence[Path]) -> Source:
    """The slices of a folder, one file each, in the order of `files`."""
    first: tuple[Any, ...] | None = None
    for path in files:
        with _open(path) as tif:
            page = tif.pages.first
            if len(tif.pages) > 1:
                raise ValueError(f"{path} holds {len(tif.pages)} pages; expected one slice per file, or give that file")
            _check_page(path, page)
            image = (page.shape, np.dtype(page.dtype))
            if first is None:
                first, spacing = image, _spacing(tif)
                chunk, dtype = _page_chunk(page), np.dtype(tif.byteorder + page.dtype.char)
            elif image != first:
                raise ValueError(f"{path} is {_size_and_type(image)} but {files[0].name} is {_size_and_type(first)}; "
                                 "expected slices of one size and type")  # fmt: skip
    ny, nx = first[0]  # type: ignore[index]
    return TiffSlices(
        path=folder, kind="TIFF slices", shape=(len(files), ny, nx), dtype=dtype, chunk=chunk, spacing=spacing,
        files=tuple(files),
    )  # fmt: skip


def _size_and_type(image: tuple[Any, ...]) -> str:
    """Shape and voxel type of an image, for messages."""
    return f"{' x '.join(map(str, image[0]))} {image[1].name}"


def _find_stack(path: Path) -> Source:
    """The pages of one file."""
    with _open(path) as tif:
        pages = list(tif.pages)  # parsed once: tifffile keeps none
        images = {(page.shape, np.dtype(page.dtype)) for page in pages}
        if len(images) > 1:
            listed = " and ".join(sorted(_size_and_type(image) for image in images))
            raise ValueError(f"{path} holds pages of {listed}; expected pages of one size and type")
        first = tif.pages.first
        for page in pages:
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
        chunk = (1, 1, 1) if offset is not None else _page_chunk(first)
        return TiffStack(
            path=path, kind=kind, shape=shape, dtype=dtype, chunk=chunk, spacing=_spacing(tif), offset=offset,
        )  # fmt: skip


def _stack_shape(path: Path, series: Any) -> Shape:
    """Shape (z, y, x) of a series of pages."""
    axes = [(name, n) for name, n in zip(series.axes, series.shape, strict=True) if n > 1 or name in "ZYX"]
    names = "".join(name for name, _ in axes)
    listed = ", ".join(f"{name} {n}" for name, n in axes)
    if "S" in names or dict(axes).get("C", 9) <= max(
        COLOUR_CHANNELS
    ):  # more channels than that are slices under a wrong name
        raise ValueError(f"{path} holds colours or channels ({listed}); expected one grey value per voxel")
    if not names.endswith("YX") or len(names) > 3:
        raise ValueError(f"{path} has axes {listed}; expected slices (z) of images (y, x)")
    z, y, x = [1] * (3 - len(axes)) + [int(n) for _, n in axes]
    return z, y, x


def _check_page(path: Path, page: Any) -> None:
    """Refuse colours and pages that the file does not hold in full."""
    if page.samplesperpixel != 1 or page.photometric not in GREY_PHOTOMETRICS:
        colour = getattr(page.photometric, "name", page.photometric)
        raise ValueError(f"{path} is a colour image ({colour}); expected one grey value per voxel, convert it to grey")
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    size = path.stat().st_size
    if not ends or max(ends) > size:
        raise ValueError(f"{path} is truncated: page {page.index} ends at byte {max(ends, default=0)}, the file at "
                         f"{size}; copy or export it again")  # fmt: skip


def _page_chunk(page: Any) -> Shape:
    """Smallest box (z, y, x) that is decoded at once: a strip or a tile; one pixel of uncompressed pages."""
    if page.is_memmappable:
        return 1, 1, 1
    return 1, int(page.chunks[0]), int(page.chunks[1])


def _spacing(tif: tifffile.TiffFile) -> Spacing | None:
    """Voxel size from the metadata of OME or ImageJ, or from the resolution tags."""
    page: Any = tif.pages.first
    if tif.is_ome and tif.ome_metadata and (found := ome_spacing(tif.ome_metadata)):
        return found
    if tif.imagej_metadata and (found := imagej_spacing(tif.imagej_metadata, page.resolution)):
        return found
    return resolution_spacing(page.resolution, page.resolutionunit)


class TiffReader(Reader):
    """TIFF files, and folders of TIFF slices."""

    formats = "TIFF stacks and folders of TIFF slices (*.tif, *.tiff)"

    def recognizes(self, path: Path, first_bytes: bytes) -> bool:
        """A file by its first bytes, a folder by the TIFF files in it, unless it is a zarr folder."""
        if not path.is_dir():
            return first_bytes[:4] in MAGIC
        if is_zarr_folder(path):
            return False
        return any(file.suffix.lower() in SUFFIXES for file in path.iterdir())

    def find(self, path: Path, options: IngestOptions) -> Source:
        """See `find_tiff`."""
        return find_tiff(path)


READER = TiffReader()
