"""The benchmark of scale runs, and finds what it put in."""

from __future__ import annotations

import pytest

from benchmarks import bench_scale


def test_tasks_that_do_nothing_are_all_marked():
    results = {result.name: result for result in bench_scale.runner(60)}
    assert results["markers"].met
    assert results["processor time of the head process per task"].value > 0


@pytest.mark.slow
def test_particles_of_many_fields_are_collected():
    results = {result.name: result for result in bench_scale.particles(2000)}
    assert results["rows of the table"].met
    assert "values of 2000 particles read from markers" in results
