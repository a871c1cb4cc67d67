"""A real Slurm on this machine: jobs that are refused, wait, vanish and come back, through the command line."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask
import numpy as np
import pytest
import tifffile
from distributed import Client, get_worker

import slurm
from cli.standins import command, end_group
from kills import Kill, done_twice, kill_head, run_under_fire
from shapes import ball_at
from studies import first_field, science
from tomostat import pipeline
from tomostat.cluster import open_cluster
from tomostat.events import TaskEnded
from tomostat.execution import Execution
from tomostat.layout import Layout
from tomostat.phantom import PhantomOptions, simulate_volume
from tomostat.runlog import read_run_log
from tomostat.study import study_of_volume
from tomostat.volume import open_volume

TESTS = Path(__file__).parents[1]
pytestmark = pytest.mark.slurm

Run = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def scan(tmp_path) -> Path:
    """A volume whose phases take some seconds."""
    z, y, x = np.ogrid[-24:24, -80:80, -80:80]
    balls = np.hypot(np.hypot(y % 64 - 32, x % 64 - 32), z % 48 - 24) < 20
    grey = 60 + 120 * balls + np.random.default_rng(0).normal(0, 5, balls.shape)
    tifffile.imwrite(tmp_path / "scan.tif", np.clip(grey, 0, 255).astype(np.uint8))
    return tmp_path / "scan.tif"


@pytest.fixture
def small(tmp_path) -> Path:
    grey = 60 + 120 * ball_at((16, 48, 48), (8, 24, 24), 6)
    tifffile.imwrite(tmp_path / "small.tif", grey.astype(np.uint8))
    return tmp_path / "small.tif"


@pytest.fixture
def start(tmp_path, slurm_environment) -> Iterator[Run]:
    """Starts `tomostat` on Slurm with the settings of a pool of CPUs; no job and no process is left over."""
    started = []

    def start(*words: object, jobs: object = 1, **settings: object) -> subprocess.Popen[str]:
        known = {"cores": 1, "memory": "2 GiB", "walltime": "'01:00:00'", "log_directory": "logs", **settings}
        lines = [f"    {name}: {value}" for name, value in known.items()]
        path = tmp_path / "cluster.yaml"
        path.write_text("\n".join([f"jobs: {jobs}", "jobqueue:", "  slurm:", *lines]))
        words = (*words, "--cluster", path)
        started.append(command(*words, env=slurm_environment, cwd=tmp_path))
        return started[-1]

    yield start
    for run in started:
        end_group(run)
    slurm.call(slurm_environment, "scancel", "--user", "root", "--full")


def jobs(environment: dict[str, str], *flags: str) -> list[str]:
    """Numbers of the jobs that Slurm has, leaving out those that are about to end."""
    return slurm.call(environment, "squeue", "--noheader", "--format=%i", "--states=PD,R", *flags).split()


def eventually(holds: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to this"
        time.sleep(0.2)


def ended(run: subprocess.Popen[str], seconds: float = 120) -> tuple[int, list[str]]:
    """Exit status and lines of a command."""
    said, _ = run.communicate(timeout=seconds)
    return run.returncode, said.strip().splitlines()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"queue": "nope"}, "sbatch refuses the job: sbatch: error: invalid partition specified: nope"),
        pytest.param({"memory": "900 GiB"}, "Memory specification can not be satisfied", marks=pytest.mark.slow),
        pytest.param({"interface": "ib7"}, "'ib7' is not a valid network interface", marks=pytest.mark.slow),
    ],
)
def test_what_slurm_refuses_is_one_line(tmp_path, small, start, slurm_environment, settings, words):
    status, lines = ended(start("ingest", small, "--spacing", 1, "--out", tmp_path / "out", jobs=3, **settings))
    assert (status, len(lines)) == (2, 1), lines
    assert lines[0].startswith(f"tomostat: {tmp_path / 'cluster.yaml'}: ")
    assert words in lines[0]
    assert not jobs(slurm_environment)
    assert not (tmp_path / "out" / "fields").exists()


@pytest.mark.slow
def test_jobs_that_do_not_start_are_told_about_until_the_limit(tmp_path, small, start, slurm_environment):
    words = ("ingest", small, "--spacing", 1, "--out", tmp_path / "out", "--wait-limit", 0.3)
    status, lines = ended(start(*words, jobs=2, queue="full"))
    said = " ".join(" ".join(lines).split())
    assert status == 2, lines
    assert "dashboard at http://127.0.0.1:" in said
    assert said.count("WARNING 0 of 2 jobs run: 2 pending (PartitionDown); logs in logs") == 1, said
    assert "tomostat: no worker with the resource CPU came within 0.3 minutes: 0 of 2 jobs run" in said
    assert not jobs(slurm_environment)


@pytest.mark.slow
def test_jobs_that_end_at_once_are_told_about_with_their_last_words(tmp_path, small, start):
    run = start(
        "ingest", small, "--spacing", 1, "--out", tmp_path / "out", job_script_prologue="['no-such-command || exit 1']"
    )
    status, lines = ended(run)
    assert status == 2, lines
    last = " ".join(lines[-1].split())
    assert "tomostat: " in last
    assert "3 jobs of pool cpu in a row ended before a worker joined; logs/dask-worker-" in last
    assert "no-such-command: command not found" in last


@pytest.mark.slow
def test_workers_that_are_too_small_are_refused_before_any_is_there(tmp_path, scan, start, slurm_environment):
    pipeline.run(study_of_volume(scan, tmp_path / "out", spacing=0.2), stages=["ingest"])
    status, lines = ended(start("phases", tmp_path / "out", memory="50 MiB", queue="full"))
    assert status == 2, lines
    assert "GiB but a worker has 0.05 GiB" in lines[-1]
    assert not jobs(slurm_environment)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_cancels_the_jobs(tmp_path, scan, start, slurm_environment, number, status):
    pipeline.run(study_of_volume(scan, tmp_path / "out", spacing=0.2), stages=["ingest"])
    run = start("phases", tmp_path / "out", jobs=2)
    eventually(lambda: any((tmp_path / "out" / ".markers" / "scan" / "phases").rglob("*.jsonl")))
    os.kill(run.pid, number)
    assert ended(run, 30)[0] == status
    assert not jobs(slurm_environment)


def napping(folder: Path, key: str) -> str:
    """Take a while, and leave a trace."""
    time.sleep(0.5)
    (folder / f"{key}-{os.getpid()}").touch()
    return get_worker().name


@pytest.mark.slow
@pytest.mark.parametrize("lost", [1, 2])
def test_lost_jobs_are_replaced(tmp_path, slurm_environment, monkeypatch, lost):
    monkeypatch.setenv("SLURM_CONF", slurm_environment["SLURM_CONF"])
    monkeypatch.setenv("PYTHONPATH", f"{TESTS.parent}:{TESTS}")  # workers import this module
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "cluster.yaml").write_text(
        "jobs: 2\njobqueue: {slurm: {cores: 1, memory: 2 GiB, walltime: '01:00:00', log_directory: logs}}"
    )
    tasks = {str(i): dask.delayed(napping, pure=False)(tmp_path / "runs", str(i)) for i in range(60)}
    with open_cluster(tmp_path / "cluster.yaml") as client, ThreadPoolExecutor() as pool:
        assert client.scheduler.address.startswith("tls://")
        running = pool.submit(Execution(client=client, markers=tmp_path / "markers").run, "work", tasks)
        eventually(lambda: len(list((tmp_path / "runs").iterdir())) > 4)
        first = jobs(slurm_environment)
        assert len(first) == 2
        for number in first[:lost]:
            slurm.call(slurm_environment, "scancel", number)
        values = running.result(120)
        with pytest.raises((OSError, TypeError), match=r"TLS|tls"):
            Client(client.scheduler.address, timeout="2s", set_as_default=False)  # a failed one would stay the default
    assert list(values) == list(tasks)
    assert set(values.values()) & {"cpu-2", "cpu-3"}, "a job that came later"
    assert not jobs(slurm_environment)


@pytest.mark.slow
def test_jobs_are_renewed_before_their_walltime(tmp_path, slurm_environment, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", slurm_environment["SLURM_CONF"])
    monkeypatch.setenv("PYTHONPATH", f"{TESTS.parent}:{TESTS}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "cluster.yaml").write_text(
        "jobs: 1\njobqueue: {slurm: {cores: 1, memory: 2 GiB, walltime: '00:01:00', log_directory: logs}}"
    )
    tasks = {str(i): dask.delayed(napping, pure=False)(tmp_path / "runs", str(i)) for i in range(150)}
    with open_cluster(tmp_path / "cluster.yaml") as client:
        values = Execution(client=client, markers=tmp_path / "markers").run("work", tasks)
    assert list(values) == list(tasks)
    assert len(set(values.values())) > 1, "a job that came later"
    said = "".join(path.read_text() for path in (tmp_path / "logs").iterdir())
    assert "DUE TO TIME LIMIT" not in said
    runs = Counter(path.name.partition("-")[0] for path in (tmp_path / "runs").iterdir())
    assert runs.total() - len(tasks) < len(set(values.values())), "at most the task that a worker was doing"


SMALLER = {
    "jobs: 8 ": "jobs: 2 ",
    "cores: 16 ": "cores: 1 ",
    "64 GiB": "4 GiB",
    "cores: 4": "cores: 1",
    "32 GiB": "4 GiB",
}
"""The sizes of the shipped file, for a machine of two cores."""


@pytest.mark.slow
@pytest.mark.network
def test_the_shipped_file_brings_both_pools_and_the_same_particles(tmp_path, slurm_environment, monkeypatch):
    text = (TESTS.parent / "deploy" / "slurm.yaml").read_text()
    for shipped, smaller in SMALLER.items():
        assert text.count(shipped) == 1
        text = text.replace(shipped, smaller)
    (tmp_path / "slurm.yaml").write_text(text)
    monkeypatch.setenv("SLURM_CONF", slurm_environment["SLURM_CONF"])
    monkeypatch.setenv("PYTHONPATH", str(TESTS.parent))
    monkeypatch.chdir(tmp_path)
    path = simulate_volume(tmp_path / "e.zarr", PhantomOptions(shape=(32, 96, 96)))
    stages = ["ingest", "phases", "detect", "stitch"]
    with open_cluster("slurm.yaml") as client:
        found = pipeline.run(study_of_volume(path, "out"), stages=stages, execution=Execution(client=client))
        eventually(lambda: len(jobs(slurm_environment)) == 2, 30)  # that with the GPU is let go
    local = pipeline.run(study_of_volume(path, "local"), stages=stages)
    pools: dict[str, set[str]] = {}
    for event in (line.event for line in read_run_log(found.run_log)):
        if isinstance(event, TaskEnded) and event.worker:
            pools.setdefault(event.stage, set()).add(event.worker.partition("-")[0])
    assert pools == {"ingest": {"cpu"}, "phases": {"cpu"}, "detect": {"gpu"}, "stitch": {"cpu"}}
    for label in ("phases", "particles"):
        one, other = (open_volume(layout.volume("e"), label).values for layout in (found, local))
        np.testing.assert_array_equal(one, other)
        assert one.max() > 1
    assert not jobs(slurm_environment)


def cancel_job(environment: dict[str, str]) -> Kill:
    """Cancels a job of Slurm."""

    def cancel(run: subprocess.Popen[bytes], rng: random.Random) -> bool:
        there = jobs(environment, "--states=R")
        if there:
            slurm.call(environment, "scancel", rng.choice(there))
        return bool(there)

    return cancel


@pytest.mark.slow
def test_a_run_whose_jobs_are_killed_has_the_same_results(tmp_path, slurm_environment, study, results):
    (tmp_path / "cluster.yaml").write_text(
        "jobs: 2\njobqueue: {slurm: {cores: 1, memory: 2 GiB, walltime: '01:00:00', log_directory: logs}}"
    )
    one = first_field(study, tmp_path / "out")
    kills = {"head": kill_head, "job": cancel_job(slurm_environment)}
    environment = {**slurm_environment, "PYTHONPATH": str(TESTS.parent)}
    killed = run_under_fire(one, kills, [5, 20, 35, 50], 1, tmp_path / "cluster.yaml", environment)
    assert set(killed) == set(kills)
    assert science(Layout(one.output), one.fields[0].name) == science(results, one.fields[0].name)
    assert not done_twice(one.output)
