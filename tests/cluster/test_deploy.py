"""The shipped files for PBS, LSF and a head job, with stand-ins for the commands of the batch system."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tomostat.cluster import open_cluster

DEPLOY = Path(__file__).parents[2] / "deploy"

SUBMIT = """#!/bin/bash
number=$(( $(ls {folder}/*.sh 2>/dev/null | wc -l) + 100 ))
cat "${1:-/dev/stdin}" > {folder}/$number.sh
echo "{answer}"
"""


def put(folder: Path, name: str, text: str) -> None:
    (folder / "bin").mkdir(exist_ok=True)
    path = folder / "bin" / name
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(
    ("system", "submit", "answer", "cancel", "queue", "lines"),
    [
        ("pbs", "qsub", "$number.head", "qdel", ("qstat", "100.head me workq dask 1 1 16 64gb 04:00 Q --"),
         ["#PBS -q workq", "#PBS -l walltime=04:00:00", "#PBS -l select=1:ncpus=16:mem=64GB", "#PBS -e logs/"]),
        ("lsf", "bsub", "Job <$number> is submitted to queue <normal>.", "bkill", ("bjobs", "100|PEND|No free slots"),
         ["#BSUB -q normal", "#BSUB -W 4:00", "#BSUB -n 16", "#BSUB -M ", "#BSUB -e logs/"]),
    ],
)  # fmt: skip
def test_jobs_of_the_shipped_files(tmp_path, monkeypatch, system, submit, answer, cancel, queue, lines):
    put(tmp_path, submit, SUBMIT.replace("{folder}", str(tmp_path)).replace("{answer}", answer))
    put(tmp_path, cancel, f'#!/bin/bash\necho "$@" >> {tmp_path}/cancelled\n')
    put(tmp_path, queue[0], f"#!/bin/bash\necho '{queue[1]}'\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    with open_cluster(DEPLOY / f"{system}.yaml") as client:
        cluster = client.cluster
        assert sorted(job.number for job in cluster.pools["cpu"].jobs.values()) == [str(100 + i) for i in range(8)]
        assert not cluster.pools["gpu"].jobs, "asked for when the network has work"
        cluster._asked = 0.0
        cluster.sync(cluster._ask_queue)
        assert cluster.pools["cpu"].jobs["cpu-0"].state.state == "pending"
    script = (tmp_path / "100.sh").read_text()
    for line in [*lines, "--nworkers 16", "--resources CPU=1", "--lifetime 13800s", "--tls-cert"]:
        assert line in script
    cancelled = (tmp_path / "cancelled").read_text().split()
    assert sorted(number.partition(".")[0] for number in cancelled) == [str(100 + i) for i in range(8)]


def test_the_head_job_passes_the_signal_on_and_ends_with_the_status_of_the_command(tmp_path):
    put(tmp_path, "tomostat", f'#!/bin/bash\necho "$@" > {tmp_path}/words\ntrap "exit 143" TERM\n'
        f"touch {tmp_path}/ready\nwhile true; do sleep 0.1; done\n")  # fmt: skip
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    head = subprocess.Popen(["bash", DEPLOY / "slurm-head.sh", "a.yaml"], env=environment)
    end = time.monotonic() + 20
    while not (tmp_path / "ready").exists() and time.monotonic() < end:
        time.sleep(0.05)
    head.send_signal(signal.SIGTERM)
    assert head.wait(20) == 143
    assert (tmp_path / "words").read_text().strip() == "run a.yaml --cluster deploy/slurm.yaml"
