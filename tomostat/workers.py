"""The workers of a client: those that are there, and those that a batch system is to bring."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from distributed import Client

CPU, GPU = "CPU", "GPU"
"""Worker resources by which tasks find the pool that they are made for."""

LOOK_SECONDS = 1.0
"""Time between two looks at which workers are there, since they come and go."""


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """Workers that tasks of one kind find.

    Attributes
    ----------
    slots
        Tasks that are done at a time.
    memory
        Bytes that one task may take.
    """

    slots: int
    memory: int


class PromisedWorkers(Protocol):
    """Workers of one kind that are to come."""

    resource: str
    slots: int
    processes: int
    most: int
    memory_per_task: int


@runtime_checkable
class Provider(Protocol):
    """A cluster that brings workers by itself, such as `tomostat.cluster.jobs.JobCluster`."""

    def check(self) -> None:
        """Raise ValueError when no workers can come."""

    def words(self) -> str:
        """How matters stand."""

    def promised(self, resource: str | None = None) -> Sequence[PromisedWorkers]:
        """Kinds of workers that are to come, those with a resource if one is named."""

    def slots(self, resource: str) -> int:
        """Tasks that the workers with a resource do at a time, of those that are there."""

    def demand(self, resource: str, tasks: int) -> AbstractContextManager[None]:
        """Bring workers for so many tasks until the block ends."""

    def release(self, resource: str) -> None:
        """Let the workers with a resource go."""


class Workers:
    """What `tomostat.Execution` asks about the workers of a client.

    Parameters
    ----------
    client
        A `distributed.Client`.
    resources
        What the tasks ask for, such as ``{"GPU": 1}``. Where workers are kept in pools, tasks that ask for nothing go
        to those of the pool of CPUs: a GPU is not to wait for them.
    """

    def __init__(self, client: Client, resources: Mapping[str, float] | None = None) -> None:
        self._client = client
        self._provider = client.cluster if isinstance(client.cluster, Provider) else None
        self.resources = dict(resources or ({CPU: 1.0} if self._provider else {}))
        self._looked, self._slots, self._without = -math.inf, 0, time.monotonic()

    @property
    def offered(self) -> bool:
        """Whether some worker can take the tasks, or is to come."""
        return bool(self._promised() or self._present())

    def slots(self) -> int:
        """Tasks that the workers that are there do at a time."""
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            self._looked, self._slots = now, self._count_slots()
            if self._slots:
                self._without = now
        return self._slots

    def slots_at_most(self) -> int:
        """Tasks that are done at a time once all workers are there."""
        promised = sum(pool.most * pool.processes * pool.slots for pool in self._promised())
        return max(promised, self.slots())

    def memory_per_task(self) -> int:
        """Bytes that one task may take: the least share of those that are there or to come."""
        shares = [pool.memory_per_task for pool in self._promised()]
        shares += [int(one["memory_limit"]) // self._at_a_time(one) for one in self._present() if one["memory_limit"]]
        return min(shares, default=sys.maxsize)

    def check(self, wait_limit: float | None) -> None:
        """Raise where no worker can come, or none has come for too long.

        Parameters
        ----------
        wait_limit
            Seconds to wait for a worker; for ever when None.

        Raises
        ------
        ValueError
            With how matters stand.
        """
        if self._provider is not None:
            self._provider.check()
        if wait_limit is not None and not self.slots() and time.monotonic() - self._without > wait_limit:
            said = self._provider.words() if self._provider else "the scheduler has none"
            raise ValueError(f"no worker {self._with()}came within {wait_limit / 60:g} minutes: {said}")

    def refuse_missing(self, what: str) -> None:
        """Refuse tasks that no worker can ever take.

        Raises
        ------
        ValueError
            With what to do.
        """
        if self.resources and not self.offered:
            flags = " ".join(f"{name}={amount:g}" for name, amount in self.resources.items())
            raise ValueError(
                f"{what} needs workers {self._with()}and the cluster has none: name a pool of them in the cluster "
                f"file, or start some by `dask worker ADDRESS --resources {flags}`"
            )

    @contextlib.contextmanager
    def demand(self, tasks: int) -> Iterator[None]:
        """Let workers be brought for so many tasks until the block ends."""
        with contextlib.ExitStack() as stack:
            for resource in self.resources if self._provider is not None else ():
                stack.enter_context(self._provider.demand(resource, tasks))  # type: ignore[union-attr]
            yield

    def release(self) -> None:
        """Let the workers that the tasks ask for go, where they are brought for them alone."""
        for resource in self.resources if self._provider is not None else ():
            self._provider.release(resource)  # type: ignore[union-attr]

    def _with(self) -> str:
        return f"with the resource {', '.join(self.resources)} " if self.resources else ""

    def _count_slots(self) -> int:
        """See `slots`; what a cluster of a thousand workers says of each of them is not asked for every second."""
        if self._provider is not None and len(self.resources) == 1:
            return self._provider.slots(*self.resources)
        if not self.resources:
            return sum(self._client.nthreads().values())
        return sum(map(self._at_a_time, self._present()))

    def _promised(self) -> list[PromisedWorkers]:
        if self._provider is None:
            return []
        return [pool for pool in self._provider.promised() if set(self.resources) <= {pool.resource}]

    def _present(self) -> list[dict[str, Any]]:
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return [one for one in workers if self._at_a_time(one)]

    def _at_a_time(self, worker: Mapping[str, Any]) -> int:
        """Tasks that a worker does at a time; 0 where it cannot take any."""
        shares = [int(worker["resources"].get(name, 0) // amount) for name, amount in self.resources.items()]
        return min([int(worker["nthreads"]), *shares])
