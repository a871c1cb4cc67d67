"""Running tasks, a bounded number at a time: in threads of this process, or on a cluster."""

from __future__ import annotations

import ctypes
import logging
import pickle
import queue
import traceback
import uuid
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask
from dask.delayed import Delayed

from tomostat.events import USER_ERRORS, Cost, Meter
from tomostat.workers import Workers

if TYPE_CHECKING:
    from distributed import Client

PER_WORKER = 2
"""Tasks in flight for each thread: one that runs and one that waits, so that memory stays bounded."""

POLL = 0.5
"""Seconds between two looks at whether the execution is to stop."""

NOTHING = Cost()
"""Cost of a task that was never run."""


@dataclass(frozen=True)
class TaskResult:
    """Result of a task.

    Attributes
    ----------
    value
        What it returned.
    error
        What it raised; None where it did not.
    cost
        What it took.
    worker, address
        Name and address of the worker; empty in this process.
    tries_left
        Whether it makes sense to try it again after an error.
    """

    value: Any = None
    error: BaseException | None = None
    cost: Cost = NOTHING
    worker: str = ""
    address: str = ""
    tries_left: bool = True


def perform(task: Delayed) -> TaskResult:
    """Compute a task where it is called; an error is a result too, so that it comes with the worker's address."""
    meter = Meter()
    try:
        value = task.compute(scheduler="synchronous")
    except Exception as error:
        error.add_note(traceback.format_exc())  # the traceback itself stays behind in the worker
        if not isinstance(error, USER_ERRORS):
            logging.getLogger("distributed.worker").warning("a task failed", exc_info=True)  # in the log of a job
        return TaskResult(None, _portable(error), meter.cost(), *_this_worker())
    return TaskResult(value, None, meter.cost(), *_this_worker())


def _portable(error: Exception) -> Exception:
    """An error that can be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # its cause may be what cannot be sent
        for kind in USER_ERRORS:
            if isinstance(error, kind):
                return kind(str(error))
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _this_worker() -> tuple[str, str]:
    """Name and address of the worker that this is."""
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:  # a thread of this process
        return "", ""
    return str(worker.name), str(worker.address)


@dataclass(frozen=True)
class _Sealed:
    """A task as an argument that `distributed` does not look into: it travels whole and is computed by `perform`."""

    task: Delayed


def _perform(sealed: _Sealed) -> TaskResult:
    return perform(sealed.task)


class ThreadTasks:
    """Tasks in threads of this process."""

    def __init__(self, tasks: Mapping[str, Delayed], keys: list[str]) -> None:
        self._tasks, self._waiting = tasks, deque(keys)
        self._limit = local_threads()
        self._pool = ThreadPoolExecutor(self._limit)
        self._running: dict[Future[TaskResult], str] = {}

    def __enter__(self) -> ThreadTasks:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def retry(self, key: str, avoid: Collection[str]) -> None:
        """Try a task again, after all that are yet to be tried; there are no other workers here."""
        self._waiting.append(key)

    def poll(self, *, start_new: bool) -> list[tuple[str, TaskResult]] | None:
        """Tasks that ended within `POLL` seconds; new ones are started first if `start_new`. None when all are done."""
        while start_new and self._waiting and len(self._running) < self._limit:
            key = self._waiting.popleft()
            self._running[self._pool.submit(perform, self._tasks[key])] = key
        if not self._running:
            return None
        ended = wait(self._running, timeout=POLL, return_when=FIRST_COMPLETED).done
        return [(self._running.pop(future), _result(future)) for future in ended]


class ClusterTasks:
    """Tasks on a cluster, a bounded number in flight, which grows and shrinks with the cluster."""

    def __init__(
        self, tasks: Mapping[str, Delayed], keys: list[str], client: Client, workers: Workers, wait_limit: float | None
    ) -> None:
        self._tasks, self._waiting, self._client = tasks, deque(keys), client
        self._workers, self._wait_limit = workers, wait_limit
        self._avoid: dict[str, Collection[str]] = {}
        self._running: dict[Any, str] = {}
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._demand = workers.demand(len(keys))

    def __enter__(self) -> ClusterTasks:
        self._demand.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._demand.__exit__(None, None, None)
        if self._client.status == "running":
            self._client.cancel(list(self._running))
            if kind is None:
                self._client.run(_trim, on_error="ignore")

    def retry(self, key: str, avoid: Collection[str]) -> None:
        """Try a task again, after those that are yet to be tried, if possible on a worker that it has not failed on."""
        self._avoid[key] = avoid
        self._waiting.append(key)

    def poll(self, *, start_new: bool) -> list[tuple[str, TaskResult]] | None:
        """See `ThreadTasks.poll`."""
        self._workers.check(self._wait_limit)
        if start_new:
            self._start(PER_WORKER * max(self._workers.slots(), 1) - len(self._running))
        if not self._running:
            return None
        try:
            ended = [self._ended.get(timeout=POLL)]
        except queue.Empty:
            return []
        while not self._ended.empty():
            ended.append(self._ended.get())
        found = zip(ended, self._fetch(ended), strict=True)
        return [(self._running.pop(future), result) for future, result in found]

    def _fetch(self, futures: Sequence[Any]) -> list[TaskResult]:
        """Results of tasks that have ended, in one request for all that returned one."""
        good = [future for future in futures if future.status == "finished"]
        try:
            values = dict(zip(good, self._client.gather(good), strict=True))
        except Exception:  # one was lost meanwhile
            values = {}
        return [values[future] if future in values else _result(future) for future in futures]

    def _start(self, count: int) -> None:
        """Hand some of the waiting tasks to the scheduler, in one message but for those that are tried again."""
        keys = [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
        self._submit([key for key in keys if key not in self._avoid])
        for key in (key for key in keys if key in self._avoid):
            self._submit([key], sorted(set(self._client.nthreads()) - set(self._avoid[key])))

    def _submit(self, keys: Sequence[str], workers: Sequence[str] = ()) -> None:
        """Submit tasks, for some workers if possible."""
        if not keys:
            return
        futures = self._client.map(
            _perform,
            [_Sealed(self._tasks[key]) for key in keys],
            key=[f"{key}-{uuid.uuid4().hex}" for key in keys],
            pure=False,
            resources=self._workers.resources or None,
            workers=workers or None,
            allow_other_workers=bool(workers),
        )
        for key, future in zip(keys, futures, strict=True):
            self._running[future] = key
            future.add_done_callback(self._ended.put)


def _result(future: Any) -> TaskResult:
    """Result of a task that has ended; an exception on the way is part of it.

    The scheduler itself hands the tasks of a worker that died to others; `KilledWorker` comes when several have died of
    one.
    """
    from distributed import KilledWorker

    try:
        found: TaskResult = future.result()
    except KilledWorker as error:
        reason = RuntimeError(
            f"every worker that tried it died, as one does that runs out of memory or is cancelled; the last was "
            f"{error.last_worker.address}"
        )
        return TaskResult(error=reason, tries_left=False)
    except Exception as error:
        return TaskResult(error=error)
    return found


def _trim() -> None:
    """Hand freed memory back to the system where the C library can: what one stage leaves is no other's peak."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def local_threads() -> int:
    """Threads of this process's pool: dask's setting, else one per core."""
    return int(dask.config.get("num_workers", None) or dask.system.CPU_COUNT)
