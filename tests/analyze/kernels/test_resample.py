"""Resampling: intervals that cover, tests that hold their level."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from properties import examples
from tomostat.analyze.kernels import statistics
from tomostat.analyze.kernels.resample import (
    Estimate,
    Estimator,
    difference,
    estimate,
    group_numbers,
    hierarchy,
    permutation_p,
    permute_groups,
    resample_units,
    sign_flip_p,
    units_and_freedom,
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


def test_units_less_the_groups_they_are_drawn_in() -> None:
    field, everything = np.repeat(np.arange(4), 5), np.ones(20, bool)
    sample, fields, particle = hierarchy(np.zeros(20, int), field)
    assert units_and_freedom(sample, everything) == (1, 0)
    assert units_and_freedom(fields, everything) == (4, 3)
    assert units_and_freedom(fields, field < 2) == (2, 1)
    assert units_and_freedom(particle, everything) == (20, 16)
    by_condition, _, _ = hierarchy(field, field, np.repeat([0, 1], 10))
    assert units_and_freedom(by_condition, everything) == (4, 2)


def test_intervals_follow_student() -> None:
    """Few units: percentiles of the bootstrap over all fields, widened to those of Student's t."""
    rng = np.random.default_rng(0)
    values = np.repeat(rng.standard_normal(4), 5)
    one = Estimator(np.ones(20, bool), lambda weights: statistics.mean(values, weights), (-0.2, np.inf))
    levels = hierarchy(np.zeros(20, int), np.repeat(np.arange(4), 5))
    found = estimate({"mean": one}, np.ones(20), levels, confidence=0.95, resamples=4000, rng=rng)["mean"]
    expected = values[::5].std(ddof=1) / 2
    assert found.freedom == 3
    assert found.below == pytest.approx(expected, rel=0.1)
    low, high = found.interval(0.95)
    assert high - found.value == pytest.approx(stats.t.ppf(0.975, 3) * found.above)
    assert low == -0.2, "not below the smallest value that there can be"


@given(st.floats(-3, 3), st.floats(0.1, 2), st.integers(1, 30))
@examples(30)
def test_p_value_is_that_of_the_interval_that_ends_at_zero(value: float, error: float, freedom: int) -> None:
    one = Estimate(*(np.array(part) for part in (value, error, 2 * error, float(freedom))))
    p = float(one.p_value())
    if 1e-6 < p < 1 - 1e-6:
        assert np.abs(one.interval(1 - p)).min() == pytest.approx(0, abs=1e-6)
    assert float(one.p_value(value)) == 1


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
        low, high = found["mean"].interval(0.9)
        inside += low <= 0 <= high
    assert 0.84 <= inside / runs <= 0.995


def test_difference_follows_welch() -> None:
    rng = np.random.default_rng(1)
    groups = rng.standard_normal(5), 1 + 3 * rng.standard_normal(8)
    first, second = (
        Estimate(*np.array([[one.mean()], [error], [error], [len(one) - 1.0]]))
        for one in groups
        for error in [one.std(ddof=1) / np.sqrt(len(one))]
    )
    found = difference(first, second)
    expected = stats.ttest_ind(groups[1], groups[0], equal_var=False)
    assert found.freedom == pytest.approx(expected.df)
    np.testing.assert_allclose(found.interval(0.9)[0], expected.confidence_interval(0.9))
    assert found.p_value() == pytest.approx(expected.pvalue)


def test_difference_takes_the_sides_that_face_each_other() -> None:
    first, second = Estimate(*np.array([[1.0], [0.3], [0.4], [5]])), Estimate(*np.array([[2.0], [0.3], [0.4], [5]]))
    found = difference(first, second, (-1.0, 1.0))
    assert found.below == pytest.approx(0.5)
    assert found.above == pytest.approx(0.5)
    assert found.interval(0.999).max() == 1
    same = Estimate(*np.array([[1.0], [0.0], [0.0], [5]]))
    assert difference(same, same).interval(0.95).tolist() == [[0, 0]]
    unknown = Estimate(*np.array([[1.0], [np.nan], [np.nan], [np.nan]]))
    assert np.isnan(difference(first, unknown).interval(0.95)).all()


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=6))
@examples(40)
def test_sign_flips_against_brute_force(contrast: list[int]) -> None:
    values = np.array(contrast, float)
    p, ways = sign_flip_p(values, 10, np.random.default_rng(0))
    sums = [abs(np.dot(signs, values)) for signs in product([1, -1], repeat=len(values))]
    assert ways == len(sums)
    assert p == pytest.approx(np.mean(np.array(sums) >= abs(values.sum())))


def test_sign_flips_of_many_units_are_drawn() -> None:
    rng = np.random.default_rng(0)
    p, ways = sign_flip_p(rng.standard_normal(1200) + 0.3, 500, rng)
    assert p == 1 / 501
    assert ways == np.inf
    assert np.isnan(sign_flip_p(np.array([]), 10, rng)).all()


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
