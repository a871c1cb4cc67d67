from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tomostat.cluster import open_client, read_jobqueue

DEPLOY = Path(__file__).parents[1] / "deploy"


def test_a_local_cluster_has_the_workers_asked_for():
    with open_client(workers=1) as client:
        assert list(client.nthreads().values()) == [1]
        assert client.submit(sum, (1, 2)).result() == 3


def test_a_running_scheduler_is_used_and_left_running():
    with open_client(workers=1) as owner:
        with open_client(owner.scheduler.address) as guest:
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
    with pytest.raises(error, match=message), open_client(cluster):
        pass


def test_no_workers_are_refused():
    with pytest.raises(ValueError, match="workers is 0"), open_client(workers=0):
        pass


def test_the_slurm_example_is_complete():
    batch = read_jobqueue(DEPLOY / "slurm.yaml")
    assert (batch.system, batch.jobs) == ("slurm", 8)
    assert batch.settings["cores"] == 16


def listening(port: int) -> set[str]:
    """Addresses at which something listens on a port."""
    return {c.laddr.ip for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port == port}


def test_the_dashboard_listens_on_this_machine_only():
    with open_client(workers=1) as client:
        assert listening(urlsplit(client.dashboard_link).port) == {"127.0.0.1"}


def test_settings_that_are_null_are_left_to_dask_jobqueue(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text("jobqueue: {slurm: {cores: 1, memory: 1 GiB, interface: null, local-directory: /scratch}}")
    assert read_jobqueue(path).settings == {"cores": 1, "memory": "1 GiB", "local_directory": "/scratch"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jobs: 1\n", "expected the key jobqueue"),
        ("jobqueue: {sl: {cores: 1}}\n", "expected the key jobqueue"),
        ("jobqueue: {slurm: {cores: 1}}\n", "memory is missing"),
        ("jobqueue: {slurm: {cores: 1, memory: 1 GiB}}\njobs: 0\n", "jobs is 0"),
        ("jobqueue: {slurm: {cores: 1, memory: 1 GiB}}\njob: 2\n", "unknown key 'job'"),
        ("jobqueue: [", "is not YAML"),
    ],
)
def test_a_wrong_cluster_file_is_refused(tmp_path, text, message):
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_jobqueue(path)
