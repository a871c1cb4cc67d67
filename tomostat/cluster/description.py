"""What a cluster file says: a batch system, its settings, and pools of jobs."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tomostat.cluster.systems import SYSTEMS, System
from tomostat.files import read_yaml
from tomostat.options import refuse_unknown

CPU, GPU = "cpu", "gpu"
"""Names of pools; a worker of a pool has the resource of this name in capitals."""

MARGIN = 600.0
"""Seconds before the end of their walltime by which workers end at the latest, or a tenth of it if that is less."""

OF_SCHEDULER = {"scheduler_options", "shared_temp_directory"}
"""Settings of dask-jobqueue that are not those of a job."""

OF_POOL = {"jobs"}
"""Keys of a pool that are no settings of dask-jobqueue."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Jobs of one kind.

    Attributes
    ----------
    name
        ``cpu`` or ``gpu``.
    system
        The batch system.
    settings
        Arguments of dask-jobqueue's class of jobs; what the file leaves out or null is left to dask's configuration.
    least, most
        Jobs that are kept even without work, and jobs at most.
    """

    name: str
    system: System
    settings: Mapping[str, Any]
    least: int
    most: int

    @property
    def processes(self) -> int:
        """Workers of a job."""
        return int(self.settings["processes"])

    @property
    def threads(self) -> int:
        """Threads of a worker."""
        return int(self.settings["cores"]) // self.processes

    @property
    def prologue(self) -> list[str]:
        """Lines of the job's script before the worker starts."""
        return list(self.settings.get("job_script_prologue", []))

    @property
    def resource(self) -> str:
        """The resource that its workers have."""
        return self.name.upper()

    @property
    def slots(self) -> int:
        """Tasks that a worker does at a time: one on a GPU, one for each thread otherwise."""
        return 1 if self.name == GPU else self.threads

    @property
    def memory_per_task(self) -> int:
        """Bytes that one task may take."""
        from dask.utils import parse_bytes

        return int(parse_bytes(self.settings["memory"])) // self.processes // self.slots

    @cached_property
    def worker_arguments(self) -> list[str]:
        """Arguments of ``dask worker``: no page of its own, its resource, and an end before the job's walltime.

        The ends are spread, so that not all workers of a pool are away at once.
        """
        given = [str(word) for word in self.settings.get("worker_extra_args", [])]
        words = ["--no-dashboard", "--resources", f"{self.resource}={self.slots}"]
        if "walltime" in self.settings and "--lifetime" not in given:
            seconds = self.system.seconds(self.settings["walltime"])
            margin = min(MARGIN, seconds / 10)
            words += ["--lifetime", f"{math.floor(seconds - margin)}s", "--lifetime-stagger", f"{margin / 2:.0f}s"]
        return [*words, *given]


@dataclass(frozen=True, kw_only=True)
class ClusterFile:
    """A cluster file.

    Attributes
    ----------
    path
        The file, for messages.
    system
        Name of the batch system.
    pools
        Its pools by name.
    scheduler_options
        Arguments of `distributed.Scheduler`.
    shared_folder
        Folder that all nodes see, for the certificates of a run.
    secure
        Whether connections are encrypted, and others refused.
    """

    path: Path
    system: str
    pools: Mapping[str, Pool]
    scheduler_options: Mapping[str, Any] = field(default_factory=dict)
    shared_folder: Path = Path.home() / ".tomostat"
    secure: bool = True

    def with_prologue(self, environment: Mapping[str, object]) -> ClusterFile:
        """The same with variables that every job sets before all else."""
        exports = [f"export {name}={value}" for name, value in environment.items()]
        pools = {
            name: replace(pool, settings={**pool.settings, "job_script_prologue": [*exports, *pool.prologue]})
            for name, pool in self.pools.items()
        }
        return replace(self, pools=pools)


def read_cluster_file(path: str | Path) -> ClusterFile:
    """Read a cluster file.

    Parameters
    ----------
    path
        YAML with ``jobqueue: {SYSTEM: settings}`` in dask-jobqueue's own names, and either ``jobs`` or ``pools``:
        ``cpu`` and ``gpu``, each with ``jobs`` and settings that differ from the common ones. ``jobs`` is a number, or
        a pair of the least and the most. ``secure: false`` leaves connections unencrypted.

    Raises
    ------
    FileNotFoundError, ValueError
        When the file is not there, names no known batch system, or a setting is unknown or cannot be; with the place.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no cluster file at {path}")
    content = read_yaml(path)
    queue = content.get("jobqueue") if isinstance(content, dict) else None
    if not isinstance(queue, dict) or len(queue) != 1 or next(iter(queue)) not in SYSTEMS:
        raise ValueError(f"{path}: expected the key jobqueue with one of {', '.join(SYSTEMS)} in it")
    refuse_unknown(content, {"jobqueue", "jobs", "pools", "secure"}, str(path))
    ((name, given),) = queue.items()
    system, where = SYSTEMS[name], f"{path}: jobqueue.{name}"
    common = _settings(given, where)
    refuse_unknown(common, system.settings() | OF_SCHEDULER, where)
    scheduler = {key: common.pop(key) for key in OF_SCHEDULER & set(common)}
    folder = scheduler.get("shared_temp_directory")
    return ClusterFile(
        path=path,
        system=name,
        pools=_pools(content, system, common, where),
        scheduler_options=_settings(scheduler.get("scheduler_options"), f"{where}.scheduler_options"),
        secure=_flag(content, "secure", path),
        **({} if folder is None else {"shared_folder": Path(folder).expanduser()}),
    )


def _settings(given: Any, where: str) -> dict[str, Any]:
    """Settings with the underscores of arguments; those that are null are left out."""
    if given is not None and not isinstance(given, dict):
        raise ValueError(f"{where} is {given!r}; expected settings and their values")
    found = {str(key).replace("-", "_"): value for key, value in (given or {}).items() if value is not None}
    return {"job_name" if key == "name" else key: value for key, value in found.items()}


def _flag(content: Mapping[str, Any], key: str, path: Path) -> bool:
    value = content.get(key, True)
    if not isinstance(value, bool):
        raise ValueError(f"{path}: {key} is {value!r}; expected true or false")
    return value


def _pools(content: Mapping[str, Any], system: System, common: Mapping[str, Any], where: str) -> dict[str, Pool]:
    """The pools of a file; a file without any has one of CPUs."""
    path = where.partition(": ")[0]
    if "pools" not in content:
        return {CPU: _pool(CPU, system, dict(common), content.get("jobs", 1), where, f"{path}: jobs")}
    pools = content["pools"]
    if not isinstance(pools, dict):
        raise ValueError(f"{path}: pools is {pools!r}; expected {CPU} and {GPU}")
    if "jobs" in content:
        raise ValueError(f"{path}: jobs belongs to each pool; write it under pools.{CPU} and pools.{GPU}")
    refuse_unknown(pools, {CPU, GPU}, f"{path}: pools")
    if CPU not in pools:
        raise ValueError(f"{path}: pools.{CPU} is missing; every stage but detect runs there")
    found = {}
    for name, given in pools.items():
        place = f"{path}: pools.{name}"
        own = _settings(given, place)
        refuse_unknown(own, system.settings() | OF_POOL, place)
        jobs = own.pop("jobs", 1)
        found[name] = _pool(name, system, {**common, **own}, jobs, place, f"{place}.jobs")
    return found


def _pool(name: str, system: System, settings: dict[str, Any], jobs: Any, where: str, jobs_at: str) -> Pool:
    least, most = jobs if isinstance(jobs, list) and len(jobs) == 2 else (jobs, jobs)
    if not all(type(n) is int for n in (least, most)) or not 0 <= least <= most or most < 1:
        raise ValueError(f"{jobs_at} is {jobs!r}; expected a whole number, 1 or more, or two: [least, most]")
    for needed in ("cores", "memory"):
        if needed not in settings:
            raise ValueError(f"{where}.{needed} is missing")
    settings.setdefault("processes", 1 if name == GPU else settings["cores"])
    _check_sizes(name, settings, where)
    if "walltime" in system.settings():
        settings["walltime"] = _walltime(settings.get("walltime", system.default_walltime()), system, where)
    for key in ("job_script_prologue", "worker_extra_args", "job_directives_skip"):
        if not isinstance(settings.get(key, []), list):
            raise ValueError(f"{where}.{key} is {settings[key]!r}; expected a list, such as [{settings[key]!r}]")
    return Pool(name=name, system=system, settings=settings, least=least, most=most)


def _check_sizes(name: str, settings: Mapping[str, Any], where: str) -> None:
    """Refuse sizes of jobs that cannot be."""
    from dask.utils import parse_bytes

    for key in ("cores", "processes"):
        if type(settings[key]) is not int or settings[key] < 1:
            raise ValueError(f"{where}.{key} is {settings[key]!r}; expected a whole number, 1 or more")
    cores, processes = settings["cores"], settings["processes"]
    if cores % processes:
        raise ValueError(f"{where}: {cores} cores cannot be shared evenly by {processes} processes")
    if name == GPU and processes > 1:
        raise ValueError(f"{where}.processes is {processes}; a job of this pool has one worker, which has its GPU")
    try:
        parse_bytes(settings["memory"])
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"{where}.memory is {settings['memory']!r}; expected a size such as 64 GiB") from None


def _walltime(value: Any, system: System, where: str) -> str:
    """A walltime as the batch system takes it; YAML 1.1 turns one without quotes into a number.

    Raises
    ------
    ValueError
        When it is a number, or not written as the system wants it.
    """
    said = f"{where}.walltime is {value!r}"
    if not isinstance(value, str) or not re.fullmatch(system.walltime, value):
        raise ValueError(f'{said}; expected a time such as "{system.example}"')
    return value


def read_jobqueue(path: str | Path) -> tuple[str, dict[str, Any], int]:
    """Batch system, settings of its first pool and most jobs, for scripts written before `read_cluster_file`."""
    warnings.warn("read_jobqueue is now read_cluster_file", DeprecationWarning, stacklevel=2)
    description = read_cluster_file(path)
    pool = next(iter(description.pools.values()))
    return description.system, dict(pool.settings), pool.most
