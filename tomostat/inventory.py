"""Files of a finished stage with their sizes and checksums: what is missing or altered later is found by them.

Chunks of zarr arrays carry a checksum of their own (codec ``crc32c``), which is compared whenever a chunk is read. For
them, name and size are noted; of all other files the CRC-32 too.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tomostat.files import write_text

PIECE = 2**22
"""Bytes that are read at once."""

CHUNKS = "c"
"""Folder of the chunks of a zarr array."""


@dataclass(frozen=True)
class Faults:
    """What is not as it was noted; paths are relative to the output folder.

    Attributes
    ----------
    missing
        Files that are gone, or empty as a machine that lost power leaves them.
    altered
        Files of other content.
    """

    missing: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.altered)


@dataclass(frozen=True)
class Inventory:
    """Files of a stage.

    Attributes
    ----------
    files
        Size and checksum by the path relative to the output folder; no checksum for chunks of zarr arrays.
    """

    files: Mapping[str, tuple[int, int | None]]

    @classmethod
    def take(cls, root: Path, outputs: Iterable[Path]) -> Inventory:
        """Note the files below some paths of an output folder."""
        return cls({path.relative_to(root).as_posix(): _state(path) for path in files_below(root, outputs)})

    def faults(self, root: Path) -> Faults:
        """Compare with the files that are there now."""
        missing, altered = [], []
        for name, (size, checksum) in self.files.items():
            path = root / name
            found = path.stat().st_size if path.is_file() else 0
            if not path.is_file() or found == 0 < size:
                missing.append(name)
            elif found != size or (checksum is not None and _checksum(path) != checksum):
                altered.append(name)
        return Faults(tuple(missing), tuple(altered))

    def without(self, root: Path, outputs: Iterable[Path]) -> Inventory:
        """The inventory without the files below some paths, which another stage is about to write."""
        others = [path.relative_to(root).as_posix() for path in outputs]
        kept = {
            name: state
            for name, state in self.files.items()
            if not any(name == other or name.startswith(f"{other}/") for other in others)
        }
        return Inventory(kept)

    def write(self, path: Path) -> None:
        """Write to a file, whole or not at all."""
        write_text(path, json.dumps(self.files, indent=0))

    @classmethod
    def read(cls, path: Path) -> Inventory | None:
        """Read from a file; None where there is none, as in folders of earlier versions, or it is damaged."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls({str(name): _parse(*entry) for name, entry in content.items()})
        except (OSError, ValueError, TypeError, AttributeError):
            return None


def files_below(root: Path, outputs: Iterable[Path]) -> Iterator[Path]:
    """Files below some paths, without hidden ones, which file systems and viewers leave behind."""
    for output in outputs:
        for path in sorted(output.rglob("*")) if output.is_dir() else [output]:
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts):
                yield path


def _state(path: Path) -> tuple[int, int | None]:
    return path.stat().st_size, None if CHUNKS in path.parts else _checksum(path)


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            value = zlib.crc32(piece, value)
    return value


def _parse(size: object, checksum: object) -> tuple[int, int | None]:
    if not isinstance(size, int) or not isinstance(checksum, int | None):
        raise TypeError(f"{size!r} and {checksum!r} are no size and checksum")
    return size, checksum
