"""Stand-ins for the commands of a batch system, and the command line in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

SBATCH = """#!/bin/bash
echo "$$|RUNNING|None" >> {folder}/queue
cp "$1" {folder}/job-$$.sh
setsid timeout 120 bash {folder}/job-$$.sh > {folder}/job-$$.log 2>&1 &
echo $! >> {folder}/pids
echo "Submitted batch job $$"
"""
"""Starts every job at once, on this machine."""

PENDING = """#!/bin/bash
echo "$$|PENDING|Priority" >> {folder}/queue
echo "Submitted batch job $$"
"""
"""Takes jobs, and never starts one."""

SQUEUE = """#!/bin/bash
cat {folder}/queue
"""

SCANCEL = """#!/bin/bash
echo "$@" >> {folder}/cancelled
for pid in $(cat {folder}/pids 2>/dev/null); do kill -- -$pid 2>/dev/null; done
true
"""


def slurm(folder: Path, sbatch: str = SBATCH) -> dict[str, str]:
    """Put stand-ins for sbatch, squeue and scancel first on the path of an environment."""
    for name, text in (("sbatch", sbatch), ("squeue", SQUEUE), ("scancel", SCANCEL)):
        (folder / "bin").mkdir(exist_ok=True)
        (folder / "bin" / name).write_text(text.replace("{folder}", str(folder)))
        (folder / "bin" / name).chmod(0o755)
    return {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}


def command(*words: object, **options: object) -> subprocess.Popen[str]:
    """Start `tomostat` as a user does, in a process group of its own that hears Ctrl-C."""
    return subprocess.Popen(
        [sys.executable, "-m", "tomostat.cli", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options,
    )  # fmt: skip


def end_group(process: subprocess.Popen[str]) -> None:
    """End a process that `command` started, with all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()
