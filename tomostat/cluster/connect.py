"""Where it runs: this machine, a running scheduler, or a batch system through dask-jobqueue."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomostat.cluster.description import read_cluster_file
from tomostat.cluster.security import certificates
from tomostat.workers import CPU, GPU, Capacity

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

DASHBOARD = "127.0.0.1:0"
"""Where a dashboard listens: nobody else on the network may look in; reach it from afar over an SSH tunnel."""

GUARD = "a script that starts worker processes needs `if __name__ == '__main__':` around that, since they import it"
"""What to do where workers start the script anew instead of starting."""

WORKERS_PER_GPU = 2
"""Local workers that share a GPU: one prepares its slices on a core while the network of the other computes."""

MEMORY_PER_WORKER = 1.5 * 2**30
"""Bytes that a local worker should have at least: the network and one block fit."""

STARTS = 3
"""Times that a local worker is started before the cluster gives up, should it be killed meanwhile, as for memory."""

ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": 2**26, "MALLOC_MMAP_THRESHOLD_": 2**25}
"""glibc keeps freed memory for the next array, up to 64 MiB, and hands back arrays of more than 32 MiB. Workers of
`distributed` hand every array back by default; fetching the pages anew makes the network a third slower."""

PROFILE_CYCLE = "60s"
"""How often a worker begins a new profile of where its time goes. `distributed` keeps thousands of them; with its own
second, a worker grows by some 20 MiB in a minute."""


@contextlib.contextmanager
def open_cluster(
    cluster: str | Path = "local", *, workers: int | None = None, dashboard: bool = False
) -> Iterator[Client]:
    """Connect to the workers, and disconnect at the end.

    Parameters
    ----------
    cluster
        ``local``; the address of a scheduler, such as ``tcp://host:8786``, or its JSON scheduler file; or a cluster
        file (.yaml) with a batch system and pools of jobs, see `tomostat.cluster.read_cluster_file`.
    workers
        Worker processes of a local cluster, one thread each; one per core, as memory allows, when not given.
    dashboard
        Serve dask's dashboard for a local cluster, which takes a second more; other clusters always have one.

    Yields
    ------
    distributed.Client

    Raises
    ------
    ValueError
        When `cluster` is something else, a setting is invalid, or the batch system refuses the first job.
    FileNotFoundError
        When the file does not exist.
    """
    from distributed import Client

    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; expected 1 or more")
    where = str(cluster)
    with contextlib.ExitStack() as stack:
        if where == "local":
            yield stack.enter_context(Client(stack.enter_context(_local(workers, dashboard))))
        elif where.endswith((".yaml", ".yml")):
            batch = stack.enter_context(_batch_system(Path(where)))
            yield stack.enter_context(Client(batch))
        else:
            yield stack.enter_context(_connect(where))


open_client = open_cluster
"""The former name of `open_cluster`."""


def capacities_of(cluster: str, workers: int | None = None) -> dict[str, Capacity]:
    """Workers that a cluster will have, by the resource of their tasks, without starting any.

    Raises
    ------
    ValueError, FileNotFoundError
        When it is neither ``local`` nor a cluster file that can be.
    """
    from distributed.system import MEMORY_LIMIT

    if cluster == "local":
        count = workers or local_workers()
        capacity = Capacity(slots=count, memory=int(MEMORY_LIMIT / count))
        gpus = len(gpus_here())
        return {CPU: capacity} | ({GPU: replace(capacity, slots=min(count, WORKERS_PER_GPU * gpus))} if gpus else {})
    if not cluster.endswith((".yaml", ".yml")):
        raise ValueError(f"cluster is {cluster!r}; expected local or a cluster file (.yaml)")
    pools = read_cluster_file(cluster).pools.values()
    return {
        pool.resource: Capacity(slots=pool.most * pool.processes * pool.slots, memory=pool.memory_per_task)
        for pool in pools
    }


def local_workers() -> int:
    """Workers on this machine: one per core, as memory allows."""
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    return max(1, min(CPU_COUNT, int(MEMORY_LIMIT / MEMORY_PER_WORKER)))


def _local(workers: int | None, dashboard: bool) -> Any:
    """Processes of one thread each: kernels and the network then repeat bit for bit."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(1)  # a worker process that imports the script; the one that started it says what to do
    import dask
    from distributed import LocalCluster

    count = workers or local_workers()
    environment = {f"distributed.nanny.pre-spawn-environ.{name}": size for name, size in ALLOCATOR.items()}
    settings = environment | {"distributed.worker.profile.cycle": PROFILE_CYCLE}
    with dask.config.set(settings), _interrupts_held_back():
        try:
            return LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                worker_class=nanny_class(gpus_here()),
                dashboard_address=DASHBOARD,
                scheduler_kwargs={"dashboard": dashboard},
                silence_logs=logging.CRITICAL,  # what fails in a worker is raised here
            )
        except RuntimeError as error:
            raise RuntimeError(f"worker processes did not start ({error}); {GUARD}") from None


def gpus_here() -> list[str]:
    """GPUs of this machine, as CUDA numbers those that it is to see."""
    there = [str(number) for number, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return there if visible is None else [one.strip() for one in visible.split(",") if there and one.strip()]


def nanny_class(gpus: list[str]) -> Any:
    """The class that starts local workers: the first ones share the GPUs, and only they have the resource."""
    from distributed import Nanny, Status

    class LocalNanny(Nanny):
        def __init__(self, *args: Any, name: int, **options: Any) -> None:
            if name < WORKERS_PER_GPU * len(gpus):
                options["resources"] = {GPU: 1.0}
                options["env"] = {**(options.get("env") or {}), "CUDA_VISIBLE_DEVICES": gpus[name % len(gpus)]}
            super().__init__(*args, name=name, **options)

        async def instantiate(self) -> Status:
            """Start the worker process; `Nanny` starts it anew when it dies later, but not when it dies in this."""
            for _ in range(STARTS):
                status = await super().instantiate()
                if status == Status.running:
                    break
            return status

    return LocalNanny


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Hold Ctrl-C back in this thread, and in the threads and processes that it starts, for as long as they live.

    A terminal sends Ctrl-C to the workers as well. They must not die of it one by one, to be started anew: this process
    receives it when the block ends, and ends them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    resource_tracker.ensure_running()  # else it is started later, in a worker's thread, and lets Ctrl-C in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _connect(address: str) -> Client:
    from distributed import Client

    if address.endswith(".json"):
        if not Path(address).is_file():
            raise FileNotFoundError(f"no scheduler file at {address}")
        return Client(scheduler_file=address, timeout="30s")
    if "://" not in address:
        raise ValueError(
            f"cluster is {address!r}; expected local, a scheduler's address such as tcp://host:8786, "
            "a scheduler file (.json) or a cluster file (.yaml)"
        )
    try:
        return Client(address, timeout="30s")
    except (OSError, TimeoutError) as error:
        raise ValueError(f"no scheduler answers at {address}: {error or 'timed out'}") from None


@contextlib.contextmanager
def _batch_system(path: Path) -> Iterator[Any]:
    """The scheduler and the jobs that a cluster file describes."""
    from tomostat.cluster.jobs import JobCluster

    description = read_cluster_file(path)
    secured = certificates(description.shared_folder) if description.secure else contextlib.nullcontext((None, None))
    environment = ALLOCATOR | {"DASK_DISTRIBUTED__WORKER__PROFILE__CYCLE": PROFILE_CYCLE}
    description = description.with_prologue(environment)
    with secured as (security, of_jobs), JobCluster(description, security, of_jobs) as cluster:
        yield cluster
