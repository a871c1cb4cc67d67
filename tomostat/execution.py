"""The one place that computes: runs tasks, a bounded number at a time, marks those that end and reports their cost."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import logging
import pickle
import queue
import threading
import traceback
import uuid
import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import dask
from dask.delayed import Delayed

from tomostat.blocks import check_memory
from tomostat.events import Cost, Event, Listener, Meter, StepStarted, TaskEnded
from tomostat.files import write_text
from tomostat.workers import Workers

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

PER_WORKER = 2
"""Tasks in flight for each thread: one that runs and one that waits, so that memory stays bounded."""

POLL = 0.5
"""Seconds between two looks at whether the execution is to stop."""

MENDABLE_ERRORS = (ValueError, TypeError)
"""Errors of a task that the user can mend: trying again would not help, and a worker has nothing to log."""


class Stopped(Exception):
    """The execution was asked to stop before all tasks had ended."""


class TasksFailed(OSError):
    """Tasks failed again and again for reasons of the machine; all others of their step are finished and marked."""


def _ignore(event: Event) -> None:
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
    wait_limit
        Seconds to wait for a worker when there is none, such as for the jobs of a cluster; for ever when None.

    Raises
    ------
    TypeError
        When the client is asynchronous.
    """

    client: Client | None = None
    listener: Listener = _ignore
    markers: Path | None = None
    stage: str = ""
    field: str = ""
    wait_limit: float | None = None
    _stop: threading.Event = dataclasses.field(default_factory=threading.Event, repr=False)

    def __post_init__(self) -> None:
        if self.client is not None and self.client.asynchronous:
            raise TypeError("client is asynchronous; give one that is made with asynchronous=False, as stages block")

    def named(self, stage: str) -> Execution:
        """The same execution for a stage."""
        return replace(self, stage=stage)

    def of(self, field: str, markers: Path) -> Execution:
        """The same execution for a field of view, with the markers of one of its stages."""
        return replace(self, field=field, markers=markers)

    def stop(self) -> None:
        """Let no further task start; calls of `run` that wait for tasks raise `Stopped`."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def folder(self, step: str) -> Path | None:
        """Folder of the markers of a step."""
        return None if self.markers is None else self.markers / step.replace(", ", "-").replace(" ", "-")

    def started(self, step: str) -> bool:
        """Whether an interrupted call has finished some task of a step."""
        folder = self.folder(step)
        return folder is not None and any(folder.glob("*.json"))

    def memory_per_task(self, resources: Mapping[str, float] | None = None) -> int:
        """Bytes that one task may take: a worker's memory, or this machine's, shared by the threads.

        Workers that a batch system is yet to bring count as those that are there.
        """
        if self.client is None:
            from distributed.system import MEMORY_LIMIT

            return int(MEMORY_LIMIT) // _local_threads()
        return Workers(self.client, resources).memory_per_task()

    def offers(self, resources: Mapping[str, float]) -> bool:
        """Whether workers have some resources, or will have them once they are there."""
        return self.client is not None and Workers(self.client, resources).offered

    def refuse_missing(self, what: str, resources: Mapping[str, float]) -> None:
        """Refuse what needs resources that no worker has or will have.

        Raises
        ------
        ValueError
            With what to do.
        """
        if self.client is not None:
            Workers(self.client, resources).refuse_missing(what)

    def release(self, resources: Mapping[str, float]) -> None:
        """Let workers go that were brought for the sake of some resources; until they are needed again."""
        if self.client is not None and resources:
            Workers(self.client, resources).release()

    def at_a_time(self) -> int:
        """Tasks that run at a time once all workers are there."""
        return _local_threads() if self.client is None else Workers(self.client).slots_at_most()

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
            How often a task that failed is tried again, on another worker where there is one (a full disk, a drive that
            went away). Errors that the user can mend (`MENDABLE_ERRORS`) are not.
        resources
            Worker resources that a task asks for, such as ``{"GPU": 1}``.

        Returns
        -------
        dict
            Value of every task, in the order of `tasks`.

        Raises
        ------
        ValueError
            When a task needs more memory or other resources than any worker has, and nothing was run then; or when no
            worker came within the limit.
        Stopped
            When `stop` was called meanwhile.
        TasksFailed
            When tasks failed each time that they were tried; all others are done, and keep their markers.
        Exception
            Of `MENDABLE_ERRORS`, what a task raised; finished tasks keep their markers.
        """
        folder, label = self.folder(step), self._label(step)
        done = {key: value for key, value in _read_markers(folder) if key in tasks}
        todo = [key for key in tasks if key not in done]
        if done:
            logger.info("%s: %d of %d tasks are done already", label, len(done), len(tasks))
        if todo and resources:
            self.refuse_missing(label, resources)
        if todo and need:
            check_memory(need, self.memory_per_task(resources), label)
        started = StepStarted(
            stage=self.stage, step=step, field=self.field, done=len(done), total=len(tasks),
            resource=next(iter(resources or ()), ""),
        )  # fmt: skip
        self.listener(started)
        for key, result in self._results(label, tasks, todo, retries, resources):
            if folder is not None:
                _write_marker(folder, key, result.value)
            done[key] = result.value
            about = vars(started) | {"done": len(done)}
            self.listener(TaskEnded(**about, task=key, cost=result.cost, worker=result.worker))
        return {key: done[key] for key in tasks}

    def side_by_side(self, work: Callable[[Item], None], items: Sequence[Item]) -> None:
        """Do several works at a time, such as whole fields, each of which runs tasks; without a cluster one by one.

        One that fails for reasons of the machine does not keep the others from being done. After an error that the user
        can mend, those that run already go on and no further one starts; an interruption stops all.

        Raises
        ------
        TasksFailed
            At the end, what the first work failed with.
        """
        pool = ThreadPoolExecutor(min(1 if self.client is None else max(1, self.at_a_time()), len(items)))
        try:
            failures = list(_failures_of_machine([pool.submit(work, item) for item in items]))
        except Exception:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        except BaseException:
            self.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        pool.shutdown()
        for failure in failures[1:]:
            logger.error("%s", failure)
        if failures:
            raise failures[0]

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
        self,
        label: str,
        tasks: Mapping[str, Delayed],
        keys: list[str],
        retries: int,
        resources: Mapping[str, float] | None,
    ) -> Iterator[tuple[str, TaskResult]]:
        """Results as tasks end.

        After an error that the user can mend no further task starts. Others let the task be tried again, and one that
        fails each time does not keep the others from being done.
        """
        mendable: BaseException | None = None
        failures: dict[str, list[TaskResult]] = {}
        with self._flights(tasks, keys, resources) as flights:
            while (landed := flights.next(mendable is None)) is not None:
                for key, result in landed:
                    if result.error is None:
                        failures.pop(key, None)
                        yield key, result
                    elif isinstance(result.error, MENDABLE_ERRORS):
                        mendable = mendable or result.error
                    else:
                        tried = failures.setdefault(key, [])
                        tried.append(result)
                        if len(tried) <= retries and result.tries_left:
                            flights.again(key, {one.address for one in tried})
                if self.stopped:
                    raise Stopped(f"{label} was stopped")
        if mendable is not None:
            raise mendable
        if failures:
            raise _failed(label, failures, len(tasks))

    def _flights(
        self, tasks: Mapping[str, Delayed], keys: list[str], resources: Mapping[str, float] | None
    ) -> _Threads | _Cluster:
        if self.client is None:
            return _Threads(tasks, keys)
        return _Cluster(tasks, keys, self.client, Workers(self.client, resources), self.wait_limit)


def _failures_of_machine(works: Iterable[Future[None]]) -> Iterator[TasksFailed]:
    """What works failed with for reasons of the machine; other errors are raised at once."""
    for work in works:
        try:
            work.result()
        except TasksFailed as failure:
            yield failure


def _failed(label: str, failures: Mapping[str, list[TaskResult]], total: int) -> TasksFailed:
    """One line on tasks that failed each time; the cause is the last error of the first of them."""
    key, tried = next(iter(failures.items()))
    last = tried[-1]
    said = " ".join(str(last.error).split())
    where = f" on {last.worker}" if last.worker else ""
    error = TasksFailed(
        f"{label}: {len(failures)} of {total} tasks failed, the others are done; {key} failed "
        f"{len(tried)} times, last{where} with {type(last.error).__name__}: {said}; the same command tries again"
    )
    error.__cause__ = last.error
    error.errno = getattr(last.error, "errno", None)  # a full disk is reported as such
    return error


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
        if not isinstance(error, MENDABLE_ERRORS):
            logging.getLogger("distributed.worker").warning("a task failed", exc_info=True)  # in the log of a job
        return TaskResult(None, _portable(error), meter.cost(), *_this_worker())
    return TaskResult(value, None, meter.cost(), *_this_worker())


def _portable(error: Exception) -> Exception:
    """An error that can be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # its cause may be what cannot be sent
        for kind in MENDABLE_ERRORS:
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

    def __call__(self) -> TaskResult:
        return perform(self.task)


class _Threads:
    """Tasks in threads of this process."""

    def __init__(self, tasks: Mapping[str, Delayed], keys: list[str]) -> None:
        self._tasks, self._waiting = tasks, deque(keys)
        self._limit = _local_threads()
        self._pool = ThreadPoolExecutor(self._limit)
        self._running: dict[Future[TaskResult], str] = {}

    def __enter__(self) -> _Threads:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def again(self, key: str, avoid: Collection[str]) -> None:
        """Try a task again, after all that are yet to be tried; there are no other workers here."""
        self._waiting.append(key)

    def next(self, start: bool) -> list[tuple[str, TaskResult]] | None:
        """Tasks that ended within `POLL` seconds; new ones are started first if `start`. None when all are done."""
        while start and self._waiting and len(self._running) < self._limit:
            key = self._waiting.popleft()
            self._running[self._pool.submit(perform, self._tasks[key])] = key
        if not self._running:
            return None
        ended = wait(self._running, timeout=POLL, return_when=FIRST_COMPLETED).done
        return [(self._running.pop(future), _result(future)) for future in ended]


class _Cluster:
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

    def __enter__(self) -> _Cluster:
        self._demand.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._demand.__exit__(None, None, None)
        if self._client.status == "running":
            self._client.cancel(list(self._running))
            if kind is None:
                self._client.run(_trim, on_error="ignore")

    def again(self, key: str, avoid: Collection[str]) -> None:
        """Try a task again, after those that are yet to be tried, if possible on a worker that it has not failed on."""
        self._avoid[key] = avoid
        self._waiting.append(key)

    def next(self, start: bool) -> list[tuple[str, TaskResult]] | None:
        """See `_Threads.next`."""
        self._workers.check(self._wait_limit)
        while start and self._waiting and len(self._running) < PER_WORKER * max(self._workers.slots(), 1):
            self._submit(self._waiting.popleft())
        if not self._running:
            return None
        try:
            future = self._ended.get(timeout=POLL)
        except queue.Empty:
            return []
        key, result = self._running.pop(future), _result(future)
        future.release()
        return [(key, result)]

    def _submit(self, key: str) -> None:
        others = sorted(set(self._client.nthreads()) - set(self._avoid[key])) if key in self._avoid else []
        future = self._client.submit(
            _Sealed(self._tasks[key]),
            key=f"{key}-{uuid.uuid4().hex}",
            pure=False,
            resources=self._workers.resources or None,
            workers=others or None,
            allow_other_workers=bool(others),
        )
        self._running[future] = key
        future.add_done_callback(self._ended.put)


def _result(future: Any) -> TaskResult:
    """Result of a task that has ended; an exception on the way is part of it."""
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


def _local_threads() -> int:
    """Threads of this process's pool: dask's setting, else one per core."""
    return int(dask.config.get("num_workers", None) or dask.system.CPU_COUNT)


def _read_markers(folder: Path | None) -> Iterator[tuple[str, Any]]:
    if folder is not None and folder.is_dir():
        for path in sorted(folder.glob("*.json")):
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
                if content["checksum"] != _checksum(content["value"]):
                    raise ValueError("it was altered")
                yield path.stem, content["value"]
            except (ValueError, TypeError, KeyError):  # a machine that lost power can leave an empty file
                logger.warning("marker %s is damaged; its task is run again", path)


def _write_marker(folder: Path, key: str, value: Any) -> None:
    """One small file per task, whole or not at all, with a checksum of the value."""
    write_text(folder / f"{key}.json", json.dumps({"value": value, "checksum": _checksum(value)}))


def _checksum(value: Any) -> int:
    return zlib.crc32(json.dumps(value).encode())
