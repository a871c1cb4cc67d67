"""Events of an execution: stages and steps that begin, tasks that end, and the cost of each task."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

USER_ERRORS = (ValueError, TypeError)
"""Errors of a task that the user can mend: trying again would not help, and a worker has nothing to log."""

INTERRUPTED = "interrupted"
"""Error of a stage that neither finished nor failed, such as after Ctrl-C; the same command goes on with it."""

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
"""Where Linux reports the peak memory of this process, and where that peak is reset."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Cost of a task. Bytes and memory are those of its process, all threads included.

    Attributes
    ----------
    seconds
        Time from start to end.
    cpu_seconds
        Time of its process on a processor meanwhile.
    bytes_read, bytes_written
        Bytes that went through read and write calls; 0 where the system does not count them.
    peak_memory
        Largest resident memory in bytes while the task ran.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    bytes_read: int = 0
    bytes_written: int = 0
    peak_memory: int = 0


@dataclass(frozen=True, kw_only=True)
class StageStarted:
    """A stage begins to work on a field of view, or on the whole study.

    Attributes
    ----------
    stage
        Its name.
    field
        The field; empty for the study.
    """

    stage: str
    field: str


@dataclass(frozen=True, kw_only=True)
class StageEnded(StageStarted):
    """A stage has ended.

    Attributes
    ----------
    seconds
        Time that it took.
    error
        What it failed with; `INTERRUPTED`; empty where it is finished.
    """

    seconds: float
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class StepStarted:
    """A step of a stage begins.

    Attributes
    ----------
    stage, step
        What is done, such as ``phases`` and ``histogram``.
    field
        Field of view that it is done to; empty outside a study.
    done, total
        Tasks that an earlier run has finished, and tasks in all.
    resource
        Worker resource that the tasks ask for; empty where they ask for none.
    """

    stage: str
    step: str
    field: str
    done: int
    total: int
    resource: str = ""


@dataclass(frozen=True, kw_only=True)
class TaskEnded(StepStarted):
    """A task of a step has ended.

    Attributes
    ----------
    task
        Name of the task, for most steps that of a block.
    cost
        Its cost.
    worker
        Name of the worker that did it; empty for this process.
    """

    task: str
    cost: Cost
    worker: str = ""


Event = StageStarted | StepStarted
"""Any event: `StageStarted`, `StageEnded`, `StepStarted` or `TaskEnded`."""

Listener = Callable[[Event], None]
"""Called with every event, in the process that runs the study."""


def to_all(*listeners: Listener) -> Listener:
    """One listener that hands every event on to several."""

    def listen(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return listen


class Meter:
    """Measures the cost of a task, from the creation of the meter on."""

    def __init__(self) -> None:
        try:
            RESET.write_text("5")
        except OSError:  # not Linux, or not allowed: the peak is then that of the whole process so far
            pass
        self._start, self._cpu = time.perf_counter(), time.process_time()
        self._read, self._written = _bytes_moved()

    def cost(self) -> Cost:
        """The cost until now."""
        read, written = _bytes_moved()
        return Cost(
            seconds=time.perf_counter() - self._start,
            cpu_seconds=time.process_time() - self._cpu,
            bytes_read=read - self._read,
            bytes_written=written - self._written,
            peak_memory=peak_memory(),
        )


def _bytes_moved() -> tuple[int, int]:
    """Bytes that this process has read and written."""
    try:
        counters = psutil.Process().io_counters()
    except (AttributeError, OSError, psutil.Error):  # macOS counts none
        return 0, 0
    return getattr(counters, "read_chars", counters.read_bytes), getattr(counters, "write_chars", counters.write_bytes)


def peak_memory() -> int:
    """Peak resident memory of this process in bytes since a `Meter` was made.

    On systems that report no peak it is the current memory.
    """
    try:
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return int(psutil.Process(os.getpid()).memory_info().rss)
    return int(line.split()[1]) * 1024
