"""Ctrl-C and SIGTERM: the command ends within seconds, says how to go on, and does go on."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cli.standins import PENDING, command, end_group, slurm
from tomostat import cli, pipeline
from tomostat.markers import read_markers
from tomostat.study import study_of_volume


@pytest.fixture
def scan(tmp_path) -> Path:
    """A volume whose phases take some seconds on one worker."""
    rng = np.random.default_rng(0)
    z, y, x = np.ogrid[-48:48, -64:64, -64:64]
    balls = np.hypot(np.hypot(y % 64 - 32, x % 64 - 32), z % 48 - 24) < 20
    grey = 60 + 120 * balls + rng.normal(0, 5, balls.shape)
    tifffile.imwrite(tmp_path / "scan.tif", np.clip(grey, 0, 255).astype(np.uint8))
    return tmp_path / "scan.tif"


def wait_for(what: Path, seconds: float = 60) -> None:
    """Wait until a file is there."""
    end = time.monotonic() + seconds
    while not what.exists():
        assert time.monotonic() < end, f"{what} did not appear"
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_local_run_ends_within_seconds_and_resumes(tmp_path, scan, place, number, status):
    pipeline.run(study_of_volume(scan, tmp_path / "out", spacing=0.2), stages=["ingest"])
    run = command("phases", tmp_path / "out", "--workers", 1)
    try:
        wait_for(tmp_path / "out" / ".markers" / "scan" / "phases" / "shading.jsonl")
        if number == signal.SIGINT:
            os.killpg(run.pid, number)  # a terminal tells the whole group
        else:
            os.kill(run.pid, number)
        said, _ = run.communicate(timeout=30)
    finally:
        end_group(run)
    assert run.returncode == status
    assert said.strip().splitlines()[-1] == "tomostat: interrupted; the same command resumes"
    assert "Traceback" not in said
    if number == signal.SIGTERM:
        return
    kept = {path: list(read_markers(path)) for path in (tmp_path / "out" / ".markers").rglob("*.jsonl")}
    assert cli.main(["phases", str(tmp_path / "out"), *place]) == 0
    for path, before in kept.items():
        now = list(read_markers(path))
        assert now[: len(before)] == before, "what was finished stays"
        assert len(now) == len(dict(now)), "and is not done again"


def test_a_run_that_waits_for_jobs_ends_and_cancels_them(tmp_path, scan):
    cluster = tmp_path / "slurm.yaml"
    cluster.write_text("jobs: 2\njobqueue: {slurm: {cores: 1, memory: 2 GiB, walltime: '01:00:00'}}\n")
    environment = slurm(tmp_path, PENDING)
    run = command(
        "ingest", scan, "--spacing", 0.2, "--out", tmp_path / "out", "--cluster", cluster, env=environment, cwd=tmp_path
    )
    try:
        wait_for(tmp_path / "out" / "fields" / "scan.zarr.partial")
        os.killpg(run.pid, signal.SIGINT)
        said, _ = run.communicate(timeout=30)
    finally:
        end_group(run)
    assert run.returncode == 130, said
    assert said.strip().splitlines()[-1] == "tomostat: interrupted; the same command resumes"
    assert (tmp_path / "cancelled").exists()
