"""Logging, a cluster and progress for the length of a command."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tomostat.cli.app import Place

if TYPE_CHECKING:
    from rich.progress import Progress

    from tomostat.events import Event
    from tomostat.execution import Execution

logger = logging.getLogger("tomostat")


class Terminated(BaseException):
    """The system asked this process to end (SIGTERM)."""


@contextlib.contextmanager
def session(place: Place | None) -> Iterator[Execution]:
    """An execution on the cluster that a command names, with progress bars and a log."""
    from tomostat.cluster import open_cluster
    from tomostat.execution import Execution

    place = place or Place()
    configure_logging(place.verbose)
    bars = progress_bars()
    steps = StepLog()

    def listen(event: Event) -> None:
        show(event)
        steps(event)

    show = StepBars(bars)
    with _ended_by_sigterm(), open_cluster(place.cluster, workers=place.workers) as client, bars:
        limit = None if place.wait_limit is None else 60 * place.wait_limit
        execution = Execution(client=client, listener=listen, wait_limit=limit)
        try:
            yield execution
        except BaseException:
            execution.stop()
            raise


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the program as Ctrl-C does, so that workers and jobs are let go of."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def progress_bars() -> Progress:
    """Progress bars on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))


def title(event: Event) -> str:
    """What an event is about, in words."""
    return " ".join(filter(None, (event.field, ", ".join(filter(None, (event.stage, event.step))))))


@dataclass
class StepBars:
    """A bar for every step that is not finished."""

    bars: Progress
    _bar: dict[str, Any] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        """Move the bar of the event's step."""
        name = title(event)
        if name not in self._bar:
            self._bar[name] = self.bars.add_task(name, total=event.total)
        self.bars.update(self._bar[name], completed=event.done, total=event.total, visible=event.done < event.total)


@dataclass
class StepLog:
    """A line for every step that is finished: its tasks, their time, what they moved, and their largest memory."""

    _sums: dict[str, list[float]] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        """Add what a task took; tell when it was the last."""
        from tomostat.events import TaskEnded

        if not isinstance(event, TaskEnded):
            return
        name, cost = title(event), event.cost
        sums = self._sums.setdefault(name, [0.0, 0.0, 0.0, 0.0])
        for i, amount in enumerate((cost.seconds, cost.bytes_read, cost.bytes_written)):
            sums[i] += amount
        sums[3] = max(sums[3], cost.peak_memory)
        if event.done == event.total:
            seconds, read, written, peak = self._sums.pop(name)
            logger.info(
                "%s: %d tasks, %.1f s, %.2f GiB read, %.2f GiB written, at most %.2f GiB of memory",
                name, event.total, seconds, read / 2**30, written / 2**30, peak / 2**30,
            )  # fmt: skip


def configure_logging(verbose: bool) -> None:
    """Log to standard error; quietly unless `verbose`."""
    import distributed.config  # noqa: F401 - sets levels of its own when it is first imported
    from rich.logging import RichHandler

    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[RichHandler(show_path=verbose)])
    logging.getLogger("tomostat").setLevel(logging.INFO if verbose else logging.WARNING)
    logging.getLogger("distributed").setLevel(logging.WARNING if verbose else logging.CRITICAL)
