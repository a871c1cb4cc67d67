"""TIFF: folders of slices, multi-page files, BigTIFF, ImageJ and OME stacks, read page by page."""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from tomostat.blocks import Box
from tomostat.ingest.axes import place_axes
from tomostat.ingest.folders import TAKE_ANYWAY, check_inside, slices_of_folder
from tomostat.ingest.ome import OmePlanes, read_ome
from tomostat.ingest.options import IngestOptions
from tomostat.ingest.readers.zarr import is_zarr_folder
from tomostat.ingest.source import ArraySource, Reader, Source
from tomostat.ingest.spacing import imagej_spacing, resolution_spacing
from tomostat.volume import Spacing

SUFFIXES = (".tif", ".tiff")
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF and BigTIFF."""
COLOURS = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
GREYS = (tifffile.PHOTOMETRIC.MINISWHITE, tifffile.PHOTOMETRIC.MINISBLACK)
"""Values of the tag PhotometricInterpretation for colours, and for one grey value per pixel."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TiffSource(ArraySource):
    """Voxels in TIFF files.

    Attributes
    ----------
    white
        Grey value of black where the file says that white is zero: values are subtracted from it. Else None.
    """

    white: int | None

    def shown(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Voxels whose bright values are large."""
        return voxels if self.white is None else np.subtract(self.white, voxels, dtype=voxels.dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class TiffPages(TiffSource):
    """Slices in pages of one or more TIFF files; `axes` are those of a page.

    Attributes
    ----------
    places
        For every slice, the number of its file in `files`, and the page in that file.
    """

    places: Sequence[tuple[int, int]]

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box, decoding only the strips or tiles that it overlaps."""
        out = np.empty([s.stop - s.start for s in box], self.dtype.newbyteorder("="))
        part = self.axes.part((slice(0, 1), box[1], box[2]))
        for number, slices in itertools.groupby(range(box[0].start, box[0].stop), lambda z: self.places[z][0]):
            with open_tiff(self.files[number]) as tif:
                for z in slices:
                    page = tif.pages[self.places[z][1]].aspage()
                    out[z - box[0].start] = self.axes.turn(_read_page(self.files[number], page, part))[0]
        return self.shown(out)


@dataclass(frozen=True, kw_only=True, eq=False)
class TiffBlock(TiffSource):
    """Slices that lie uncompressed and contiguous in one TIFF file.

    Attributes
    ----------
    offset
        First byte of the voxels.
    """

    offset: int

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box through a memory map."""
        stored = np.memmap(self.path, self.dtype, "r", self.offset, self.axes.lengths)
        return self.shown(np.array(self.axes.select(stored, box)))


@contextlib.contextmanager
def open_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
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


def _read_page(path: Path, page: Any, part: Sequence[int | slice]) -> NDArray[Any]:
    """Read part of a page, whose axes are rows, columns and possibly samples, into an array (rows, columns)."""
    named = dict(zip(page.axes, part, strict=True))
    rows, columns, sample = named["Y"], named["X"], named.get("S", 0)
    if page.is_memmappable:
        dtype = np.dtype(page.parent.byteorder + page.dtype.char)
        return np.array(np.memmap(path, dtype, "r", page.dataoffsets[0], page.shape)[tuple(part)])
    out = np.empty((rows.stop - rows.start, columns.stop - columns.start), page.dtype.newbyteorder("="))
    height, width = page.tilelength or page.rowsperstrip, page.tilewidth or page.imagewidth
    height = min(height, page.imagelength) if not page.is_tiled else height
    across, down = -(-page.imagewidth // width), -(-page.imagelength // height)
    planar = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and page.samplesperpixel > 1
    first, sample = (sample * across * down, 0) if planar else (0, sample)
    tops = range(rows.start // height, -(-rows.stop // height))
    lefts = range(columns.start // width, -(-columns.stop // width))
    for index in (first + top * across + left for top in tops for left in lefts):
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
        target[:] = 0 if piece is None else piece[0, _relative(shared_rows, y), _relative(shared_columns, x), sample]
    return out


def _relative(part: slice, origin: int) -> slice:
    """A slice counted from `origin`."""
    return slice(part.start - origin, part.stop - origin)


def find_tiff(path: Path, options: IngestOptions) -> Source:
    """Find the voxels of a TIFF file, or of a folder of TIFF slices.

    Raises
    ------
    ValueError
        When there is no TIFF file, when one is damaged or in colour, when slices or pages differ, or when some of them
        are missing.
    """
    if not path.is_dir():
        return _find_file(path, options)
    files = slices_of_folder(path, SUFFIXES, options)
    return _find_file(files[0], options) if len(files) == 1 else _find_slices(path, files, options)


@dataclass(frozen=True)
class _Image:
    """What all pages of a volume share."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    white_is_zero: bool
    orientation: int

    @classmethod
    def of(cls, page: Any) -> _Image:
        """What a page tells."""
        orientation = page.tags.get("Orientation")
        # of a mask, 1 is what it marks, whatever its colour: tifffile itself writes masks as "white is zero"
        white = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and page.dtype != np.bool_
        return cls(page.shape, np.dtype(page.dtype), white, 1 if orientation is None else int(orientation.value))

    def __str__(self) -> str:
        turned = f", orientation {self.orientation}" if self.orientation != 1 else ""
        white = ", white is zero" if self.white_is_zero else ""
        return f"{' x '.join(map(str, self.shape))} {self.dtype.name}{turned}{white}"

    def white(self, bits: int) -> int | None:
        """See `TiffSource`."""
        if not self.white_is_zero:
            return None
        return {"u": 2**bits - 1, "i": -1}.get(self.dtype.kind, 0)


@dataclass(frozen=True)
class _Planes:
    """Which page of which file holds which plane; both arrays have one axis for each of `axes`."""

    axes: str
    file: NDArray[Any]
    page: NDArray[Any]
    files: Sequence[Path]


def _find_slices(folder: Path, files: Sequence[Path], options: IngestOptions) -> Source:
    """The slices of a folder, one file each, in the order of `files`."""
    with open_tiff(files[0]) as first:
        for path in files:
            with open_tiff(path) as tif:
                if _check_pages(path, tif, first.pages.first) > 1:
                    raise ValueError(f"{path} holds {len(tif.pages)} pages; expected one slice per file, or give that "
                                     "file")  # fmt: skip
        numbers = np.arange(len(files))
        return _source(folder, "TIFF slices", first, _Planes("Z", numbers, 0 * numbers, files), options)


def _find_file(path: Path, options: IngestOptions) -> Source:
    """The pages of one file, and of those that it names as parts of a set."""
    with open_tiff(path) as tif:
        _check_pages(path, tif, tif.pages.first)
        kind = "BigTIFF" if tif.is_bigtiff else "TIFF"
        described = _described(path, tif)
        if described is not None and not options.incomplete:
            return _source(path, kind, tif, _planes_of_set(path, tif, described, options), options)
        if described is not None:
            numbers = np.arange(len(tif.pages))
            return _source(path, kind, tif, _Planes("Z", 0 * numbers, numbers, [path]), options)
        series = tif.series[0]
        lead = [(name, n) for name, n in zip(series.axes, series.shape, strict=True) if name not in "YXS"]
        numbers = np.arange(math.prod(n for _, n in lead)).reshape([n for _, n in lead])
        planes = _Planes("".join(name for name, _ in lead), 0 * numbers, numbers, [path])
        if series.dataoffset is not None:
            return _source(path, kind, tif, planes, options, series.dataoffset)
        if len(tif.series) > 1 or len(series.pages) != numbers.size:
            raise ValueError(f"{path} holds {len(tif.series)} images of {len(series.pages)} pages; expected one volume")
        return _source(path, kind, tif, planes, options)


def _described(path: Path, tif: tifffile.TiffFile) -> OmePlanes | None:
    """The only image that the file's OME-XML describes; None without any."""
    if not (tif.is_ome and tif.ome_metadata):
        return None
    images = read_ome(str(path), tif.ome_metadata)
    if len(images) > 1:
        raise ValueError(f"{path} holds {len(images)} images; expected one volume")
    return images[0] if images else None


def _planes_of_set(path: Path, tif: tifffile.TiffFile, image: OmePlanes, options: IngestOptions) -> _Planes:
    """Planes of an image that OME-XML describes, all of them present."""
    files = [path if name is None else check_inside(path, name, options) for name in image.files]
    pages = np.zeros(len(files), np.int64)
    for number in np.unique(image.file[image.file >= 0]).tolist():
        if not files[number].is_file():
            raise ValueError(f"{path} is one file of a set, of which {files[number].name} is missing; copy it as well, "
                             f"{TAKE_ANYWAY}")  # fmt: skip
        with open_tiff(files[number]) as other:
            pages[number] = _check_pages(files[number], other, tif.pages.first)
    held = (image.file >= 0) & (image.page < pages[image.file])
    if not held.all():
        missing = np.count_nonzero(~held)
        raise ValueError(f"{path}: its OME-XML lists {held.size} planes, of which {missing} are missing; copy or "
                         f"export it again, {TAKE_ANYWAY}")  # fmt: skip
    if held.size < len(tif.pages) and len(files) == 1:
        raise ValueError(f"{path} holds {len(tif.pages)} pages, of which its OME-XML lists {held.size}; export it "
                         "again, or take all pages with incomplete=True (--ingest.incomplete)")  # fmt: skip
    return _Planes(image.axes, image.file, image.page, files)


def _source(
    path: Path, kind: str, tif: tifffile.TiffFile, planes: _Planes, options: IngestOptions, offset: int | None = None
) -> Source:
    """The source of planes that are like the first page of an open file.

    Of voxels that lie contiguous from a byte `offset` on, the axes are those of all planes; else those of a page.
    """
    page: Any = tif.pages.first
    image, lead = _Image.of(page), planes.page.ndim
    lengths, names = (*planes.page.shape, *page.shape), planes.axes + page.axes
    axes = place_axes(str(tif.filehandle.path), lengths, names, options).oriented(image.orientation)
    z = axes.space[0]
    if z is not None and z >= lead:
        raise ValueError(f"{path} holds {lengths[z]} values per pixel; expected one grey value per voxel")
    dtype = np.dtype(tif.byteorder + page.dtype.char)
    packed = {"Y": page.chunks[0], "X": page.chunks[1]} if offset is None and not page.is_memmappable else {}
    spacing = _spacing(path, tif)
    if spacing is not None and axes.space[1] > axes.space[2]:  # rows and columns are exchanged
        spacing = spacing[0], spacing[2], spacing[1]
    shared = {
        "path": path, "kind": kind + ", white is zero" * image.white_is_zero, "shape": axes.shape, "dtype": dtype,
        "chunk": axes.pick([packed.get(name, 1) for name in names], 1), "spacing": spacing,
        "white": image.white(page.bitspersample),
    }  # fmt: skip
    if offset is not None:
        end, size = offset + math.prod(lengths) * dtype.itemsize, path.stat().st_size
        if end > size:
            raise ValueError(f"{path} is truncated: {size} bytes of {end}; copy or export it again")
        return TiffBlock(**shared, axes=axes, offset=offset)
    chosen = tuple(slice(None) if axis == z else index for axis, index in enumerate(axes.index[:lead]))
    places = zip(np.atleast_1d(planes.file[chosen]).tolist(), np.atleast_1d(planes.page[chosen]).tolist(), strict=True)
    return TiffPages(**shared, axes=axes.without(lead), places=tuple(places), files=tuple(planes.files))


def _check_pages(path: Path, tif: tifffile.TiffFile, like: Any) -> int:
    """Number of pages of a file; refuses those that differ from the page `like`, and what `_check_page` refuses."""
    image = _Image.of(like)
    for page in tif.pages:
        _check_page(path, page)
        if _Image.of(page) != image:
            other = like.parent.filehandle.name
            than = "the first one" if other == path.name else other
            raise ValueError(f"{path} is {_Image.of(page)} in page {page.index} but {than} is {image}; expected slices "
                             "of one size and type")  # fmt: skip
    return len(tif.pages)


def _check_page(path: Path, page: Any) -> None:
    """Refuse palettes and pages that the file does not hold in full."""
    if page.photometric not in GREYS + COLOURS and not (
        page.photometric == tifffile.PHOTOMETRIC.PALETTE
        and page.parent.is_imagej  # grey values, shown in false colours
    ):
        colour = getattr(page.photometric, "name", page.photometric)
        raise ValueError(f"{path} is a colour image ({colour}); expected one grey value per voxel, convert it to grey")
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    size = path.stat().st_size
    if not ends or max(ends) > size:
        raise ValueError(f"{path} is truncated: page {page.index} ends at byte {max(ends, default=0)}, the file at "
                         f"{size}; copy or export it again")  # fmt: skip


def _spacing(path: Path, tif: tifffile.TiffFile) -> Spacing | None:
    """Voxel size from the metadata of OME or ImageJ, or from the resolution tags."""
    page: Any = tif.pages.first
    described = _described(path, tif)
    if described is not None and described.spacing is not None:
        return described.spacing
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
        return find_tiff(path, options)


READER = TiffReader()
