"""The reader for a file or folder, and what it finds there without reading voxels."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tomostat.blocks import Shape
from tomostat.ingest.conversion import find_conversion
from tomostat.ingest.options import IngestOptions
from tomostat.ingest.source import Reader, Source
from tomostat.plugins import Plugin, Registry
from tomostat.volume import Spacing, check_spacing

if TYPE_CHECKING:
    from tomostat.study import Field

logger = logging.getLogger(__name__)

READERS: Registry[Reader] = Registry(
    "reader", "tomostat.readers", lambda value: isinstance(value, Reader), "a tomostat.ingest.Reader",
    package="tomostat.ingest.readers", attribute="READER",
)  # fmt: skip
"""Readers of files, tomostat's own and those of installed packages."""


FIRST_BYTES = 512
"""Bytes of a file by which readers recognize it."""


@dataclass(frozen=True)
class FoundSource:
    """A source with the reader that found it."""

    reader: Plugin[Reader]
    source: Source


def probe(
    source: str | Path,
    *,
    spacing: float | Sequence[float] | None = None,
    options: IngestOptions | None = None,
    need_spacing: bool = True,
) -> Source:
    """Find the voxels of a file or folder without reading them.

    Parameters
    ----------
    source
        File or folder; ``PATH:DATASET`` in files of several.
    spacing
        Voxel size in micrometers, as for `ingest_volume`.
    options
        Reader and dataset, where they are not clear; shape and type of a raw file.
    need_spacing
        Refuse a source of unknown voxel size.

    Returns
    -------
    Source
        Kind, shape, type and voxel size.

    Raises
    ------
    FileNotFoundError, ValueError
        When the source is missing, damaged, of an unknown kind or type, in colour, or of unknown voxel size.
    """
    found = find_source(source, options).source
    find_conversion(str(source), found.dtype)
    if need_spacing or spacing is not None:
        choose_spacing(found, spacing)
    return found


def open_source(name: str | Path) -> Source:
    """Find the voxels that a path names, of whatever type: ``PATH``, or ``PATH:DATASET`` in files of several.

    Raises
    ------
    FileNotFoundError, ValueError
        As `probe`, whatever type and voxel size.
    """
    return find_source(name).source


def field_shape(field: Field, options: IngestOptions) -> Shape:
    """Voxels (z, y, x) of a field, without reading them: of its labels or phases where it has no grey values.

    Raises
    ------
    FileNotFoundError, ValueError
        As `probe`, whatever voxel size.
    """
    if field.path is not None:
        found = probe(field.path, spacing=field.spacing, options=options, need_spacing=False)
    else:
        found = open_source(field.labels or field.phases_image or "")
    z, y, x = map(int, found.shape)
    return z, y, x


def split_dataset(name: str | Path) -> tuple[Path, str | None]:
    """A path, and the dataset in it that is named after a colon."""
    path, colon, dataset = str(name).rpartition(":")
    return (Path(path), dataset) if colon and not Path(name).exists() else (Path(name), None)


def find_source(name: str | Path, options: IngestOptions | None = None) -> FoundSource:
    """Choose the reader for what a path names, see `open_source`, and let it find the voxels, of whatever type.

    Raises
    ------
    FileNotFoundError, ValueError
        As `probe`, whatever type and voxel size; when there is no such dataset, or the options name another.
    """
    (path, dataset), options = split_dataset(name), options or IngestOptions()
    if dataset is not None:
        if options.dataset not in (None, dataset):
            raise ValueError(f"{name} names a dataset, and the option dataset another, {options.dataset!r}")
        options = dataclasses.replace(options, dataset=dataset)
    reader = choose_reader(path, options)
    if not reader.value.fallback and (options.shape is not None or options.dtype is not None or options.offset):
        raise ValueError(
            f"shape, dtype and offset are for raw files; reader {reader.name!r} finds them in {path}, leave them out"
        )
    with naming_plugin(reader, str(path)):
        source = reader.value.find(path, options)
        if not isinstance(source, Source):
            raise TypeError(f"find returned a {type(source).__name__}; expected a tomostat.ingest.Source")
    if dataset is not None and source.dataset is None:
        raise ValueError(f"{path} is {source.kind} and has no datasets; leave {dataset!r} out")
    return FoundSource(reader, source)


def choose_reader(path: Path, options: IngestOptions) -> Plugin[Reader]:
    """The reader for a path: the one that the options name, else the first that recognizes it.

    tomostat's own readers are tried before those of installed packages, the one for raw files last.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such file or reader, or no reader recognizes it.
    """
    first_bytes = _first_bytes(path)
    if options.reader is not None:
        return READERS.get(options.reader)
    for reader in _readers_in_order():
        with naming_plugin(reader, str(path)):
            if reader.value.recognizes(path, first_bytes):
                return reader
    formats = "; ".join(READERS.get(name).value.formats for name in READERS.names())
    raise ValueError(f"{path} holds nothing that tomostat reads; expected one of: {formats}")


@contextmanager
def naming_plugin(reader: Plugin[Reader], where: str) -> Iterator[None]:
    """Put the name of an installed reader into its errors; those of tomostat's own become a line that names the file.

    Raises
    ------
    ValueError
        In place of what a library raises when a file is damaged in a way that it does not expect.
    """
    if reader.name not in READERS.built_in():
        with reader.blame(where):
            yield
        return
    try:
        yield
    except (ValueError, OSError) as error:
        if where.partition(", ")[0] in str(error) or isinstance(error, OSError):
            raise
        raise ValueError(_damaged(reader, where, error)) from error
    except Exception as error:
        raise ValueError(_damaged(reader, where, error)) from error


def _damaged(reader: Plugin[Reader], where: str, error: Exception) -> str:
    said = " ".join(str(error).split())[:200]
    return f"{where} is damaged, or no file that reader {reader.name!r} knows: {type(error).__name__}: {said}"


def choose_spacing(source: Source, given: float | Sequence[float] | None) -> Spacing:
    """The voxel size (z, y, x) in micrometers that is given, else the one in the file.

    Raises
    ------
    ValueError
        When neither tells a voxel size, or it is not positive.
    """
    if given is None:
        if source.spacing is None:
            raise ValueError(f"{source.path} holds no voxel size; give spacing in micrometers (z y x, or one number)")
        return check_spacing(source.spacing)
    spacing = check_spacing([given] * 3 if isinstance(given, int | float) else given)
    if source.spacing is not None and not np.allclose(spacing, source.spacing, rtol=0.01):
        logger.warning("%s says voxels of %s micrometers; taking %s as given", source.path, source.spacing, spacing)
    return spacing


def _readers_in_order() -> Iterator[Plugin[Reader]]:
    """Readers in the order in which they are tried, loaded one by one: a broken package stops none before it."""
    last = []
    for name in READERS.names():
        reader = READERS.get(name)
        if reader.value.fallback:
            last.append(reader)
        else:
            yield reader
    yield from last


def _first_bytes(path: Path) -> bytes:
    """The first bytes of a file; none of a folder."""
    if not path.exists():
        raise FileNotFoundError(f"no file or folder at {path}")
    if path.is_dir():
        return b""
    try:
        with path.open("rb") as file:
            first = file.read(FIRST_BYTES)
    except PermissionError:
        raise ValueError(f"no right to read {path}") from None
    if not first:
        raise ValueError(f"{path} is empty; copy or export it again")
    return first
