"""The one place that computes: runs a stage's tasks, a bounded number at a time, and marks each as it ends."""

from __future__ import annotations

import ctypes
import json
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
from dask.delayed import Delayed

from tomostat.blocks import check_memory

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""Called with the stage's name, tasks done and tasks in all."""

PER_WORKER = 2
"""Tasks in flight for each thread: one that runs and one that waits, so that memory stays bounded."""


def execute(
    tasks: Mapping[str, Delayed],
    *,
    label: str,
    markers: Path | None = None,
    client: Client | None = None,
    progress: Progress | None = None,
    retries: int = 2,
    resources: Mapping[str, float] | None = None,
    need: int = 0,
) -> dict[str, Any]:
    """Run tasks that each write their own output and return something small.

    Parameters
    ----------
    tasks
        Lazy tasks by key. A task returns a JSON-able value or None.
    label
        Name of the work, for progress and messages.
    markers
        Folder of marker files: a task whose marker stands is not run again, its value is read from the marker.
    client
        Where to run; threads of this process when not given.
    progress
        Called as tasks end.
    retries
        How often a failed task is tried again on a cluster (a lost worker, a full disk).
    resources
        Worker resources that a task asks for, such as ``{"GPU": 1}``.
    need
        Bytes that one task takes at most, by the stage's estimate.

    Returns
    -------
    dict
        Value of every task, in the order of `tasks`.

    Raises
    ------
    ValueError
        When a task needs more memory than a worker has; nothing was run then.
    Exception
        What a task raised; finished tasks keep their markers.
    """
    done = {key: value for key, value in _read_markers(markers) if key in tasks}
    todo = [key for key in tasks if key not in done]
    if done:
        logger.info("%s: %d of %d tasks stand already", label, len(done), len(tasks))
    report = progress or (lambda *_: None)
    if todo and need:
        check_memory(need, memory_per_task(client), label)
    report(label, len(done), len(tasks))
    finished = _run_here(tasks, todo) if client is None else _run_cluster(tasks, todo, client, retries, resources)
    for key, value in finished:
        if markers is not None:
            _write_marker(markers, key, value)
        done[key] = value
        report(label, len(done), len(tasks))
    return {key: done[key] for key in tasks}


def _run_here(tasks: Mapping[str, Delayed], keys: list[str]) -> Iterator[tuple[str, Any]]:
    """Run in threads of this process, completions first; after a failure, what runs already is still taken."""

    def compute(key: str) -> Any:
        return tasks[key].compute(scheduler="synchronous")

    workers = _local_threads()
    waiting = iter(keys)
    running: dict[Future[Any], str] = {}
    failure: BaseException | None = None
    with ThreadPoolExecutor(workers) as pool:
        while True:
            while failure is None and len(running) < workers and (key := next(waiting, None)) is not None:
                running[pool.submit(compute, key)] = key
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                key = running.pop(future)
                if (error := future.exception()) is None:
                    yield key, future.result()
                else:
                    failure = failure or error
    if failure is not None:
        raise failure


def _run_cluster(
    tasks: Mapping[str, Delayed],
    keys: list[str],
    client: Client,
    retries: int,
    resources: Mapping[str, float] | None,
) -> Iterator[tuple[str, Any]]:
    """Run on a cluster with a bounded number of tasks in flight, which grows and shrinks with the cluster."""
    from distributed import as_completed

    waiting = iter(keys)
    running: dict[Any, str] = {}
    failure: Exception | None = None
    capacity = _Capacity(client)
    queue = as_completed()

    def submit() -> None:
        while failure is None and len(running) < capacity.tasks() and (key := next(waiting, None)) is not None:
            # resources on the whole small graph: an annotation would be lost in fusion
            future = client.compute(tasks[key], retries=retries, resources=dict(resources) if resources else None)
            running[future] = key
            queue.add(future)

    try:
        submit()
        for future in queue:
            key = running.pop(future)
            try:
                value = future.result()
            except Exception as error:  # raised below, when what runs already has ended
                failure = failure or error
            else:
                yield key, value
            future.release()
            submit()
    finally:
        client.cancel(list(running))
        client.run(_trim, on_error="ignore")
    if failure is not None:
        raise failure


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


def memory_per_task(client: Client | None) -> int:
    """Bytes that one task may take: a worker's memory, or this machine's, shared by the threads.

    Parameters
    ----------
    client
        The cluster; this process when not given.
    """
    if client is None:
        from distributed.system import MEMORY_LIMIT

        return int(MEMORY_LIMIT) // _local_threads()
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    shares = [worker["memory_limit"] // worker["nthreads"] for worker in workers if worker["memory_limit"]]
    return min(shares, default=sys.maxsize)


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
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f"{key}.part"
    aside.write_text(json.dumps(value), encoding="utf-8")
    aside.replace(folder / f"{key}.json")
