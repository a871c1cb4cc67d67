"""Logging, a cluster and progress for the length of a command."""

from __future__ import annotations

import contextlib
import logging
import math
import platform
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomostat.cli.app import Place
from tomostat.cli.progress import StepBars, StepLines, Summary, progress_bars, stderr, title

if TYPE_CHECKING:
    from distributed import Client
    from rich.console import Console

    from tomostat.events import Event
    from tomostat.execution import Execution

logger = logging.getLogger("tomostat")


class Terminated(BaseException):
    """The system asked this process to end (SIGTERM)."""


@contextlib.contextmanager
def session(place: Place | None, *, here: bool = False) -> Iterator[Execution]:
    """An execution on the cluster that a command names; how far it is, and what its stages took, on standard error.

    Parameters
    ----------
    place
        Where the work is done.
    here
        Do it in threads of this process where the place is this machine and nothing else is said of it.
    """
    from tomostat.cluster import open_cluster
    from tomostat.events import to_all
    from tomostat.execution import Execution

    here = here and replace(place or Place(), verbose=False) == Place()
    place, console = place or Place(), stderr()
    configure_logging(place.verbose, console)
    limit = None if place.wait_limit is None else 60 * place.wait_limit
    dashboard = place.dashboard or place.performance_report is not None
    with (
        _ended_by_sigterm(),
        contextlib.nullcontext()
        if here
        else open_cluster(place.cluster, workers=place.workers, dashboard=dashboard) as client,
        progress_bars(console) if console.is_terminal else contextlib.nullcontext() as bars,
        _performance_report(place.performance_report),
    ):
        if client is not None and client.dashboard_link and (dashboard or place.cluster != "local"):
            console.print(f"dashboard at {client.dashboard_link} of {platform.node()}", soft_wrap=True)
        execution = Execution(client=client, wait_limit=limit)
        count = execution.parallel_tasks if client is None else _Count(client)
        summary = Summary(execution.parallel_tasks)
        say = partial(console.print, soft_wrap=True, highlight=False, markup=False)
        show = StepBars(bars, count) if bars else StepLines(say, count)
        try:
            yield replace(execution, listener=to_all(show, StepLog(), summary))
        except BaseException:
            execution.stop()
            raise
        if summary.stages and (bars or place.verbose or place.cluster != "local"):
            console.print(summary.table(), soft_wrap=True, highlight=False, markup=False)


class _Count:
    """Number of workers that are there, asked for every few seconds."""

    SECONDS = 5.0

    def __init__(self, client: Client) -> None:
        self._client, self._asked, self._number = client, -math.inf, 0

    def __call__(self) -> int:
        if time.monotonic() - self._asked > self.SECONDS:
            self._asked, self._number = time.monotonic(), len(self._client.nthreads())
        return self._number


def _performance_report(path: Path | None) -> contextlib.AbstractContextManager[Any]:
    """Let dask write what its workers did to a page; nothing where no page is named."""
    from distributed import performance_report

    return contextlib.nullcontext() if path is None else performance_report(str(path))


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


def configure_logging(verbose: bool, console: Console | None = None) -> None:
    """Log to standard error; quietly unless `verbose`."""
    import distributed.config  # noqa: F401 - sets levels of its own when it is first imported
    from rich.logging import RichHandler

    handler = RichHandler(console=console or stderr(), show_path=verbose)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    logging.getLogger("tomostat").setLevel(logging.INFO if verbose else logging.WARNING)
    logging.getLogger("distributed").setLevel(logging.WARNING if verbose else logging.CRITICAL)
