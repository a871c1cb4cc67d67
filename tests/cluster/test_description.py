"""Cluster files: what they say, and what is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tomostat.cluster import read_cluster_file, read_jobqueue

DEPLOY = Path(__file__).parents[2] / "deploy"
SLURM = "jobqueue: {slurm: {cores: 2, memory: 4 GiB, walltime: '01:00:00'%s}}\n"


@pytest.fixture
def read(tmp_path):
    """A cluster file with a text, as it is read."""

    def read(text: str):
        (tmp_path / "cluster.yaml").write_text(text)
        return read_cluster_file(tmp_path / "cluster.yaml")

    return read


def test_one_pool_without_a_word_about_pools(read):
    found = read(SLURM % "" + "jobs: 3\n")
    (pool,) = found.pools.values()
    assert (found.system, found.secure, pool.name, pool.least, pool.most) == ("slurm", True, "cpu", 3, 3)
    assert (pool.processes, pool.threads, pool.slots, pool.memory_per_task) == (2, 1, 1, 2 * 2**30)


def test_settings_of_a_pool_override_those_of_all(read):
    found = read(
        "jobqueue: {slurm: {queue: a, memory: 4 GiB, job-script-prologue: [x]}}\n"
        "pools: {cpu: {cores: 4, jobs: [1, 8]}, gpu: {cores: 2, queue: b, job_extra_directives: ['--gres=gpu:1']}}\n"
    )
    cpu, gpu = found.pools.values()
    assert (cpu.least, cpu.most, cpu.settings["queue"], cpu.prologue) == (1, 8, "a", ["x"])
    assert (gpu.least, gpu.most, gpu.settings["queue"], gpu.prologue) == (1, 1, "b", ["x"])
    assert (gpu.processes, gpu.threads, gpu.slots, gpu.memory_per_task) == (1, 2, 1, 4 * 2**30)
    assert gpu.worker_arguments[:3] == ["--no-dashboard", "--resources", "GPU=1"]
    assert cpu.worker_arguments[:3] == ["--no-dashboard", "--resources", "CPU=1"]


def test_workers_end_before_their_walltime(read):
    (pool,) = read(SLURM % "").pools.values()
    assert pool.worker_arguments[3:] == ["--lifetime", "3240s", "--lifetime-stagger", "180s"]
    (own,) = read(SLURM % ", worker_extra_args: [--lifetime, 50m]").pools.values()
    assert own.worker_arguments[3:] == ["--lifetime", "50m"]


def test_the_walltime_of_a_file_without_any_is_that_of_dask_jobqueue(read):
    (pool,) = read("jobqueue: {slurm: {cores: 1, memory: 1 GiB}}").pools.values()
    assert pool.settings["walltime"] == "00:30:00"


def test_what_is_null_is_left_to_dask_jobqueue(read):
    (pool,) = read(SLURM % ", interface: null, local-directory: /scratch, name: mine").pools.values()
    assert "interface" not in pool.settings
    assert (pool.settings["local_directory"], pool.settings["job_name"]) == ("/scratch", "mine")


def test_settings_of_the_scheduler(read, tmp_path):
    found = read(SLURM % ", scheduler_options: {port: 8786}, shared-temp-directory: /data" + "secure: false\n")
    assert (found.scheduler_options, found.shared_folder, found.secure) == ({"port": 8786}, Path("/data"), False)


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_files_have_both_pools(path):
    found = read_cluster_file(path)
    assert list(found.pools) == ["cpu", "gpu"]
    assert (found.pools["cpu"].most, found.pools["gpu"].least) == (8, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jobs: 1\n", "expected the key jobqueue"),
        ("jobqueue: {sl: {cores: 1}}\n", "expected the key jobqueue"),
        ("jobqueue: {slurm: {cores: 1}}\n", "jobqueue.slurm.memory is missing"),
        (SLURM % "" + "jobs: 0\n", "jobs is 0"),
        (SLURM % "" + "jobs: [2, 1]\n", r"jobs is \[2, 1\]"),
        (SLURM % "" + "job: 2\n", "unknown key 'job'; did you mean 'jobs'"),
        (SLURM % ", wall_time: 3", "jobqueue.slurm: unknown key 'wall_time'; did you mean 'walltime'"),
        (SLURM % ", job_extra: []", "unknown key 'job_extra'"),
        (SLURM % ", job_script_prologue: source x", "job_script_prologue is 'source x'; expected a list"),
        (SLURM % "" + "secure: perhaps\n", "secure is 'perhaps'"),
        (SLURM % "" + "pools: {cpu: {}, tpu: {}}\n", "unknown key 'tpu'"),
        (SLURM % "" + "pools: {gpu: {}}\n", "pools.cpu is missing"),
        (SLURM % "" + "pools: {cpu: {core: 3}}\n", "pools.cpu: unknown key 'core'; did you mean 'cores'"),
        (SLURM % "" + "pools: {cpu: {}, gpu: {processes: 2}}\n", "pools.gpu.processes is 2"),
        (SLURM % "" + "pools: {cpu: {processes: 3}}\n", "2 cores cannot be shared evenly by 3"),
        (SLURM % "" + "pools: {cpu: {}}\njobs: 2\n", "jobs belongs to each pool"),
        ("jobqueue: {slurm: {cores: 2, memory: four gigs}}", "memory is 'four gigs'; expected a size"),
        ("jobqueue: {slurm: {cores: two, memory: 1 GiB}}", "cores is 'two'"),
        ("jobqueue: {slurm: {cores: 2, memory: 4 GiB, walltime: 86400}}", "walltime is 86400; expected a time"),
        ("jobqueue: {slurm: {cores: 2, memory: 4 GiB, walltime: soon}}", "walltime is 'soon'; expected a time"),
        ("jobqueue: {lsf: {cores: 2, memory: 4 GiB, walltime: '04:00:00'}}", "walltime is '04:00:00'.*\"4:00\""),
        ("jobqueue: [", "is not YAML"),
    ],
)
def test_a_wrong_file_is_refused(read, text, message):
    with pytest.raises(ValueError, match=message):
        read(text)


def test_the_former_function_still_works(tmp_path):
    path = tmp_path / "slurm.yaml"
    path.write_text("jobs: 3\njobqueue: {slurm: {cores: 2, memory: 4 GiB, walltime: '24:00:00'}}\n")
    with pytest.warns(DeprecationWarning, match="is now read_cluster_file"):
        system, settings, jobs = read_jobqueue(path)
    assert (system, settings["walltime"], jobs) == ("slurm", "24:00:00", 3)
