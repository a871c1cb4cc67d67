"""The benchmark of statistics runs, and its methods agree on a plain study."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import bench_statistics


@pytest.mark.parametrize("table", ["alarms", pytest.param("coverage", marks=pytest.mark.slow), "power"])
def test_tables_run(table: str) -> None:
    results = list(bench_statistics.TABLES[table](2))
    assert results
    assert all(np.isfinite(one.value) or "width" in one.name for one in results)


@pytest.mark.slow
def test_intervals_hold_the_difference_of_many_fields() -> None:
    rng = np.random.default_rng(0)
    study = bench_statistics.simulate(rng, 40, 0.2)
    for name, method in bench_statistics.METHODS.items():
        low, high = method(study, rng)
        assert low < 0.2 < high or name == "particles as independent"
        assert 0.005 < high - low < 0.1
