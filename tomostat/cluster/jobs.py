"""A scheduler in this process, and the jobs of a batch system that bring it workers: kept, replaced and reported on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import re
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from distributed import Scheduler, SchedulerPlugin, SpecCluster
from distributed.security import Security
from distributed.utils import format_dashboard_link

from tomostat.cluster.description import ClusterFile, Pool
from tomostat.cluster.systems import RUNNING, JobState, QueryError, System

logger = logging.getLogger(__name__)

UPDATE_SECONDS = 2.0
"""Time between two looks at the jobs."""

QUEUE_SECONDS = 10.0
"""Time between two questions to the batch system: it serves others as well."""

LOST_SECONDS = 15.0
"""A job whose workers are all gone for so long is lost; a nanny needs some seconds to start another worker."""

AGAIN_SECONDS = 30.0
"""Time after a refused submission until the next."""

IDLE_SECONDS = 60.0
"""Jobs beyond what is needed are kept for so long."""

REPORT_SECONDS = 60.0
"""Time between two messages while no worker is there; the first comes after a sixth of it."""

MOST_FAILED = 3
"""So many jobs in a row that end before a worker has joined are a fault of the cluster file."""


@dataclass(eq=False)
class Job:
    """A job that was submitted.

    Attributes
    ----------
    process
        dask-jobqueue's object.
    pool
        Its pool.
    submitted, seen
        When it was submitted, and when a worker of it was last there; None before the first.
    state
        What the batch system said of it last; None before it was asked, or where it does not answer.
    """

    process: Any
    pool: Pool
    submitted: float
    seen: float | None = None
    state: JobState | None = None

    @property
    def number(self) -> str:
        """The batch system's number of the job, without the name of a server."""
        return str(self.process.job_id).partition(".")[0]


@dataclass
class PoolJobs:
    """The jobs of a pool.

    Attributes
    ----------
    pool
        The pool.
    jobs
        Those that were submitted and are not known to have ended, by name.
    open_tasks
        Tasks that wait for workers of the pool, or run there.
    released
        Whether the pool is to have no jobs until there are tasks for it.
    failed
        Jobs in a row that ended before a worker joined.
    error
        What the last submission was refused with.
    """

    pool: Pool
    jobs: dict[str, Job] = field(default_factory=dict)
    open_tasks: int = 0
    released: bool = False
    failed: int = 0
    error: str = ""
    refused_at: float = -math.inf
    needed_at: float = -math.inf
    count: int = 0

    def wanted(self) -> int:
        """Jobs that there should be."""
        if self.open_tasks:
            self.released = False
        if self.released:
            return 0
        needed = math.ceil(self.open_tasks / (self.pool.slots * self.pool.processes))
        return min(max(needed, self.pool.least), self.pool.most)

    def running(self) -> list[Job]:
        """Jobs of which a worker has joined."""
        return [job for job in self.jobs.values() if job.seen is not None]

    def words(self) -> str:
        """How many jobs run, and what the others wait for."""
        rest = Counter(_waits_for(job) for job in self.jobs.values() if job.seen is None)
        waiting = ", ".join(f"{count} {what}" for what, count in rest.most_common())
        parts = [f"{len(self.running())} of {self.wanted()} jobs run" + (f": {waiting}" if waiting else "")]
        if self.error:
            parts.append(f"last submission error: {self.error}")
        return ", ".join(parts)


def _waits_for(job: Job) -> str:
    """What a job without a worker waits for."""
    if job.state is None:
        return "submitted"
    state = "starting" if job.state.state == RUNNING else job.state.state
    return f"{state} ({job.state.reason})" if job.state.reason else state


class JobCluster(SpecCluster):
    """A scheduler in this process whose workers are jobs of a batch system, in one or more pools.

    dask-jobqueue makes and submits the jobs. Its own clusters have one template of a job, do not replace jobs that are
    lost, and do not tell what they wait for.

    Parameters
    ----------
    description
        The cluster file.
    security
        Of the scheduler and its clients; None for connections in the clear.
    job_security
        The same with certificates in files, for the command lines of workers.

    Raises
    ------
    ValueError
        When the batch system refuses the first job of a pool.
    """

    def __init__(
        self, description: ClusterFile, security: Security | None = None, job_security: Security | None = None
    ) -> None:
        self.description = description
        self.pools = {name: PoolJobs(pool) for name, pool in description.pools.items()}
        self.trouble = ""
        self._job_security = job_security
        self._asked, self._reported = -math.inf, time.monotonic() - REPORT_SECONDS * 5 / 6
        self._query_error = ""
        options = {
            "dashboard_address": "127.0.0.1:0",
            "protocol": "tls://" if security else "tcp://",
            "security": security,
            **_interface(description),
            **description.scheduler_options,
        }
        super().__init__(
            workers={},
            scheduler={"cls": Scheduler, "options": options},
            security=security,
            silence_logs=logging.ERROR,
            name="tomostat",
        )
        self.scheduler.add_plugin(_Arrivals(self))
        try:
            self.sync(self._update_jobs)
            self.check()
        except BaseException:
            self.close()
            raise
        self._updater = self.sync(self._start_updater)

    @property
    def dashboard_link(self) -> str:
        """Address of dask's pages where they listen; distributed names the scheduler's host in any case."""
        host = str(self.scheduler_spec["options"]["dashboard_address"]).rpartition(":")[0]
        port = self.scheduler_info.get("services", {}).get("dashboard")
        return format_dashboard_link(host, port) if host and port else str(super().dashboard_link)

    # What `tomostat.workers` asks.

    def check(self) -> None:
        """Raise what keeps jobs from coming.

        Raises
        ------
        ValueError
            When jobs cannot be submitted, or end before a worker joins.
        """
        if self.trouble:
            raise ValueError(f"{self.description.path}: {self.trouble}")

    def words(self) -> str:
        """How many jobs run, what the others wait for, and where to look."""
        several = len(self.pools) > 1
        shown = {name: pool for name, pool in self.pools.items() if pool.jobs or pool.wanted()}
        parts = [(f"{name}: " if several else "") + pool.words() for name, pool in shown.items()]
        logs = sorted({str(pool.pool.settings["log_directory"]) for pool in self.pools.values()
                       if "log_directory" in pool.pool.settings})  # fmt: skip
        if self._query_error:
            parts.append(self._query_error)
        return "; ".join([*parts, *(f"logs in {folder}" for folder in logs)])

    def promised(self, resource: str | None = None) -> list[Pool]:
        """Pools whose workers have a resource; all pools when none is asked for."""
        return [pool.pool for pool in self.pools.values() if resource in (None, pool.pool.resource)]

    def slots(self, resource: str) -> int:
        """Tasks that the workers of a pool do at a time, of those that are there."""
        pools = {pool.pool.resource: pool.pool for pool in self.pools.values()}
        there = [one for one in list(self.scheduler.workers.values()) if resource in one.resources]
        return len(there) * pools[resource].slots if resource in pools else 0

    @contextlib.contextmanager
    def demand(self, resource: str, tasks: int) -> Iterator[None]:
        """Keep as many jobs as some tasks need, within the size of their pool, until the block ends."""
        pools = [pool for pool in self.pools.values() if pool.pool.resource == resource]
        for pool in pools:
            pool.open_tasks += tasks
        try:
            yield
        finally:
            for pool in pools:
                pool.open_tasks -= tasks

    def release(self, resource: str) -> None:
        """Cancel the jobs of a pool until there are tasks for it again."""
        for pool in self.pools.values():
            if pool.pool.resource == resource:
                pool.released = True

    # What keeps the jobs. All of it runs in the thread of the scheduler.

    async def _start_updater(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._keep_updating())

    async def _keep_updating(self) -> None:
        while True:
            await asyncio.sleep(UPDATE_SECONDS)
            try:
                await self._update_jobs()
            except Exception as error:
                logger.exception("jobs could not be updated")
                self.trouble = f"jobs could not be updated: {error}"

    async def _update_jobs(self) -> None:
        """Find out which jobs there are, submit those that are missing, cancel those that are too many."""
        await self._ask_queue()
        present = {name for worker in self.scheduler.workers.values() for name in _names_of_job(worker.name)}
        for pool in self.pools.values():
            for name, job in list(pool.jobs.items()):
                if name in present:
                    job.seen, pool.failed = time.monotonic(), 0
                elif self._is_lost(job):
                    await self._drop(pool, name)
            surplus = len(pool.jobs) - pool.wanted()
            if surplus > 0:
                await self._shrink(pool, surplus)
            else:
                pool.needed_at = time.monotonic()
                await self._submit(pool, -surplus)
        self._report_state()

    def arrived(self, worker: object) -> None:
        """Note that a worker has joined, if only for a moment."""
        for pool in self.pools.values():
            for name in _names_of_job(worker):
                if name in pool.jobs:
                    pool.jobs[name].seen, pool.failed = time.monotonic(), 0

    async def _ask_queue(self) -> None:
        """Note what the batch system says of every job; nothing where it is not known how to ask it."""
        jobs = [job for pool in self.pools.values() for job in pool.jobs.values()]
        system = next(iter(self.pools.values())).pool.system
        now = time.monotonic()
        if system.queue is None or not jobs or now - self._asked < QUEUE_SECONDS or all(map(self._fresh, jobs)):
            return
        self._asked = now
        try:
            states = await asyncio.to_thread(system.queue.states)
        except QueryError as error:
            self._query_error = str(error)
            return
        self._query_error = ""
        for job in jobs:
            if job.submitted < now:
                job.state = states.get(job.number, GONE)

    def _fresh(self, job: Job) -> bool:
        """Whether workers of a job are there, so that nobody need be asked for it."""
        return job.seen is not None and time.monotonic() - job.seen < 2 * UPDATE_SECONDS

    def _is_lost(self, job: Job) -> bool:
        now = time.monotonic()
        if job.state is GONE:
            return True
        return job.seen is not None and now - job.seen > LOST_SECONDS

    async def _drop(self, pool: PoolJobs, name: str) -> None:
        """Forget a job that has ended, and let the batch system forget it."""
        job = pool.jobs.pop(name)
        await _end(job)
        if job.seen is not None:
            logger.info("job %s (%s) has ended and is replaced", job.number, name)
            return
        pool.failed += 1
        logger.warning("job %s (%s) ended before a worker joined%s", job.number, name, _last_log_line(job))
        if pool.failed >= MOST_FAILED:
            jobs = f"{pool.failed} jobs of pool {pool.pool.name}"
            self.trouble = f"{jobs} in a row ended before a worker joined{_last_log_line(job)}"

    async def _shrink(self, pool: PoolJobs, surplus: int) -> None:
        """Cancel jobs that are too many, those without workers first; at once where a pool is released."""
        if not pool.released and time.monotonic() - pool.needed_at < IDLE_SECONDS:
            return
        order = sorted(pool.jobs, key=lambda name: pool.jobs[name].seen is not None)
        for name in order[:surplus]:
            await self._cancel(pool, name)

    async def _cancel(self, pool: PoolJobs, name: str) -> None:
        """Let the workers of a job hand over what they hold, and cancel it."""
        job = pool.jobs.pop(name)
        workers = [one.address for one in self.scheduler.workers.values() if name in _names_of_job(one.name)]
        if workers:
            await self.scheduler.retire_workers(workers=workers, close_workers=True, remove=True)
        await _end(job)
        logger.info("job %s (%s) is cancelled: it is not needed", job.number, name)

    async def _submit(self, pool: PoolJobs, missing: int) -> None:
        """Submit jobs until one is refused; a refusal of the very first is a fault of the cluster file."""
        if self.trouble or time.monotonic() - pool.refused_at < AGAIN_SECONDS:
            return
        for _ in range(missing):
            name = f"{pool.pool.name}-{pool.count}"
            try:
                job = await self._submitted(pool.pool, name)
            except (OSError, RuntimeError, ValueError) as error:
                pool.error, pool.refused_at = _refusal(error), time.monotonic()
                if not pool.count:
                    self.trouble = pool.error
                return
            pool.jobs[name], pool.error = job, ""
            pool.count += 1

    async def _submitted(self, pool: Pool, name: str) -> Job:
        secure = {"protocol": "tls://", "security": self._job_security} if self._job_security else {}
        process = _job_class(pool.system)(
            self.scheduler.contact_address or self.scheduler.address,
            name=name,
            **{**pool.settings, "worker_extra_args": pool.worker_arguments},
            **secure,
        )
        await process
        logger.info("job %s (%s) is submitted", process.job_id, name)
        return Job(process, pool, time.monotonic())

    def _report_state(self) -> None:
        """Tell how matters stand as long as some pool has no worker."""
        if (
            any(pool.jobs and not pool.running() for pool in self.pools.values())
            and time.monotonic() - self._reported > REPORT_SECONDS
        ):
            self._reported = time.monotonic()
            logger.warning("%s", self.words())

    async def _close(self) -> None:
        """Cancel all jobs, then end the scheduler."""
        if hasattr(self, "_updater"):
            self._updater.cancel()
        jobs = [job for pool in self.pools.values() for job in pool.jobs.values()]
        for pool in self.pools.values():
            pool.jobs.clear()
        await asyncio.gather(*map(_end, jobs))
        await super()._close()


class _Arrivals(SchedulerPlugin):
    """Tells a cluster of workers that join."""

    def __init__(self, cluster: JobCluster) -> None:
        self._cluster = cluster

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        self._cluster.arrived(scheduler.workers[worker].name)


GONE = JobState("gone")
"""A job that its batch system does not know any more."""


async def _end(job: Job) -> None:
    """Cancel a job; whether it still runs does not matter."""
    with contextlib.suppress(OSError):
        await job.process.close()


def _names_of_job(worker: object) -> tuple[str, str]:
    """Names that the job of a worker may have: the workers of a job NAME are NAME, or NAME-0, NAME-1 and so on."""
    return str(worker), str(worker).rpartition("-")[0]


def _interface(description: ClusterFile) -> Mapping[str, Any]:
    """The network interface of the workers is that of the scheduler as well, where no other is set.

    Raises
    ------
    ValueError
        When this machine has no such interface.
    """
    from distributed.utils import get_ip_interface

    options = description.scheduler_options
    wanted = [pool.settings["interface"] for pool in description.pools.values() if "interface" in pool.settings]
    if {"host", "interface"} & set(options) or not wanted:
        return {}
    interface = wanted[0]
    try:
        get_ip_interface(interface)
    except ValueError as error:
        raise ValueError(f"{description.path}: interface: {error}") from None
    return {"interface": interface}


@cache
def _job_class(system: System) -> Any:
    """dask-jobqueue's class of jobs, whose commands keep what they say on standard error."""

    class OfSystem(system.job_class()):  # type: ignore[misc]
        @staticmethod
        async def _call(cmd: list[str], *, shell: bool = False, **options: Any) -> str:
            words = [word.removesuffix(" 2> /dev/null") for word in cmd]
            call: Any = asyncio.create_subprocess_shell if shell else asyncio.create_subprocess_exec
            pipe = asyncio.subprocess.PIPE
            process = await call(*words, stdout=pipe, stderr=pipe, **options)
            out, error = await process.communicate()
            if process.returncode:
                said = " ".join((error or out).decode(errors="replace").split())
                raise RuntimeError(f"{shlex.split(words[0])[0].rstrip('<')} refuses the job: {said}")
            return out.decode(errors="replace")

    return OfSystem


def _refusal(error: Exception) -> str:
    """What a submission was refused with, in one line."""
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"there is no {error.filename} here; jobs are submitted from a node of the cluster"
    return " ".join(str(error).split())


def _last_log_line(job: Job) -> str:
    """The last line that a job left in its log, to go on with a sentence; where there is none, where to look."""
    folder = job.process.log_directory
    if folder is None:
        return "; set log_directory in the cluster file to see why"
    for path in sorted(Path(folder).glob(f"*{job.number}*")):
        lines = [line for line in path.read_text(errors="replace").splitlines() if re.search(r"\w", line)]
        if lines:
            return f"; {path} ends: {lines[-1].strip()}"
    return f"; see the logs in {folder}"
