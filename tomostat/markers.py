"""Markers of finished tasks: a line in their step's file holds what a task returned, so that it is not run again."""

from __future__ import annotations

import contextlib
import json
import logging
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

logger = logging.getLogger(__name__)

Mark = Callable[[str, Any], None]
"""Marks a task, by its key, as finished with a value that JSON can hold."""


def read_markers(path: Path | None) -> Iterator[tuple[str, Any]]:
    """Keys and values of the tasks of a step that are finished; without a file there are none."""
    if path is None or not path.exists():
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                marker = json.loads(line)
                if marker["checksum"] != _checksum(marker["task"], marker["value"]):
                    raise ValueError("it was altered")
                yield marker["task"], marker["value"]
            except (ValueError, TypeError, KeyError):  # what was killed or lost power can leave half a line
                logger.warning("line %d of %s is damaged; the task that it marks is run again", number, path)


@contextlib.contextmanager
def open_markers(path: Path | None) -> Iterator[Mark]:
    """Mark tasks of a step; the file, and its folder, are created for the first of them. Without a path none is kept.

    Every line is handed to the system before the next task is marked: a process that is killed leaves what it marked.
    """
    with contextlib.ExitStack() as stack:
        file: BinaryIO | None = None

        def mark(task: str, value: Any) -> None:
            nonlocal file
            if path is None:
                return
            line = json.dumps({"task": task, "value": value, "checksum": _checksum(task, value)}).encode() + b"\n"
            if file is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(path.open("a+b"))
                if not _ends_a_line(file):
                    line = b"\n" + line
            file.write(line)
            file.flush()

        yield mark


def _ends_a_line(file: BinaryIO) -> bool:
    """Whether a file is empty or ends with a whole line."""
    size = file.seek(0, 2)
    file.seek(max(size - 1, 0))
    return file.read(1) in (b"", b"\n")


def _checksum(task: str, value: Any) -> int:
    return zlib.crc32(json.dumps([task, value]).encode())
