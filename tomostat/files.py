"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Write a file or a folder so that nobody ever sees half of it.

    Parameters
    ----------
    path
        Where it is to stand; its folder is made. What stands there is replaced.

    Yields
    ------
    Path
        A new place beside it to write to. It takes the place of `path` when the block ends, and is removed when the
        block raises.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.part")
    try:
        yield part
        if path.is_dir():  # a folder cannot be replaced in one step
            old = part.with_suffix(".old")
            path.rename(old)
            part.rename(path)
            shutil.rmtree(old)
        else:
            part.replace(path)
    finally:
        remove(part)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def remove(path: Path) -> None:
    """Remove a file or a folder with all that it holds, where there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
