"""Resampling: intervals that cover, tests that hold their level."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from properties import examples
from tomostat.analyze.kernels import statistics
from tomostat.analyze.kernels.resample import (
    Estimator,
    difference_interval,
    estimate,
    group_numbers,
    hierarchy,
    permutation_p,
    permute_groups,
    resample_units,
    small_sample_factor,
)


def test_resampled_units_stay_within_parents() -> None:
    parent = np.array([0, 1, 0, 1, 1, 2])
    drawn = resample_units(parent, 50, np.random.default_rng(0))
    for group, size in ((0, 2), (1, 3), (2, 1)):
        assert (drawn[:, parent == group].sum(axis=1) == size).all()
    assert drawn.std() > 0
    np.testing.assert_allclose(resample_units(parent, 4000, np.random.default_rng(1)).mean(axis=0), 1, atol=0.06)


def test_group_numbers_of_several_columns() -> None:
    a, b = np.array(["x", "x", "y", "x"]), np.array(["1", "2", "1", "1"])
    assert group_numbers(a, b).tolist() == [0, 1, 2, 0]


def test_small_sample_factor_follows_student() -> None:
    field = np.repeat(np.arange(4), 5)
    sample, fields, particle = hierarchy(np.zeros(20, int), field)
    everything = np.ones(20, bool)
    assert np.isnan(small_sample_factor(sample, everything, 0.95))
    expected = np.sqrt(4 / 3) * stats.t.ppf(0.975, 3) / stats.norm.ppf(0.975)
    assert small_sample_factor(fields, everything, 0.95) == pytest.approx(expected)
    assert small_sample_factor(fields, field < 2, 0.95) == pytest.approx(
        np.sqrt(2) * stats.t.ppf(0.975, 1) / stats.norm.ppf(0.975)
    )
    assert small_sample_factor(particle, everything, 0.95) == pytest.approx(
        np.sqrt(20 / 16) * stats.t.ppf(0.975, 16) / stats.norm.ppf(0.975)
    )


@pytest.mark.parametrize(("between", "samples", "fields"), [(0.0, 1, 4), (1.0, 1, 4), (0.5, 1, 6), (0.7, 3, 2)])
def test_intervals_cover(between: float, samples: int, fields: int) -> None:
    """The true mean is inside as often as stated, whether fields differ or not; joint resampling covers 64 to 85 %."""
    rng = np.random.default_rng(5)
    sample = np.repeat(np.arange(samples), fields * 15)
    field = np.repeat(np.arange(samples * fields), 15)
    runs, inside = 160, 0
    for _ in range(runs):
        shift = between * rng.standard_normal(samples)[sample] * (samples > 1)
        shift = shift + between * rng.standard_normal(samples * fields)[field]
        values = shift + rng.standard_normal(len(field))
        one = Estimator(np.ones(len(field), bool), lambda weights, values=values: statistics.mean(values, weights))
        found = estimate(
            {"mean": one}, np.ones(len(field)), hierarchy(sample, field), confidence=0.9, resamples=150, rng=rng
        )
        low, high = found["mean"][1]
        inside += low <= 0 <= high
    assert 0.84 <= inside / runs <= 0.995


def test_difference_interval_of_normal_groups() -> None:
    first, second = np.array(1.0), np.array(3.0)
    difference, interval = difference_interval(first, np.array([0.4, 1.6]), second, np.array([2.2, 3.8]))
    assert difference == 2
    np.testing.assert_allclose(interval, [1, 3])


def test_permuted_groups_are_all_and_the_observed_first() -> None:
    ways, possible = permute_groups(2, 3, 10, np.random.default_rng(0))
    assert possible == len(ways) == len(np.unique(ways, axis=0)) == 10
    assert ways[0].tolist() == [False, False, True, True, True]
    assert (ways.sum(axis=1) == 3).all()
    ways, possible = permute_groups(20, 20, 500, np.random.default_rng(0))
    assert (possible, len(ways)) == (137846528820, 501)
    assert not ways[0, :20].any()
    assert (ways.sum(axis=1) == 20).all()


@given(st.integers(0, 1000), st.integers(1, 3), st.integers(1, 3))
@examples(30)
def test_permutation_p_against_brute_force(seed: int, first: int, second: int) -> None:
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(first + second), rng.integers(1, 4, first + second))
    values = rng.integers(0, 5, len(unit)) / 4
    ways, _ = permute_groups(first, second, 10, rng)
    found = permutation_p(lambda w: statistics.mean(values, w), np.ones(len(unit)), unit, ways)

    def difference(order: tuple[int, ...]) -> float:
        chosen = np.isin(unit, order[first:])
        return abs(values[chosen].mean() - values[~chosen].mean())

    sizes = [difference(order) for order in permutations(range(first + second))]
    assert found == pytest.approx(np.mean(np.array(sizes) >= sizes[0] - 1e-9))


def test_p_values_are_uniform_under_the_null() -> None:
    """Fields differ, conditions do not: p falls below a level no more often than the level says."""
    found = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        unit = np.repeat(np.arange(8), 10)
        values = rng.standard_normal(8)[unit] + rng.standard_normal(80)
        ways, _ = permute_groups(4, 4, 10, rng)
        mean = lambda weights, values=values: statistics.mean(values, weights)  # noqa: E731
        found.append(float(permutation_p(mean, np.ones(80), unit, ways)))
    for level in (0.1, 0.3, 0.5, 0.8):
        assert np.mean(np.array(found) <= level) == pytest.approx(level, abs=3 * np.sqrt(level * (1 - level) / 150))
