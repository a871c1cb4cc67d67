"""A real Slurm on this machine, for the length of a test session: one node with more cores than it has, and a GPU.

Debian's packages ``slurm-wlm`` and ``munge`` are enough; the daemons run as root without systemd. The GPU is a device
file that nobody opens, so that Slurm hands it out as it would a real one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("sbatch", "scancel", "squeue", "sinfo")
CORES = 16
"""Processors that the node claims."""

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=2,sched_min_interval=0,bf_interval=2,defer_batch
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
KillWait=5
MinJobAge=30
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=64000 Gres=gpu:fake:1 State=UNKNOWN
PartitionName=compute Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=full Nodes={host} MaxTime=INFINITE State=DOWN
"""


def missing() -> str:
    """Why Slurm cannot run here; empty where it can."""
    lacking = [name for name in (*DAEMONS, *COMMANDS) if shutil.which(name) is None]
    if lacking:
        return f"no {', '.join(lacking)} here: apt-get install --no-install-recommends slurm-wlm munge"
    return "" if os.geteuid() == 0 else "Slurm's daemons are started as root"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def running(folder: Path) -> Iterator[dict[str, str]]:
    """Start Slurm with all its files in a folder; yields the environment in which its commands find it."""
    host = socket.gethostname().split(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir()
    text = CONFIGURATION.format(folder=folder, host=host, cores=CORES, controller=free_port(), node=free_port())
    (folder / "slurm.conf").write_text(text)
    os.mknod(folder / "gpu", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (folder / "gres.conf").write_text(f"NodeName={host} Name=gpu Type=fake File={folder}/gpu\n")
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o400)
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    places = {name: folder / f"munge.{name}" for name in ("socket", "pid-file", "log-file", "seed-file", "key-file")}
    places["key-file"] = folder / "munge.key"
    flags = [f"--{name}={path}" for name, path in places.items()]
    daemons = (["munged", "--force", "--foreground", *flags], ["slurmctld", "-c", "-D"], ["slurmd", "-N", host, "-D"])
    with contextlib.ExitStack() as stack:
        for words in daemons:
            stack.enter_context(_daemon(words, environment, folder))
            time.sleep(0.3)
        _wait_until_idle(environment, folder)
        yield environment


@contextlib.contextmanager
def _daemon(words: list[str], environment: dict[str, str], folder: Path) -> Iterator[None]:
    with (folder / f"{words[0]}.out").open("w") as out:
        daemon = subprocess.Popen(words, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield
    finally:
        daemon.terminate()
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def call(environment: dict[str, str], *words: str) -> str:
    """What a command of Slurm says."""
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout + done.stderr


def _wait_until_idle(environment: dict[str, str], folder: Path, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while "idle" not in call(environment, "sinfo", "--noheader", "--partition=compute", "--format=%T"):
        if time.monotonic() > end:
            said = "\n".join(path.read_text(errors="replace")[-2000:] for path in folder.glob("*.log"))
            raise RuntimeError(f"Slurm's node did not come up: {said}")
        time.sleep(0.2)
