"""What earlier runs took: read from logs, every task once, wall time shared out among the stages."""

from __future__ import annotations

import dataclasses

import pytest

from studies import at, first_field
from tomostat import pipeline
from tomostat.costs import Size, read_costs
from tomostat.events import Cost, StageEnded, StageStarted, TaskEnded
from tomostat.execution import Execution
from tomostat.layout import Layout
from tomostat.runlog import Logged, read_run_log


@pytest.fixture
def folder(study, tmp_path) -> Layout:
    """An output folder with one field that is ingested, and an empty log."""
    layout = pipeline.run(first_field(study, tmp_path / "out"), stages=["ingest"])
    layout.run_log.write_text("")
    return layout


def write_log(folder: Layout, *lines: Logged) -> None:
    """Add lines to the log."""
    folder.run_log.write_text(folder.run_log.read_text() + "".join(line.line() for line in lines))


def started(time: float, stage: str) -> Logged:
    """A stage that began to work on the field."""
    return Logged(time, StageStarted(stage=stage, field="slow-1"))


def ended(time: float, stage: str) -> Logged:
    """A stage that ended."""
    return Logged(time, StageEnded(stage=stage, field="slow-1", seconds=1))


def task(time: float, stage: str, name: str, seconds: float, worker: str = "w", resource: str = "") -> Logged:
    """A task that ended."""
    cost = Cost(seconds=seconds, cpu_seconds=seconds / 2, bytes_read=3, bytes_written=2, peak_memory=5)
    about = {"stage": stage, "field": "slow-1", "step": "work", "task": name, "worker": worker, "resource": resource}
    return Logged(time, TaskEnded(**about, done=1, total=2, cost=cost))


def test_moments_are_shared_by_the_tasks_that_run_and_else_by_the_stages_under_way(folder):
    write_log(
        folder,
        started(100, "phases"),
        task(104, "phases", "a", 4),
        ended(104, "phases"),
        started(102, "detect"),
        task(106, "detect", "a", 4),
        ended(108, "detect"),
    )
    stages = read_costs([folder.root]).stages
    assert {name: (cost.working, cost.idle) for name, cost in stages.items()} == {"phases": (3, 0), "detect": (3, 2)}


def test_workers_that_wait_for_the_last_task_are_not_in_use(folder):
    write_log(
        folder,
        started(100, "phases"),
        task(104, "phases", "a", 4, worker="0"),
        task(102, "phases", "b", 2, worker="1"),
        ended(104, "phases"),
    )
    cost = read_costs([folder.root]).stages["phases"]
    assert (cost.workers, cost.use) == (2, 0.75)
    assert (cost.blocks, cost.tasks, cost.seconds, cost.cpu_seconds, cost.bytes_read) == (2, 2, 6, 3, 6)
    assert cost.size == Size(24 * 80 * 80, 1, 1)


def test_a_task_that_was_done_twice_counts_once_and_an_end_without_a_start_not_at_all(folder):
    events = (
        started(100, "detect"),
        task(104, "detect", "a", 4, resource="GPU"),
        ended(105, "detect"),
    )
    write_log(folder, *events)
    once = read_costs([folder.root]).stages
    write_log(folder, *events, ended(106, "phases"), started(107, "phases"))
    assert read_costs([folder.root]).stages == once
    assert once["detect"].resource == "GPU"


def test_several_folders_add_up(folder, study, tmp_path):
    other = pipeline.run(at(study, tmp_path / "other"), stages=["ingest"])
    one, both = read_costs([other.root]), read_costs([folder.root, other.root, other.root])
    assert both.stages["ingest"] == dataclasses.replace(
        one.stages["ingest"],
        **{
            name: 2 * getattr(one.stages["ingest"], name)
            for name in ("scopes", "rounds", "blocks", "tasks", "seconds", "cpu_seconds", "working", "idle")
        },
        size=one.size + one.size,
        bytes_read=2 * one.stages["ingest"].bytes_read,
        bytes_written=2 * one.stages["ingest"].bytes_written,
    )


def test_wall_times_add_up_to_that_of_the_run(study, tmp_path):
    layout = pipeline.run(at(study, tmp_path / "out"), stages=["ingest", "phases"], execution=Execution())
    times = [line.time for line in read_run_log(layout.run_log)]
    stages = read_costs([layout.root]).stages.values()
    whole = times[-1] - times[0]
    assert 0.8 * whole < sum(cost.working + cost.idle for cost in stages) <= whole + 0.01


def test_shards_of_a_size():
    assert Size.of((96, 128, 300)) + Size.of((64, 256, 256)) == Size(96 * 128 * 300 + 64 * 256 * 256, 5, 5)


def test_folders_without_a_log_are_refused(tmp_path):
    with pytest.raises(ValueError, match="name its output folder with --like"):
        read_costs([tmp_path])
