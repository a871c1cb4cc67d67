"""Batch systems: walltimes, and what queues say."""

from __future__ import annotations

import sys

import pytest

from tomostat.cluster.systems import SYSTEMS, JobState, QueryError, Queue, colon_seconds


@pytest.mark.parametrize(
    ("system", "text", "seconds"),
    [
        ("slurm", "90", 5400), ("slurm", "90:30", 5430), ("slurm", "04:00:00", 14400), ("slurm", "1-12", 129600),
        ("slurm", "2-01:30", 178200), ("slurm", "1-00:00:05", 86405), ("pbs", "24:00:00", 86400),
        ("lsf", "4:00", 14400), ("lsf", "30", 1800), ("sge", "01:00:00", 3600),
    ],
)  # fmt: skip
def test_seconds_of_a_walltime(system, text, seconds):
    assert SYSTEMS[system].seconds(text) == seconds
    assert SYSTEMS[system].seconds(SYSTEMS[system].example) == 14400


def test_settings_are_those_of_dask_jobqueue():
    for name, system in SYSTEMS.items():
        assert {"cores", "memory", "processes", "job_extra_directives", "log_directory"} <= system.settings(), name
        assert not {"self", "scheduler", "security", "job_extra", "env_extra"} & system.settings()
    assert "job_mem" in SYSTEMS["slurm"].settings()
    assert "lsf_units" in SYSTEMS["lsf"].settings()


def test_a_cluster_of_seconds():
    assert colon_seconds("1:00:01") == 3601


def states(system: str, said: str) -> dict[str, JobState]:
    queue = SYSTEMS[system].queue
    assert queue is not None
    return queue.parse(said)


def test_what_slurm_says():
    said = "12|PENDING|Resources\n13|RUNNING|None\n14|PENDING|QOSMaxJobsPerUserLimit\n"
    assert states("slurm", said) == {
        "12": JobState("pending", "Resources"), "13": JobState("running"),
        "14": JobState("pending", "QOSMaxJobsPerUserLimit"),
    }  # fmt: skip


def test_what_pbs_says():
    said = """
head:
                                                            Req'd  Req'd   Elap
Job ID          Username Queue    Jobname    SessID NDS TSK Memory Time  S Time
--------------- -------- -------- ---------- ------ --- --- ------ ----- - -----
12.head         me       workq    dask-work*    --    1   4    8gb 04:00 Q   --
13.head         me       workq    dask-work*  41224   1   4    8gb 04:00 R 00:01
"""
    assert states("pbs", said) == {"12": JobState("pending"), "13": JobState("running")}


def test_what_lsf_says():
    said = "12|PEND|New job is waiting for scheduling;\n13|RUN|-\n14|DONE|-\n"
    assert states("lsf", said) == {
        "12": JobState("pending", "New job is waiting for scheduling;"), "13": JobState("running"),
    }  # fmt: skip


def test_a_queue_that_does_not_answer():
    with pytest.raises(QueryError, match="no-such-command"):
        Queue(("no-such-command",), lambda said: {}).states()
    with pytest.raises(QueryError, match="no controller"):
        Queue((sys.executable, "-c", "import sys; sys.exit('no controller')"), lambda said: {}).states()
