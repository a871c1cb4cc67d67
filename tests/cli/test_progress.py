"""What a command says of its progress: lines without a terminal, bars in one, and a table at the end."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tomostat.cli import progress
from tomostat.cli.progress import StepBars, StepLines, Summary, duration, per_time, progress_bars
from tomostat.events import Cost, StageEnded, StepStarted, TaskEnded

ABOUT = {"stage": "phases", "step": "histogram", "field": "a", "total": 10}


def ended(done: int, **cost: float) -> TaskEnded:
    return TaskEnded(**ABOUT, done=done, task=str(done), cost=Cost(**cost))


@pytest.fixture
def clock(monkeypatch):
    """Time that passes as a test says."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_a_minute_with_rate_and_time_left_and_one_at_the_end_of_a_stage(clock):
    said: list[str] = []
    lines = StepLines(said.append, lambda: 8)
    lines(StepStarted(**ABOUT, done=2))
    for clock[0], done in ((30, 3), (70, 4), (90, 5), (140, 7)):
        lines(ended(done))
    lines(StageEnded(stage="phases", field="a", seconds=200))
    lines(StageEnded(stage="measure", field="a", seconds=2, error="ValueError: no"))
    lines(StageEnded(stage="measure", field="b", seconds=3, error="TasksFailed: a full disk"))
    assert said == [
        "a phases, histogram: 4 of 10, 1.7/min, 4 min left, 8 workers",
        "a phases, histogram: 7 of 10, 2.1/min, 84 s left, 8 workers",
        "a phases: finished after 3 min",
        "a measure: failed after 2 s",  # the last line of the command says why
        "b measure: TasksFailed: a full disk after 3 s",
    ]


def test_bars_vanish_when_a_step_is_done(clock):
    bars = progress_bars(Console(file=io.StringIO()))
    show = StepBars(bars, lambda: 2)
    show(StepStarted(**ABOUT, done=0))
    clock[0] = 5
    show(ended(5))
    (bar,) = bars.tasks
    assert (bar.description, bar.completed, bar.visible) == ("a phases, histogram", 5, True)
    assert bar.fields["rate"] == "1.0/s 2 workers"
    show(ended(10))
    assert not bars.tasks[0].visible


@pytest.mark.parametrize(
    ("seconds", "cpu", "bound"),
    [(20.0, 18.0, "computing"), (20.0, 4.0, "reading, writing, waiting"), (5.0, 5.0, "few tasks at a time")],
)
def test_the_table_says_what_bounds_a_stage(clock, seconds, cpu, bound):
    summary = Summary(lambda: 2)
    summary(StepStarted(**ABOUT, done=0))
    clock[0] = 10
    summary(ended(10, seconds=seconds, cpu_seconds=cpu, bytes_read=2**30, peak_memory=2**31))
    (line,) = summary.table().splitlines()[2:]
    assert line.split()[:7] == ["phases", "10.0", "1", f"{seconds}", "1.0G", "0.0G", "2.0G"]
    assert line.endswith(bound)


def test_a_stage_without_tasks_is_bound_by_this_process(clock):
    summary = Summary(lambda: 2)
    summary(StageEnded(stage="report", field="", seconds=3))
    assert summary.table().endswith("this process")


def test_words_for_rates_and_times():
    assert [per_time(*pair) for pair in ((0, 9), (30, 10), (3, 60), (1, 600))] == ["", "3.0/s", "3.0/min", "6.0/h"]
    assert [duration(s) for s in (42, 720, 12000)] == ["42 s", "12 min", "3 h 20 min"]
