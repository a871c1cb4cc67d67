"""Files and folders that are written whole or not at all, and YAML files."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Write a file or a folder whole or not at all.

    Parameters
    ----------
    path
        The file or folder, which is replaced where it exists; its parent folder is created.

    Yields
    ------
    Path
        A temporary path beside `path` to write to, a file or a folder. It is renamed to `path` when the ``with`` block
        ends, and removed when the block raises.

    Raises
    ------
    OSError
        When it cannot be written; `path` is then as it was before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.part")
    try:
        yield part
        _replace(part, path)
    finally:
        remove(part)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def _replace(part: Path, path: Path) -> None:
    """Rename `part` to `path`, in place of what is there."""
    if not path.exists() or not (path.is_dir() or part.is_dir()):
        part.replace(path)
        return
    old = part.with_suffix(".old")  # a folder is not replaced in one step
    path.rename(old)
    try:
        part.rename(path)
    except BaseException:
        old.rename(path)
        raise
    remove(old)


def remove(path: Path) -> None:
    """Remove a file, or a folder with its contents; nothing is done where there is neither."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path lies in a folder once all symbolic links on the way are followed."""
    return path.resolve().is_relative_to(folder.resolve())


def new_file_mode() -> int:
    """Rights that a new file gets here, for libraries that set their own."""
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


def half_written(folder: Path) -> list[Path]:
    """What a process that was killed while `atomic` wrote left below a folder."""
    return [path for ending in (".part", ".old") for path in folder.rglob(f".*{ending}")]


def read_yaml(path: Path) -> Any:
    """Content of a YAML file.

    Raises
    ------
    ValueError
        When it is no YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
