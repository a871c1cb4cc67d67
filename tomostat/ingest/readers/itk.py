"""NRRD, NIfTI and MetaImage, read by SimpleITK where that is installed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Box
from tomostat.ingest.axes import place_axes
from tomostat.ingest.folders import check_inside
from tomostat.ingest.options import IngestOptions
from tomostat.ingest.source import ArraySource, Reader, Source
from tomostat.ingest.spacing import axes_spacing, plausible

DATA_FILE = re.compile(rb"^(?:ElementDataFile|data ?file)\s*[:=]\s*([^\r\n]+?)\s*$", re.MULTILINE)
"""Where the header of an NRRD or MetaImage file names the file that holds the voxels."""

UNITS = re.compile(rb'^space units\s*:\s*"?([^\s"]+)', re.MULTILINE)
"""Where an NRRD header tells the unit of its first axis; ITK does not pass it on."""

HEADER_BYTES = 2**16
"""Bytes in which the name of that file is looked for."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ItkSource(ArraySource):
    """An image that SimpleITK reads; its axes in numpy's order."""

    def read(self, box: Box) -> NDArray[Any]:
        """Read a box; ITK reads the part that holds it, or all of a packed file."""
        part = self.axes.part(box)
        runs = [run if isinstance(run, slice) else slice(run, run + 1) for run in part]
        reader = _simpleitk(self.path).ImageFileReader()
        reader.SetFileName(str(self.path))
        reader.ReadImageInformation()
        inner = runs[: len(reader.GetSize())][::-1]  # without the axis of components, and in ITK's order: x first
        reader.SetExtractIndex([run.start for run in inner])
        reader.SetExtractSize([run.stop - run.start for run in inner])
        array = _simpleitk(self.path).GetArrayFromImage(reader.Execute())
        shifted = [slice(None) if isinstance(one, slice) else 0 for one in part[: len(inner)]]
        return self.axes.turn(array[tuple([*shifted, *part[len(inner) :]])])


def find_itk(path: Path, options: IngestOptions) -> Source:
    """Find the voxels of an NRRD, NIfTI or MetaImage file.

    Raises
    ------
    ValueError
        When it is damaged, its voxels lie outside its folder, or SimpleITK is not installed.
    """
    library = _simpleitk(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder; expected an NRRD, NIfTI or MetaImage file")
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    kind = _kind(path, header)
    if kind is None:
        raise ValueError(f"{path} is no NRRD, NIfTI or MetaImage file")
    header = header.partition(b"\n\n")[0]
    named = DATA_FILE.search(header)
    files = [path]
    if named and named[1] not in (b"LOCAL", b"LIST"):
        files.append(check_inside(path, named[1].decode(errors="replace"), options))
    reader = library.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        reason = " ".join(str(error).split()).rpartition("ERROR: ")[2]
        raise ValueError(f"{path} is a damaged {kind} file: {reason}") from None
    names = "xyzt"[: len(reader.GetSize())][::-1]
    lengths, components = tuple(reader.GetSize()[::-1]), reader.GetNumberOfComponents()
    if components > 1:
        names, lengths = names + "c", (*lengths, components)
    axes = place_axes(str(path), lengths, names, options)
    unit = UNITS.search(header)
    dtype = library.GetArrayFromImage(library.Image([1] * len(reader.GetSize()), reader.GetPixelID())).dtype
    steps = axes.pick((*reader.GetSpacing()[::-1], *[1.0] * (components > 1)))
    spacing = plausible(axes_spacing(steps, ("mm",) * 3)) if unit is None else axes_spacing(steps, (unit[1],) * 3)
    return ItkSource(
        path=path, kind=kind, shape=axes.shape, dtype=np.dtype(dtype), axes=axes, files=tuple(files),
        spacing=spacing,
    )  # fmt: skip


def _kind(path: Path, first_bytes: bytes) -> str | None:
    """Format of a file; None if it is none of these."""
    if first_bytes.startswith(b"NRRD"):
        return "NRRD"
    if first_bytes.startswith((b"ObjectType", b"NDims")):
        return "MetaImage"
    plain = first_bytes[344:348] in (b"n+1\0", b"ni1\0") or first_bytes[4:8] in (b"n+2\0", b"ni2\0")
    packed = first_bytes.startswith(b"\x1f\x8b") and path.name.lower().endswith(".nii.gz")
    return "NIfTI" if plain or packed else None


def _simpleitk(path: Path) -> ModuleType:
    """The library, which is an extra."""
    try:
        import SimpleITK
    except ImportError:
        raise ValueError(f"{path} needs SimpleITK to be read; `pip install tomostat[itk]`") from None
    return SimpleITK


class ItkReader(Reader):
    """NRRD, NIfTI and MetaImage files."""

    formats = "NRRD, NIfTI and MetaImage (with SimpleITK)"

    def recognizes(self, path: Path, first_bytes: bytes) -> bool:
        """By the first bytes, a packed NIfTI file by its name as well."""
        return _kind(path, first_bytes) is not None

    def find(self, path: Path, options: IngestOptions) -> Source:
        """See `find_itk`."""
        return find_itk(path, options)


READER = ItkReader()
