"""Where it runs: this machine, a running scheduler, or a batch system through dask-jobqueue."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomostat.files import read_yaml
from tomostat.options import refuse_unknown

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

DASHBOARD = "127.0.0.1:0"
"""Where a dashboard listens: nobody else on the network may look in; reach it from afar over an SSH tunnel."""

MEMORY_PER_WORKER = 1.5 * 2**30
"""Bytes that a local worker should have at least: the network and one block fit."""

ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": 2**26, "MALLOC_MMAP_THRESHOLD_": 2**25}
"""glibc keeps freed memory for the next array, up to 64 MiB, and hands back arrays of more than 32 MiB. Workers of
`distributed` hand every array back by default; fetching the pages anew makes the network a third slower."""


@contextlib.contextmanager
def open_client(cluster: str = "local", *, workers: int | None = None) -> Iterator[Client]:
    """Connect to the workers, and disconnect at the end.

    Parameters
    ----------
    cluster
        ``local``; the address of a scheduler, such as ``tcp://host:8786``, or its JSON scheduler file; or a
        dask-jobqueue YAML: the key ``jobqueue`` with one batch system and its settings, and ``jobs``, how many jobs
        to keep running.
    workers
        Worker processes of a local cluster, one thread each; one per core, as memory allows, when not given.

    Yields
    ------
    distributed.Client

    Raises
    ------
    ValueError
        When `cluster` is something else, or a setting is invalid.
    FileNotFoundError
        When the file does not exist.
    """
    from distributed import Client

    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; expected 1 or more")
    with contextlib.ExitStack() as stack:
        if cluster == "local":
            yield stack.enter_context(Client(stack.enter_context(_local(workers))))
        elif cluster.endswith((".yaml", ".yml")):
            batch = stack.enter_context(_batch_system(Path(cluster)))
            yield stack.enter_context(Client(batch))
        else:
            yield stack.enter_context(_connect(cluster))


def _local(workers: int | None) -> Any:
    """Processes of one thread each: kernels and the network then repeat bit for bit."""
    import dask
    from dask.system import CPU_COUNT
    from distributed import LocalCluster
    from distributed.system import MEMORY_LIMIT

    count = workers or max(1, min(CPU_COUNT, int(MEMORY_LIMIT / MEMORY_PER_WORKER)))
    environment = {f"distributed.nanny.pre-spawn-environ.{name}": size for name, size in ALLOCATOR.items()}
    with dask.config.set(environment), _interrupts_held_back():
        return LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            dashboard_address=DASHBOARD,
            silence_logs=logging.CRITICAL,  # what fails in a worker is raised here
        )


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
            "a scheduler file (.json) or a dask-jobqueue file (.yaml)"
        )
    try:
        return Client(address, timeout="30s")
    except (OSError, TimeoutError) as error:
        raise ValueError(f"no scheduler answers at {address}: {error or 'timed out'}") from None


@contextlib.contextmanager
def _batch_system(path: Path) -> Iterator[Any]:
    """A dask-jobqueue cluster as a YAML file describes it."""
    batch = read_jobqueue(path)
    given = batch.settings
    exports = [f"export {name}={size}" for name, size in ALLOCATOR.items()]
    settings = {
        **given,
        "job_script_prologue": [*exports, *given.get("job_script_prologue", [])],
        "worker_extra_args": ["--no-dashboard", *given.get("worker_extra_args", [])],
        "scheduler_options": {"dashboard_address": DASHBOARD, **given.get("scheduler_options", {})},
    }
    # to the class itself: dask-jobqueue reads dask's configuration anew for every job that it makes
    with getattr(_import_jobqueue(), SYSTEMS[batch.system])(**settings) as cluster:
        logger.info("%s: %d jobs asked for", batch.system, batch.jobs)
        cluster.scale(jobs=batch.jobs)
        yield cluster


def _import_jobqueue() -> Any:
    """dask-jobqueue, without the handler that it sets for Ctrl-C when it is imported: that ends with status 0."""
    handler = signal.getsignal(signal.SIGINT)
    import dask_jobqueue

    signal.signal(signal.SIGINT, handler)
    return dask_jobqueue


SYSTEMS = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "lsf": "LSFCluster",
    "sge": "SGECluster",
    "htcondor": "HTCondorCluster",
    "oar": "OARCluster",
    "moab": "MoabCluster",
}
"""dask-jobqueue's class for every batch system that it knows."""


@dataclass(frozen=True)
class BatchSystem:
    """A batch system as a cluster file describes it.

    Attributes
    ----------
    system
        Its name in `SYSTEMS`.
    settings
        Arguments of dask-jobqueue's class; what the file leaves null is left to dask's own configuration.
    jobs
        Jobs to keep running.
    """

    system: str
    settings: Mapping[str, Any]
    jobs: int


def read_jobqueue(path: str | Path) -> BatchSystem:
    """Read a cluster file.

    Raises
    ------
    FileNotFoundError, ValueError
        When the file is not there, or does not name exactly one known batch system.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no cluster file at {path}")
    content = read_yaml(path)
    queue = content.get("jobqueue") if isinstance(content, dict) else None
    if not isinstance(queue, dict) or len(queue) != 1 or next(iter(queue)) not in SYSTEMS:
        raise ValueError(f"{path}: expected the key jobqueue with one of {', '.join(SYSTEMS)} in it")
    refuse_unknown(content, {"jobqueue", "jobs"}, str(path))
    jobs = content.get("jobs", 1)
    if not isinstance(jobs, int) or jobs < 1:
        raise ValueError(f"{path}: jobs is {jobs!r}; expected a whole number, 1 or more")
    ((system, settings),) = queue.items()
    for needed in ("cores", "memory"):
        if (settings or {}).get(needed) is None:
            raise ValueError(f"{path}: jobqueue.{system}.{needed} is missing")
    given = {name.replace("-", "_"): value for name, value in settings.items() if value is not None}
    return BatchSystem(system, given, jobs)
