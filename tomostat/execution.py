"""Runs the tasks of all stages where the user wants, marks those that end and reports their cost.

`tomostat.runners` hands them to threads or to dask.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dask.delayed import Delayed

from tomostat.blocks import check_memory
from tomostat.events import USER_ERRORS, Event, Listener, StepStarted, TaskEnded
from tomostat.markers import open_markers, read_markers
from tomostat.runners import POLL, ClusterTasks, TaskResult, ThreadTasks, local_threads
from tomostat.workers import Workers

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

Item = TypeVar("Item")


class Stopped(Exception):
    """The execution was asked to stop before all tasks had ended."""


class TasksFailed(OSError):
    """Tasks failed again and again for reasons of the machine; all others of their step are finished and marked.

    An `OSError`, since it carries the ``errno`` of the last of them: a full disk is reported as such.
    """


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
        Folder of the markers of finished tasks, a file for every step: a task that is marked is not run again, its
        value is read from the marker. None keeps no markers.
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

    def for_stage(self, stage: str) -> Execution:
        """The same execution for a stage."""
        return replace(self, stage=stage)

    def for_field(self, field: str, markers: Path) -> Execution:
        """The same execution for a field of view, with the markers of one of its stages."""
        return replace(self, field=field, markers=markers)

    def stop(self) -> None:
        """Let no further task start; calls of `run` that wait for tasks raise `Stopped`."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def marker_file(self, step: str) -> Path | None:
        """File of the markers of a step."""
        name = step.replace(", ", "-").replace(" ", "-")
        return None if self.markers is None else self.markers / f"{name}.jsonl"

    def has_finished_tasks(self, step: str) -> bool:
        """Whether an interrupted call has finished some task of a step."""
        file = self.marker_file(step)
        return file is not None and file.exists()

    def memory_per_task(self, resources: Mapping[str, float] | None = None) -> int:
        """Bytes that one task may take: a worker's memory, or this machine's, shared by the threads.

        Workers that a batch system is yet to bring count as those that are there.
        """
        if self.client is None:
            from distributed.system import MEMORY_LIMIT

            return int(MEMORY_LIMIT) // local_threads()
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

    def parallel_tasks(self) -> int:
        """Tasks that run at a time once all workers are there."""
        return local_threads() if self.client is None else Workers(self.client).slots_at_most()

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
            Name of the work, for events, messages and the file of markers.
        tasks
            Lazy tasks by key. A task returns a JSON-able value or None.
        need
            Bytes that one task takes at most, by the stage's estimate.
        retries
            How often a task that failed is tried again, on another worker where there is one (a full disk, a drive that
            went away). Errors that the user can mend (`USER_ERRORS`) are not.
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
            Of `USER_ERRORS`, what a task raised; finished tasks keep their markers.
        """
        file, label = self.marker_file(step), self._label(step)
        done = {key: value for key, value in read_markers(file) if key in tasks}
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
        with open_markers(file) as mark:
            for key, result in self._results(label, tasks, todo, retries, resources):
                mark(key, result.value)
                done[key] = result.value
                about = vars(started) | {"done": len(done)}
                self.listener(TaskEnded(**about, task=key, cost=result.cost, worker=result.worker))
        return {key: done[key] for key in tasks}

    def run_concurrently(self, work: Callable[[Item], None], items: Sequence[Item]) -> None:
        """Call a function for several items at a time, such as whole fields, each of which runs tasks.

        Without a cluster the calls follow each other. One that fails for reasons of the machine does not keep the
        others from being done. After an error that the user can mend, those that run already go on and no further one
        starts; an interruption stops all.

        Raises
        ------
        TasksFailed
            At the end, what the first call failed with.
        """
        pool = ThreadPoolExecutor(min(1 if self.client is None else max(1, self.parallel_tasks()), len(items)))
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

        After an error that the user can mend no further task starts. Other errors let the task be tried again, and one
        that fails each time does not keep the others from being done.
        """
        user_error: BaseException | None = None
        failures: dict[str, list[TaskResult]] = {}
        with self._runner(tasks, keys, resources) as runner:
            while (ended := runner.poll(start_new=user_error is None)) is not None:
                for key, result in ended:
                    if result.error is None:
                        failures.pop(key, None)
                        yield key, result
                    elif isinstance(result.error, USER_ERRORS):
                        user_error = user_error or result.error
                    else:
                        tried = failures.setdefault(key, [])
                        tried.append(result)
                        if len(tried) <= retries and result.tries_left:
                            runner.retry(key, {one.address for one in tried})
                if self.stopped:
                    raise Stopped(f"{label} was stopped")
        if user_error is not None:
            raise user_error
        if failures:
            raise _failed(label, failures, len(tasks))

    def _runner(
        self, tasks: Mapping[str, Delayed], keys: list[str], resources: Mapping[str, float] | None
    ) -> ThreadTasks | ClusterTasks:
        if self.client is None:
            return ThreadTasks(tasks, keys)
        return ClusterTasks(tasks, keys, self.client, Workers(self.client, resources), self.wait_limit)


def _failures_of_machine(calls: Iterable[Future[None]]) -> Iterator[TasksFailed]:
    """What calls failed with for reasons of the machine; other errors are raised at once."""
    for call in calls:
        while not wait([call], timeout=POLL).done:  # a thread that waits without end can miss Ctrl-C
            pass
        try:
            call.result()
        except TasksFailed as failure:
            yield failure


def _failed(label: str, failures: Mapping[str, list[TaskResult]], total: int) -> TasksFailed:
    """One line on tasks that failed each time; the cause is the last error of the first of them."""
    key, tried = next(iter(failures.items()))
    last = tried[-1]
    reason = " ".join(str(last.error).split())
    where = f" on {last.worker}" if last.worker else ""
    error = TasksFailed(
        f"{label}: {len(failures)} of {total} tasks failed, the others are done; {key} failed "
        f"{len(tried)} times, last{where} with {type(last.error).__name__}: {reason}; the same command tries again"
    )
    error.__cause__ = last.error
    error.errno = getattr(last.error, "errno", None)  # a full disk is reported as such
    return error
