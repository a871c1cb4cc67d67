"""The README's command with the shipped file for Slurm, and a stand-in for sbatch that starts every job here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from cli.standins import command, end_group, slurm
from tomostat.volume import read_box

SHIPPED = Path(__file__).parents[2] / "deploy" / "slurm.yaml"
SMALLER = {"jobs: 8 ": "jobs: 1 ", "cores: 16 ": "cores: 2 ", "processes: 16 ": "processes: 2 ", "64 GiB": "4 GiB"}
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
    environment = slurm(tmp_path)
    words = ("ingest", tmp_path / "scan.tif", "--spacing", 0.5, "--out", tmp_path / "out", "--cluster", cluster_file)
    run = command(*words, env=environment, cwd=tmp_path)
    try:
        said, _ = run.communicate(timeout=90)
    finally:
        end_group(run)
    assert run.returncode == 0, said
    (script,) = [path.read_text() for path in tmp_path.glob("job-*.sh")]
    for line in ("-p compute", "-t 04:00:00", "-e logs/", "--nworkers 2", "--no-dashboard", "MALLOC_TRIM_THRESHOLD_"):
        assert line in script
    volume = tmp_path / "out" / "fields" / "scan.zarr"
    np.testing.assert_array_equal(read_box(volume, (slice(0, 16), slice(0, 48), slice(0, 48))), grey)
    assert (tmp_path / "cancelled").exists(), "jobs are cancelled at the end"
