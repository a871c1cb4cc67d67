"""The benchmark of plans on a small study."""

from __future__ import annotations

import pytest

from benchmarks.bench_plan import Case, planned_and_taken


def test_a_small_study() -> None:
    case = Case(pilot=(24, 64, 64), shape=(32, 64, 64), detector="watershed")
    found = {one.name: one for one in planned_and_taken("small", case)}
    for what in ("seconds of processors", "time", "memory of a worker", "disk"):
        planned, taken = (found[f"small: {what}, {which}"].value for which in ("planned", "taken"))
        assert planned > 0
        assert taken > 0
        assert found[f"small: {what}, off by"].value == pytest.approx(abs(planned / taken - 1))
