"""The log of runs: every event as a line of JSON, for people, programs and the estimate of later runs."""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tomostat.events import Event, StageEnded, StageStarted, StepStarted, TaskEnded, to_all
from tomostat.execution import Execution

logger = logging.getLogger(__name__)

KINDS: dict[type, str] = {
    StageStarted: "stage started",
    StageEnded: "stage ended",
    StepStarted: "step started",
    TaskEnded: "task ended",
}
"""What a line says that it is about, by event."""


class RunLog:
    """A listener that adds a line for every event to a file.

    A line is an object with ``time`` (seconds since 1970), ``event`` (see `KINDS`) and the attributes of the event.

    Parameters
    ----------
    path
        The file; earlier runs are kept.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()

    def __call__(self, event: Event) -> None:
        """Add a line; a log that cannot be written keeps nobody from working."""
        line = json.dumps({"time": round(time.time(), 3), "event": KINDS[type(event)], **dataclasses.asdict(event)})
        try:
            with self._lock, self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            logger.warning("%s cannot be written: %s", self._path, error)


def logged(execution: Execution, path: Path) -> Execution:
    """The same execution, whose events are also written to a file."""
    return replace(execution, listener=to_all(execution.listener, RunLog(path)))


def read_run_log(path: Path) -> Iterator[dict[str, Any]]:
    """Lines of a log of runs, the oldest first; nothing where there is no log.

    A last line that a lost machine has left half-written is left out.
    """
    if path.exists():
        with path.open(encoding="utf-8") as file:
            for line in file:
                try:
                    yield json.loads(line)
                except ValueError:
                    logger.warning("%s: a line is damaged", path)
