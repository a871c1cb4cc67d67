"""The log of runs: every event as a line of JSON, for people, programs and the estimate of later runs."""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from tomostat.events import Cost, Event, StageEnded, StageStarted, StepStarted, TaskEnded, to_all
from tomostat.execution import Execution
from tomostat.messages import plural

logger = logging.getLogger(__name__)

KINDS: dict[str, type[Event]] = {
    "stage started": StageStarted,
    "stage ended": StageEnded,
    "step started": StepStarted,
    "task ended": TaskEnded,
}
"""Events by what a line says that it is about."""


@dataclass(frozen=True)
class Logged:
    """A line of a log of runs.

    Attributes
    ----------
    time
        When it was written, in seconds since 1970.
    event
        What happened.
    """

    time: float
    event: Event

    def line(self) -> str:
        """The line, as JSON."""
        name = next(name for name, kind in KINDS.items() if kind is type(self.event))
        return json.dumps({"time": self.time, "event": name, **dataclasses.asdict(self.event)}) + "\n"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read a line back.

        Raises
        ------
        ValueError, TypeError, KeyError, AttributeError
            When it is no such line.
        """
        values = json.loads(line)
        written, kind = float(values.pop("time")), KINDS[values.pop("event")]
        if kind is TaskEnded:
            values["cost"] = Cost(**values["cost"])
        return cls(written, kind(**values))


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
        try:
            with self._lock, self._path.open("a", encoding="utf-8") as file:
                file.write(Logged(round(time.time(), 3), event).line())
        except OSError as error:
            logger.warning("%s cannot be written: %s", self._path, error)


def logged(execution: Execution, path: Path) -> Execution:
    """The same execution, whose events are also written to a file."""
    return replace(execution, listener=to_all(execution.listener, RunLog(path)))


def read_run_log(path: Path) -> Iterator[Logged]:
    """Lines of a log of runs, the oldest first; nothing where there is no log.

    A last line that a lost machine has left half-written is left out, and so are lines of another version of tomostat
    that tell something else.
    """
    if not path.exists():
        return
    unread = 0
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                yield Logged.parse(line)
            except (ValueError, TypeError, KeyError, AttributeError):
                unread += 1
    if unread:
        logger.warning("%s: %s cannot be read: damaged, or of another version", path, plural(unread, "line"))
