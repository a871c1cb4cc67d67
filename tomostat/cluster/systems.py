"""Batch systems: dask-jobqueue's class for each, how a walltime is written there, and how a queue is asked for jobs."""

from __future__ import annotations

import getpass
import inspect
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

QUERY_SECONDS = 10.0
"""A queue that does not answer within this time is asked again later."""

RUNNING, PENDING = "running", "pending"
"""States of a job that a batch system knows; what else it may say is kept as it says it."""


@dataclass(frozen=True)
class JobState:
    """What a batch system says of a job.

    Attributes
    ----------
    state
        ``running``, ``pending``, or the system's own word in small letters.
    reason
        Why it does not run, in the system's own words.
    """

    state: str
    reason: str = ""


class QueryError(Exception):
    """A batch system did not say which jobs it has."""


@dataclass(frozen=True)
class Queue:
    """How a batch system is asked for the jobs of a user.

    Attributes
    ----------
    command
        The command; ``USER`` stands for the user.
    parse
        States by number of the job, from what the command prints.
    """

    command: tuple[str, ...]
    parse: Callable[[str], dict[str, JobState]]

    def states(self) -> dict[str, JobState]:
        """States of the user's jobs by number.

        Raises
        ------
        QueryError
            When the system does not answer.
        """
        words = [getpass.getuser() if word == "USER" else word for word in self.command]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=QUERY_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise QueryError(f"{words[0]}: {error}") from None
        if done.returncode:
            raise QueryError(f"{words[0]}: {' '.join(done.stderr.split()) or done.returncode}")
        return self.parse(done.stdout)


def _slurm_states(said: str) -> dict[str, JobState]:
    states = {}
    for line in said.splitlines():
        number, state, reason = (*line.split("|", 2), "", "")[:3]
        states[number.strip()] = JobState(state.strip().lower(), "" if reason.strip() == "None" else reason.strip())
    return states


def _lsf_states(said: str) -> dict[str, JobState]:
    words = {"RUN": RUNNING, "PEND": PENDING}
    states = {}
    for line in said.splitlines():
        number, state, reason = (*line.split("|", 2), "", "")[:3]
        known = words.get(state.strip(), state.strip().lower())
        states[number.strip()] = JobState(known, "" if reason.strip() == "-" else reason.strip())
    return {number: state for number, state in states.items() if state.state not in ("done", "exit")}


def _pbs_states(said: str) -> dict[str, JobState]:
    words = {"R": RUNNING, "E": RUNNING, "Q": PENDING, "H": "held", "W": PENDING, "S": "suspended"}
    states = {}
    for line in said.splitlines():
        columns = line.split()
        if columns and columns[0][0].isdigit() and len(columns) > 9 and columns[9] in words:
            states[re.match(r"\d+", columns[0]).group()] = JobState(words[columns[9]])  # type: ignore[union-attr]
    return states


def colon_seconds(text: str) -> float:
    """Seconds of a time written as H:M:S, M:S or S."""
    seconds = 0
    for part in text.split(":"):
        seconds = 60 * seconds + int(part)
    return float(seconds)


def _slurm_seconds(text: str) -> float:
    days, _, rest = text.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if days:  # D-H, D-H:M, D-H:M:S
        parts += [0] * (3 - len(parts))
    elif len(parts) < 3:  # M, M:S
        parts = [0, *parts, *[0] * (2 - len(parts))]
    return float(86400 * int(days or 0) + 3600 * parts[0] + 60 * parts[1] + parts[2])


def _lsf_seconds(text: str) -> float:
    return 60 * colon_seconds(text)


CLOCK = r"\d+(:[0-5]?\d){2}"
"""H:M:S."""


@dataclass(frozen=True)
class System:
    """A batch system that dask-jobqueue knows.

    Attributes
    ----------
    name
        dask-jobqueue's name of its section.
    cluster
        dask-jobqueue's class for it.
    walltime, example
        Pattern of a walltime there, and how 4 hours are written.
    seconds
        Seconds of a walltime.
    queue
        How it is asked for jobs; None where that is not known, jobs are then known by their workers alone.
    """

    name: str
    cluster: str
    walltime: str = CLOCK
    example: str = "04:00:00"
    seconds: Callable[[str], float] = colon_seconds
    queue: Queue | None = None

    def job_class(self) -> Any:
        """dask-jobqueue's class of jobs."""
        return getattr(_import_jobqueue(), self.cluster).job_cls

    def settings(self) -> set[str]:
        """Names of the settings of its jobs."""
        return _settings(self.job_class())

    def default_walltime(self) -> str:
        """The walltime of jobs for which none is set, by dask's configuration."""
        import dask

        self.job_class()  # reads the defaults of dask-jobqueue
        return str(dask.config.get(f"jobqueue.{self.name}.walltime"))


SYSTEMS: Mapping[str, System] = {
    system.name: system
    for system in (
        System(
            "slurm",
            "SLURMCluster",
            rf"\d+|\d+:[0-5]?\d|{CLOCK}|\d+-\d+(:[0-5]?\d){{0,2}}",
            seconds=_slurm_seconds,
            queue=Queue(("squeue", "--noheader", "--user", "USER", "--format", "%i|%T|%r"), _slurm_states),
        ),
        System("pbs", "PBSCluster", queue=Queue(("qstat", "-u", "USER"), _pbs_states)),
        System(
            "lsf",
            "LSFCluster",
            r"\d+(:[0-5]?\d)?",
            "4:00",
            _lsf_seconds,
            Queue(("bjobs", "-noheader", "-o", "jobid stat pend_reason delimiter='|'"), _lsf_states),
        ),
        System("sge", "SGECluster"),
        System("htcondor", "HTCondorCluster"),
        System("oar", "OARCluster"),
        System("moab", "MoabCluster"),
    )
}
"""Batch systems by the names that dask-jobqueue's own configuration has for them."""

INTERNAL = {"self", "scheduler", "name", "config_name", "security", "protocol"}
"""Arguments of a job that are no settings."""

RENAMED = {"extra", "job_extra", "env_extra", "header_skip"}
"""Settings that dask-jobqueue has given other names."""


@cache
def _settings(job: Any) -> set[str]:
    """Names of all keyword arguments of a class of jobs and of those that it is made of."""
    found = {
        name
        for cls in job.__mro__
        if "__init__" in vars(cls)
        for name, one in inspect.signature(cls.__init__).parameters.items()
        if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
    }
    return found - INTERNAL - RENAMED


def _import_jobqueue() -> Any:
    """dask-jobqueue, without the handler that it sets for Ctrl-C when it is imported: that ends with status 0."""
    handler = signal.getsignal(signal.SIGINT)
    import dask_jobqueue

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, handler)
    return dask_jobqueue
