from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from distributed import Nanny

from tomostat.cluster import open_cluster
from tomostat.cluster.connect import gpus_here, nanny_class


def test_a_local_cluster_has_the_workers_asked_for():
    with open_cluster(workers=1) as client:
        assert list(client.nthreads().values()) == [1]
        assert client.submit(sum, (1, 2)).result() == 3


def test_a_running_scheduler_is_used_and_left_running():
    with open_cluster(workers=1) as owner:
        with open_cluster(owner.scheduler.address) as guest:
            assert guest.submit(sum, (1, 2)).result() == 3
        assert owner.submit(sum, (1, 3)).result() == 4


@pytest.mark.parametrize(
    ("cluster", "error", "message"),
    [
        ("lokal", ValueError, "cluster is 'lokal'"),
        ("none.yaml", FileNotFoundError, "no cluster file at none.yaml"),
        ("none.json", FileNotFoundError, "no scheduler file at none.json"),
    ],
)
def test_a_cluster_that_is_none_is_refused(cluster, error, message):
    with pytest.raises(error, match=message), open_cluster(cluster):
        pass


def test_no_workers_are_refused():
    with pytest.raises(ValueError, match="workers is 0"), open_cluster(workers=0):
        pass


def listening(port: int) -> set[str]:
    """Addresses at which something listens on a port."""
    return {c.laddr.ip for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port == port}


def test_the_dashboard_listens_on_this_machine_only():
    with open_cluster(workers=1, dashboard=True) as client:
        assert listening(urlsplit(client.dashboard_link).port) == {"127.0.0.1"}


def test_local_workers_and_their_scheduler_talk_over_loopback():
    with open_cluster(workers=1) as client:
        addresses = [client.scheduler.address, *client.nthreads()]
        assert {urlsplit(address).hostname for address in addresses} == {"127.0.0.1"}


def kill_first_worker(killed: list[int]) -> None:
    """End the first worker process that this one starts, long before it has imported what it needs."""
    while not killed:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process().children():
                if "spawn_main" in " ".join(child.cmdline()):
                    child.kill()
                    killed.append(child.pid)


def test_a_worker_killed_while_it_starts_is_started_again():
    killed: list[int] = []
    killer = threading.Thread(target=kill_first_worker, args=(killed,), daemon=True)
    killer.start()
    with open_cluster(workers=1) as client:
        assert client.submit(os.getpid).result() not in killed
        assert len(killed) == 1


SCRIPT = """
import sys
from tomostat.cluster import open_cluster
with open_cluster("local", workers=1) as client:
    print(client.submit(sum, (1, 2)).result())
"""


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_so(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "if __name__ == '__main__':" in done.stderr.splitlines()[-1]
    assert len(done.stderr.splitlines()) < 20


@pytest.mark.parametrize(("visible", "expected"), [(None, []), ("0,1", [])])
def test_gpus_of_this_machine(monkeypatch, visible, expected):
    if Path("/dev/nvidia0").exists():
        pytest.skip("this machine has a GPU")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus_here() == expected


def test_the_first_local_workers_share_the_gpus():
    async def nannies() -> list[Nanny]:
        return [nanny_class(["3", "5"])("tcp://127.0.0.1:1", name=name) for name in range(5)]

    found = asyncio.run(nannies())
    assert [nanny.resources for nanny in found] == [{"GPU": 1.0}] * 4 + [None]
    assert [nanny.env.get("CUDA_VISIBLE_DEVICES") for nanny in found] == ["3", "5", "3", "5", None]
