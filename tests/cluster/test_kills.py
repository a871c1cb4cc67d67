"""Workers, jobs and the process itself are killed at random moments: the same results, and nothing is done twice."""

from __future__ import annotations

import random

import pytest

from kills import done_twice, kill_head, kill_worker, run_under_fire
from studies import at, first_field, science
from tomostat.layout import Layout

LOCAL = {"head": kill_head, "worker": kill_worker}


def moments(seed: int, count: int, lines: int) -> list[int]:
    """Lines of the log at which something is killed, before the last quarter: the run must still be there."""
    return random.Random(seed).sample(range(lines * 3 // 4), count)


def test_a_run_whose_processes_are_killed_has_the_same_results(study, results, tmp_path):
    one = first_field(study, tmp_path / "out")
    killed = run_under_fire(one, LOCAL, moments(0, 2, 60), seed=1, workers=1)
    assert killed == {"head": 1, "worker": 1}
    (field,) = one.fields
    layout = Layout(one.output)
    assert science(layout, field.name) == science(results, field.name)
    assert not done_twice(one.output)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_fifty_kills(study, results, tmp_path, seed):
    whole = at(study, tmp_path / "out")
    assert run_under_fire(whole, LOCAL, moments(seed, 5, 140), seed).total() == 5
    for field in whole.fields:
        assert science(Layout(whole.output), field.name) == science(results, field.name)
    assert not done_twice(whole.output)
