"""Runs that lose workers, jobs and their own process at random moments, drawn from a seed, and are started anew."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from studies import UP_TO_TABLE
from tomostat.events import TaskEnded
from tomostat.layout import Layout
from tomostat.runlog import read_run_log
from tomostat.study import Study, save_study

SCRIPT = f"""
import sys
from tomostat import pipeline
from tomostat.cluster import open_cluster
from tomostat.execution import Execution

if __name__ == "__main__":
    with open_cluster(sys.argv[2], workers=int(sys.argv[3]) if sys.argv[2] == "local" else None) as client:
        pipeline.run(sys.argv[1], stages={UP_TO_TABLE!r}, execution=Execution(client=client))
"""

Kill = Callable[[subprocess.Popen[bytes], random.Random], bool]
"""Ends something that a run needs; false where there is nothing of the kind at the moment."""


def kill_head(run: subprocess.Popen[bytes], rng: random.Random) -> bool:
    """Kill the process that runs the study; its workers notice by themselves."""
    run.kill()
    run.wait()
    return True


def kill_worker(run: subprocess.Popen[bytes], rng: random.Random) -> bool:
    """Kill a worker process of this machine."""
    try:
        workers = [one for one in psutil.Process(run.pid).children() if "spawn_main" in " ".join(one.cmdline())]
        rng.choice(sorted(workers, key=lambda one: one.pid)).kill()
    except (psutil.NoSuchProcess, IndexError):
        return False
    return True


def run_under_fire(
    study: Study,
    kills: Mapping[str, Kill],
    moments: Sequence[int],
    seed: int,
    cluster: str | Path = "local",
    environment: Mapping[str, str] | None = None,
    workers: int = 2,
) -> Counter[str]:
    """Run a study up to the particle table while something is killed now and then; start it anew where it was killed.

    Parameters
    ----------
    study
        The study.
    kills
        What can be killed, by name.
    moments
        Lines in the log of runs after which something is killed.
    seed
        Of what is killed.
    cluster, environment
        Where it runs.
    workers
        Number of workers where it runs on this machine.

    Returns
    -------
    Counter
        What was killed.
    """
    rng, pauses, killed, left = random.Random(seed), random.Random(seed), Counter[str](), sorted(moments)
    kinds = random.Random(seed).choices(sorted(kills), k=len(left))  # drawn now: none depends on what runs at a moment
    path = study.output.with_suffix(".yaml")
    save_study(study, path)
    said = study.output.with_suffix(".log")
    while True:
        with said.open("ab") as out:
            run = subprocess.Popen(
                [sys.executable, "-c", SCRIPT, str(path), str(cluster), str(workers)],
                stdout=out, stderr=subprocess.STDOUT, env=environment, cwd=path.parent, start_new_session=True,
            )  # fmt: skip
        try:
            while run.poll() is None:
                time.sleep(0.02 + 0.1 * pauses.random())
                if left and _lines(study.output) >= left[0]:
                    kind = kinds[-len(left)]
                    if kills[kind](run, rng):
                        killed[kind] += 1
                        left.pop(0)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()
        if run.returncode == 0:
            return killed
        assert run.returncode == -signal.SIGKILL, said.read_text(errors="replace")[-4000:]


def _lines(output: Path) -> int:
    """Lines in the log of runs."""
    log = Layout(output).run_log
    return log.read_bytes().count(b"\n") if log.exists() else 0


def done_twice(output: Path) -> list[tuple[str, ...]]:
    """Tasks that ended more than once: stage, field, step and task."""
    tasks = Counter(
        (line.event.stage, line.event.field, line.event.step, line.event.task)
        for line in read_run_log(Layout(output).run_log)
        if isinstance(line.event, TaskEnded)
    )
    return [task for task, count in tasks.items() if count > 1]
