from __future__ import annotations

from pathlib import Path

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
    system, settings, jobs = read_jobqueue(DEPLOY / "slurm.yaml")
    assert system == "slurm"
    assert jobs == 8
    assert settings["cores"] == 16


def test_the_slurm_example_makes_a_job_script():
    jobqueue = pytest.importorskip("dask_jobqueue")
    import dask

    system, settings, _ = read_jobqueue(DEPLOY / "slurm.yaml")
    with dask.config.set({f"jobqueue.{system}": dask.config.get(f"jobqueue.{system}") | settings}):
        with jobqueue.SLURMCluster(scheduler_options={"dashboard_address": None}) as cluster:
            script = cluster.job_script()
    assert "#SBATCH -p compute" in script
    assert "--nworkers 16" in script


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
