"""How far a command is: bars in a terminal, lines elsewhere, and a table of the stages at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tomostat.events import INTERRUPTED, USER_ERRORS, Event, StageEnded, StepStarted, TaskEnded

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

LINE_SECONDS = 60.0
"""Time between two lines on a step, where there is no terminal."""

SAID_AT_THE_END = tuple(f"{kind.__name__}: " for kind in USER_ERRORS)
"""How errors begin that the user can mend: they end the command, whose last line tells them."""

BUSY, COMPUTING = 0.5, 0.6
"""Share of the workers' time in tasks, and of the tasks' time on a processor, from which a stage is bound by these."""


def progress_bars(console: Console | None = None) -> Progress:
    """Progress bars on standard error: how many, how fast, and how long yet."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console or stderr())


def stderr() -> Console:
    """Standard error."""
    from rich.console import Console

    return Console(stderr=True)


def title(event: Event) -> str:
    """What an event is about, in words."""
    step = event.step if isinstance(event, StepStarted) else ""
    return " ".join(filter(None, (event.field, ", ".join(filter(None, (event.stage, step))))))


def per_time(count: float, seconds: float) -> str:
    """A rate in the unit in which it is easy to read."""
    if not count or seconds <= 0:
        return ""
    rate = count / seconds
    for unit, length in (("s", 1), ("min", 60)):
        if rate * length >= 1:
            return f"{rate * length:.1f}/{unit}"
    return f"{rate * 3600:.1f}/h"


def duration(seconds: float) -> str:
    """Seconds as 42 s, 12 min or 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


@dataclass
class StepBars:
    """A bar for every step that is not finished.

    Attributes
    ----------
    bars
        Where they are drawn.
    workers
        Number of workers that are there.
    """

    bars: Progress
    workers: Callable[[], int]
    _bar: dict[str, Any] = field(default_factory=dict)
    _begun: dict[str, tuple[float, int]] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        """Move the bar of the event's step."""
        if not isinstance(event, StepStarted):
            return
        name, now = title(event), time.monotonic()
        if name not in self._bar:
            self._bar[name] = self.bars.add_task(name, total=event.total, rate="")
            self._begun[name] = now, event.done
        start, done = self._begun[name]
        rate = " ".join(filter(None, (per_time(event.done - done, now - start), f"{self.workers()} workers")))
        self.bars.update(
            self._bar[name], completed=event.done, total=event.total, visible=event.done < event.total, rate=rate
        )


@dataclass
class StepLines:
    """A line for every stage of a field that ends, and one a minute for every step that goes on.

    Attributes
    ----------
    say
        Prints a line.
    workers
        Number of workers that are there.
    """

    say: Callable[[str], None]
    workers: Callable[[], int]
    _begun: dict[str, tuple[float, int]] = field(default_factory=dict)
    _said: dict[str, float] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        """Print a line if it is time for one."""
        if isinstance(event, StageEnded) and event.error != INTERRUPTED:  # the command itself says that it was
            end = "failed" if event.error.startswith(SAID_AT_THE_END) else event.error or "finished"
            self.say(f"{title(event)}: {end} after {duration(event.seconds)}")
        if not isinstance(event, StepStarted):
            return
        name, now = title(event), time.monotonic()
        start, done = self._begun.setdefault(name, (now, event.done))
        if now - self._said.setdefault(name, now) > LINE_SECONDS:
            self._said[name] = now
            made, spent = event.done - done, now - start
            left = f", {duration(spent / made * (event.total - event.done))} left" if made else ""
            self.say(f"{name}: {event.done} of {event.total}, {per_time(made, spent)}{left}, {self.workers()} workers")


@dataclass
class StageTotal:
    """What the tasks of a stage took, over all fields."""

    first: float = float("inf")
    last: float = 0.0
    tasks: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    bytes_read: int = 0
    bytes_written: int = 0
    peak_memory: int = 0

    def bound(self, slots: int) -> str:
        """What keeps the stage from being faster."""
        wall = self.last - self.first
        if not self.tasks or wall <= 0:
            return "this process"
        if self.seconds < BUSY * wall * slots:
            return "few tasks at a time"
        return "computing" if self.cpu_seconds > COMPUTING * self.seconds else "reading, writing, waiting"


@dataclass
class Summary:
    """Sums over the events of a command, by stage; a table of them at the end.

    Attributes
    ----------
    slots
        Tasks that run at a time once all workers are there.
    """

    slots: Callable[[], int]
    stages: dict[str, StageTotal] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: Event) -> None:
        """Add an event."""
        with self._lock:
            total, now = self.stages.setdefault(event.stage, StageTotal()), time.monotonic()
            total.first, total.last = min(total.first, now), max(total.last, now)
            if isinstance(event, TaskEnded):
                cost = event.cost
                total.tasks += 1
                total.seconds += cost.seconds
                total.cpu_seconds += cost.cpu_seconds
                total.bytes_read += cost.bytes_read
                total.bytes_written += cost.bytes_written
                total.peak_memory = max(total.peak_memory, cost.peak_memory)

    def table(self) -> str:
        """A line for every stage: seconds from its first to its last event, tasks, and what bounds it."""
        slots = self.slots()
        head = f"{'stage':<10}{'seconds':>9}{'tasks':>8}{'task s':>9}{'read':>8}{'written':>9}{'memory':>8}  bound by"
        lines = [head, "-" * len(head)]
        for name, total in self.stages.items():
            gib = [f"{amount / 2**30:.1f}G" for amount in (total.bytes_read, total.bytes_written, total.peak_memory)]
            lines.append(
                f"{name:<10}{total.last - total.first:>9.1f}{total.tasks:>8}{total.seconds:>9.1f}"
                f"{gib[0]:>8}{gib[1]:>9}{gib[2]:>8}  {total.bound(slots)}"
            )
        return "\n".join(lines)
