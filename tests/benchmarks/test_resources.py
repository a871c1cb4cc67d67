"""Time and memory of a piece of work."""

from __future__ import annotations

import numpy as np

from benchmarks.resources import median_seconds, memory, reset_peak_memory, shortest_seconds
from tomostat.events import peak_memory


def test_first_run_is_not_counted():
    times = iter([0.0, 5.0, 5.0, 8.0, 8.0, 12.0])
    calls = []
    assert shortest_seconds(lambda: calls.append(0), 3, clock=lambda: next(times)) == 3
    assert len(calls) == 4


def test_median(monkeypatch):
    monkeypatch.setattr("benchmarks.resources.seconds_of_runs", lambda work, repeats: [3.0, 1.0, 9.0][:repeats])
    assert median_seconds(lambda: None, 3) == 3


def test_peak_holds_memory_that_was_freed():
    reset_peak_memory()
    before = memory()
    size = 200 * 2**20
    np.ones(size, np.uint8)
    assert 0.9 * size < peak_memory() - before < 1.2 * size
    reset_peak_memory()
    assert peak_memory() - before < 0.5 * size
