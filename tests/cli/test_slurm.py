"""The README's command with the shipped file for Slurm, and a stand-in for sbatch that starts every job here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from cli.standins import command, end_group, slurm
from tomostat import cli
from tomostat.volume import read_box

SHIPPED = Path(__file__).parents[2] / "deploy" / "slurm.yaml"
SMALLER = {"jobs: 8 ": "jobs: 1 ", "cores: 16 ": "cores: 2 ", "64 GiB": "4 GiB"}
"""The sizes of the shipped file, for a machine of two cores."""


@pytest.fixture
def cluster_file(tmp_path) -> Path:
    text = SHIPPED.read_text()
    for shipped, smaller in SMALLER.items():
        assert text.count(shipped) == 1
        text = text.replace(shipped, smaller)
    path = tmp_path / "slurm.yaml"
    path.write_text(text)
    return path


def test_the_jobs_get_what_the_file_says_and_do_the_work(tmp_path, cluster_file):
    grey = np.random.default_rng(0).integers(0, 200, (16, 48, 48), np.uint8)
    tifffile.imwrite(tmp_path / "scan.tif", grey)
    text = cluster_file.read_text().replace("    log_directory: logs\n", SETTINGS.replace("FOLDER", str(tmp_path)))
    cluster_file.write_text(text)
    environment = slurm(tmp_path)
    words = ("ingest", tmp_path / "scan.tif", "--spacing", 0.5, "--out", tmp_path / "out", "--cluster", cluster_file)
    run = command(*words, env=environment, cwd=tmp_path)
    try:
        said, _ = run.communicate(timeout=90)
    finally:
        end_group(run)
    assert run.returncode == 0, said
    (script,) = [path.read_text() for path in tmp_path.glob("job-*.sh")]
    for line in (
        "#SBATCH -p compute", "#SBATCH -t 04:00:00", "#SBATCH -e mylogs/", "#SBATCH --mail-type=NONE", "export MINE=1",
        "MALLOC_TRIM_THRESHOLD_", "--nworkers 2", "--no-dashboard", "--lifetime 13800s", "--resources CPU=1",
        f"--local-directory {tmp_path}/scratch", "--tls-ca-file", "--nthreads 1",
    ):  # fmt: skip
        assert line in script
    volume = tmp_path / "out" / "fields" / "scan.zarr"
    np.testing.assert_array_equal(read_box(volume, (slice(0, 16), slice(0, 48), slice(0, 48))), grey)
    assert (tmp_path / "cancelled").exists(), "jobs are cancelled at the end"


SETTINGS = """\
    log_directory: mylogs
    local_directory: FOLDER/scratch
    shared_temp_directory: FOLDER/shared
    job_extra_directives: ["--mail-type=NONE"]
    job_script_prologue: ["export MINE=1"]
"""
"""Settings that dask-jobqueue's own defaults win over where they are given as dask's configuration."""


@pytest.mark.parametrize(
    ("sbatch", "words"),
    [
        ("#!/bin/bash\necho 'sbatch: error: Invalid account' >&2\nexit 1\n",
         "sbatch refuses the job: sbatch: error: Invalid account"),
        ("", "there is no sbatch here"),
    ],
)  # fmt: skip
def test_a_job_that_cannot_be_submitted_is_one_line(tmp_path, cluster_file, monkeypatch, capsys, sbatch, words):
    tifffile.imwrite(tmp_path / "scan.tif", np.zeros((8, 32, 32), np.uint8))
    environment = slurm(tmp_path, sbatch)
    if not sbatch:
        (tmp_path / "bin" / "sbatch").unlink()
    monkeypatch.setenv("PATH", environment["PATH"] if sbatch else str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path)
    tokens = ["ingest", "scan.tif", "--spacing", "1", "--out", "out", "--cluster", str(cluster_file)]
    assert cli.main(tokens) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"tomostat: {cluster_file}: {words}")
