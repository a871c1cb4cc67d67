"""The one place that computes: runs tasks, a bounded number at a time, marks those that end and reports their cost."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import logging
import math
import queue
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
from dask.delayed import Delayed

from tomostat.blocks import check_memory
from tomostat.events import Cost, Listener, Meter, StepStarted, TaskEnded
from tomostat.files import write_text

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

PER_WORKER = 2
"""Tasks in flight for each thread: one that runs and one that waits, so that memory stays bounded."""

POLL = 0.5
"""Seconds between two looks at whether the execution is to stop."""

MENDABLE_ERRORS = (ValueError, TypeError)
"""Errors of a task that the user can mend: trying again would not help, and a worker has nothing to log."""


class Stopped(Exception):
    """The execution was asked to stop before all tasks had ended."""


def _ignore(event: StepStarted) -> None:
    """Ignore all events."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Where tasks run, who is notified, and where finished ones are marked; passed to every stage and step.

    Attributes
    ----------
    client
        An existing `distributed.Client`; threads of this process when None.
    listener
        Called with every event, see `tomostat.events`.
    markers
        Folder of marker files: a task whose marker stands is not run again, its value is read from the marker. None
        keeps no markers.
    stage, field
        What is done, and to which field of view; part of every event.
    """

    client: Client | None = None
    listener: Listener = _ignore
    markers: Path | None = None
    stage: str = ""
    field: str = ""
    _stop: threading.Event = dataclasses.field(default_factory=threading.Event, repr=False)

    def named(self, stage: str) -> Execution:
        """The same execution for a stage."""
        return replace(self, stage=stage)

    def of(self, field: str, markers: Path) -> Execution:
        """The same execution for a field of view, with the markers of one of its stages."""
        return replace(self, field=field, markers=markers)

    def stop(self) -> None:
        """Let no further task start; calls of `run` that wait for tasks raise `Stopped`."""
        self._stop.set()

    def folder(self, step: str) -> Path | None:
        """Folder of the markers of a step."""
        return None if self.markers is None else self.markers / step.replace(", ", "-").replace(" ", "-")

    def started(self, step: str) -> bool:
        """Whether an interrupted call has finished some task of a step."""
        folder = self.folder(step)
        return folder is not None and any(folder.glob("*.json"))

    def memory_per_task(self) -> int:
        """Bytes that one task may take: a worker's memory, or this machine's, shared by the threads."""
        if self.client is None:
            from distributed.system import MEMORY_LIMIT

            return int(MEMORY_LIMIT) // _local_threads()
        workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        shares = [worker["memory_limit"] // worker["nthreads"] for worker in workers if worker["memory_limit"]]
        return min(shares, default=sys.maxsize)

    def run(
        self,
        step: str,
        tasks: Mapping[str, Delayed],
        *,
        need: int = 0,
        retries: int = 2,
        resources: Mapping[str, float] | None = None,
    ) -> dict[str, Any]:
        """Run tasks that each write their own output and return something small.

        Parameters
        ----------
        step
            Name of the work, for events, messages and the folder of markers.
        tasks
            Lazy tasks by key. A task returns a JSON-able value or None.
        need
            Bytes that one task takes at most, by the stage's estimate.
        retries
            How often a failed task is tried again on a cluster (a lost worker, a full disk); errors that the user can
            mend (`MENDABLE_ERRORS`) are not.
        resources
            Worker resources that a task asks for, such as ``{"GPU": 1}``.

        Returns
        -------
        dict
            Value of every task, in the order of `tasks`.

        Raises
        ------
        ValueError
            When a task needs more memory than a worker has; nothing was run then.
        Stopped
            When `stop` was called meanwhile.
        Exception
            What a task raised; finished tasks keep their markers.
        """
        folder, label = self.folder(step), self._label(step)
        done = {key: value for key, value in _read_markers(folder) if key in tasks}
        todo = [key for key in tasks if key not in done]
        if done:
            logger.info("%s: %d of %d tasks are done already", label, len(done), len(tasks))
        if todo and need:
            check_memory(need, self.memory_per_task(), label)
        about = {"stage": self.stage, "step": step, "field": self.field, "total": len(tasks)}
        self.listener(StepStarted(**about, done=len(done)))  # type: ignore[arg-type]
        for key, result in self._results(tasks, todo, retries, resources):
            if folder is not None:
                _write_marker(folder, key, result.value)
            done[key] = result.value
            self.listener(TaskEnded(**about, done=len(done), task=key, cost=result.cost))  # type: ignore[arg-type]
        return {key: done[key] for key in tasks}

    def run_here(self, step: str, task: Delayed) -> Any:
        """Run one task in this process, with its marker."""
        return replace(self, client=None).run(step, {"all": task})["all"]

    def run_levels(self, levels: Iterable[Mapping[str, Delayed]], *, step: str = "") -> None:
        """Run the tasks of one resolution level after the other, each a step ``level N``, after `step` if it is given.

        See `tomostat.volume.pyramid_tasks`.
        """
        for number, tasks in enumerate(levels, 1):
            self.run(", ".join(filter(None, (step, f"level {number}"))), tasks)

    def _label(self, step: str) -> str:
        """What is done, for messages."""
        words = ", ".join(filter(None, (self.stage, step)))
        return f"{self.field}: {words}" if self.field else words

    def _results(
        self, tasks: Mapping[str, Delayed], keys: list[str], retries: int, resources: Mapping[str, float] | None
    ) -> Iterator[tuple[str, TaskResult]]:
        """Results as tasks end; after a failure, what runs already is still waited for, then the failure raised."""
        failure: BaseException | None = None
        flights = (
            _Threads(tasks, keys) if self.client is None else _Cluster(tasks, keys, self.client, retries, resources)
        )
        with flights:
            while (landed := flights.next(failure is None)) is not None:
                for key, result in landed:
                    if result.error is None:
                        yield key, result
                    else:
                        failure = failure or result.error
                if self._stop.is_set():
                    raise Stopped(f"{self._label('')} was stopped")
        if failure is not None:
            raise failure


NOTHING = Cost()
"""Cost of a task that was never run."""


@dataclass(frozen=True)
class TaskResult:
    """Result of a task: its value or its error, and its cost."""

    value: Any = None
    error: BaseException | None = None
    cost: Cost = NOTHING


def perform(task: Delayed) -> TaskResult:
    """Compute a task where it is called; an error that the user can mend is a result, all others are raised."""
    meter = Meter()
    try:
        value = task.compute(scheduler="synchronous")
    except MENDABLE_ERRORS as error:
        error.add_note(traceback.format_exc())  # the traceback itself stays behind in the worker
        return TaskResult(error=error, cost=meter.cost())
    return TaskResult(value, cost=meter.cost())


@dataclass(frozen=True)
class _Sealed:
    """A task as an argument that `distributed` does not look into: it travels whole and is computed by `perform`."""

    task: Delayed

    def __call__(self) -> TaskResult:
        return perform(self.task)


class _Threads:
    """Tasks in threads of this process."""

    def __init__(self, tasks: Mapping[str, Delayed], keys: list[str]) -> None:
        self._tasks, self._waiting = tasks, iter(keys)
        self._limit = _local_threads()
        self._pool = ThreadPoolExecutor(self._limit)
        self._running: dict[Future[TaskResult], str] = {}

    def __enter__(self) -> _Threads:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def next(self, start: bool) -> list[tuple[str, TaskResult]] | None:
        """Tasks that ended within `POLL` seconds; new ones are started first if `start`. None when all are done."""
        while start and len(self._running) < self._limit and (key := next(self._waiting, None)) is not None:
            self._running[self._pool.submit(perform, self._tasks[key])] = key
        if not self._running:
            return None
        ended = wait(self._running, timeout=POLL, return_when=FIRST_COMPLETED).done
        return [(self._running.pop(future), _result(future)) for future in ended]


class _Cluster:
    """Tasks on a cluster, a bounded number in flight, which grows and shrinks with the cluster."""

    def __init__(
        self,
        tasks: Mapping[str, Delayed],
        keys: list[str],
        client: Client,
        retries: int,
        resources: Mapping[str, float] | None,
    ) -> None:
        self._tasks, self._waiting, self._client = tasks, iter(keys), client
        self._options = {"retries": retries, "resources": dict(resources) if resources else None, "pure": False}
        self._capacity = _Capacity(client)
        self._running: dict[Any, str] = {}
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def __enter__(self) -> _Cluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if self._client.status == "running":
            self._client.cancel(list(self._running))
            if kind is None:
                self._client.run(_trim, on_error="ignore")

    def next(self, start: bool) -> list[tuple[str, TaskResult]] | None:
        """See `_Threads.next`."""
        while start and len(self._running) < self._capacity.tasks():
            if (key := next(self._waiting, None)) is None:
                break
            future = self._client.submit(_Sealed(self._tasks[key]), key=f"{key}-{uuid.uuid4().hex}", **self._options)
            self._running[future] = key
            future.add_done_callback(self._ended.put)
        if not self._running:
            return None
        try:
            future = self._ended.get(timeout=POLL)
        except queue.Empty:
            return []
        key, result = self._running.pop(future), _result(future)
        future.release()
        return [(key, result)]


def _result(future: Any) -> TaskResult:
    """Result of a task that has ended; an exception that it raised is part of it."""
    try:
        found: TaskResult = future.result()
    except Exception as error:
        return TaskResult(error=error)
    return found


def _trim() -> None:
    """Hand freed memory back to the system where the C library can: what one stage leaves is no other's peak."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class _Capacity:
    """Tasks that a cluster may hold at once; asks again every second, since workers come and go."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked = -math.inf
        self._threads = 0

    def tasks(self) -> int:
        now = time.monotonic()
        if now - self._asked > 1.0:
            self._asked, self._threads = now, sum(self._client.nthreads().values())
        return PER_WORKER * max(self._threads, 1)


def _local_threads() -> int:
    """Threads of this process's pool: dask's setting, else one per core."""
    return int(dask.config.get("num_workers", None) or dask.system.CPU_COUNT)


def _read_markers(folder: Path | None) -> Iterator[tuple[str, Any]]:
    if folder is not None and folder.is_dir():
        for path in sorted(folder.glob("*.json")):
            try:
                yield path.stem, json.loads(path.read_text(encoding="utf-8"))
            except ValueError:  # a machine that lost power can leave an empty file
                logger.warning("marker %s is damaged; its task is run again", path)


def _write_marker(folder: Path, key: str, value: Any) -> None:
    """One small file per task, whole or not at all."""
    write_text(folder / f"{key}.json", json.dumps(value))
