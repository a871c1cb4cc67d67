"""Markers of finished tasks: small files that hold what a task returned, so that it is not run again."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tomostat.files import write_text

logger = logging.getLogger(__name__)


def read_markers(folder: Path | None) -> Iterator[tuple[str, Any]]:
    """Keys and values of the tasks that are finished; without a folder there are none."""
    if folder is not None and folder.is_dir():
        for path in sorted(folder.glob("*.json")):
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
                if content["checksum"] != _checksum(content["value"]):
                    raise ValueError("it was altered")
                yield path.stem, content["value"]
            except (ValueError, TypeError, KeyError):  # a machine that lost power can leave an empty file
                logger.warning("marker %s is damaged; its task is run again", path)


def write_marker(folder: Path, key: str, value: Any) -> None:
    """One small file per task, whole or not at all, with a checksum of the value."""
    write_text(folder / f"{key}.json", json.dumps({"value": value, "checksum": _checksum(value)}))


def _checksum(value: Any) -> int:
    return zlib.crc32(json.dumps(value).encode())
