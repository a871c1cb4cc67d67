"""Weighted statistics: a whole weight is that many copies, densities integrate to one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from properties import examples
from tomostat.analyze.kernels import statistics
from tomostat.analyze.results import DEGREES

repeated = st.lists(
    st.tuples(st.integers(0, 20).map(lambda v: v / 20), st.integers(0, 20), st.integers(0, 4)), min_size=2, max_size=25
).filter(lambda rows: sum(row[2] for row in rows) >= 2)


def unpack(rows: list[tuple[float, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values, others, weights = (np.array(column, float) for column in zip(*rows, strict=True))
    return values, others, weights


@given(repeated, st.sampled_from([0.1, 0.25, 0.5, 0.9]))
@examples(150)
def test_weights_are_copies(rows: list[tuple[float, int, int]], probability: float) -> None:
    values, others, weights = unpack(rows)
    copies, other_copies = (np.repeat(column, weights.astype(int)) for column in (values, others))
    row = weights[None]
    np.testing.assert_allclose(statistics.mean(values, row)[0], copies.mean())
    np.testing.assert_allclose(statistics.spread(values, row)[0], copies.std(), atol=1e-7)
    expected = np.quantile(copies, probability, method="averaged_inverted_cdf")
    np.testing.assert_allclose(statistics.quantile(values, row, probability)[0], expected)
    counts = np.histogram(copies, np.linspace(0, 1, 8), density=True)[0]
    np.testing.assert_allclose(statistics.histogram(values, row, np.linspace(0, 1, 8))[0], counts)
    if np.ptp(copies) and np.ptp(other_copies):
        rho = stats.spearmanr(copies, other_copies).statistic
        np.testing.assert_allclose(statistics.spearman(values, others, row)[0], rho, atol=1e-9)
    else:
        assert np.isnan(statistics.spearman(values, others, row)[0])


def test_density_against_direct_sum() -> None:
    rng = np.random.default_rng(1)
    values, weights = rng.random(40), rng.random((3, 40))
    width = 0.05
    found = statistics.density(values, weights, DEGREES, width)
    images = np.stack([values, -values, 2 - values])
    kernels = stats.norm.pdf(DEGREES, images[..., None], width).sum(axis=0)
    expected = weights @ kernels / weights.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=0.01)
    np.testing.assert_allclose(np.trapezoid(found, DEGREES, axis=1), 1, rtol=1e-9)


def test_density_is_level_up_to_the_boundary() -> None:
    values = np.linspace(0, 1, 5001)
    found = statistics.density(values, np.ones((1, 5001)), DEGREES, 0.1)[0]
    np.testing.assert_allclose(found, 1, atol=0.01)


def test_peak_is_where_the_values_pile_up() -> None:
    rng = np.random.default_rng(0)
    values = np.clip(0.7 + 0.1 * rng.standard_normal(1500), 0, 1)
    weights = np.ones((1, 1500))
    width = statistics.bandwidth(values, weights[0])
    assert width == pytest.approx(0.9 * 0.1 * 1500**-0.2, rel=0.1)
    assert statistics.peak(statistics.density(values, weights, DEGREES, width), DEGREES)[0] == pytest.approx(
        0.7, abs=0.03
    )


def test_rows_without_weight_are_nan() -> None:
    values, none = np.array([0.2, 0.4]), np.zeros((1, 2))
    assert np.isnan(statistics.mean(values, none)).all()
    assert np.isnan(statistics.quantile(values, none, 0.5)).all()
    assert np.isnan(statistics.density(values, none, DEGREES, 0.1)).all()
    assert np.isnan(statistics.peak(statistics.density(values, none, DEGREES, 0.1), DEGREES)).all()


@given(repeated)
@examples(60)
def test_correlations_of_all_with_all_are_those_of_pairs(rows: list[tuple[float, int, int]]) -> None:
    values, others, weights = unpack(rows)
    columns = np.stack([values, others.astype(float), values * others])
    found = statistics.rank_correlations(columns, np.stack([weights, np.ones_like(weights)]))
    for i in range(3):
        for j in range(3):
            one = statistics.spearman(columns[i], columns[j], np.stack([weights, np.ones_like(weights)]))
            np.testing.assert_allclose(found[:, i, j], one, atol=1e-9)


@given(repeated, st.integers(0, 1000))
@examples(80)
def test_effect_sizes_against_all_pairs(rows: list[tuple[float, int, int]], seed: int) -> None:
    values, _, weights = unpack(rows)
    second = np.random.default_rng(seed).random(len(values)) < 0.5
    groups = [np.repeat(values[mask], weights[mask].astype(int)) for mask in (~second, second)]
    delta = statistics.dominance(values, second, weights[None])[0]
    difference = statistics.standardized_difference(values, second, weights[None])[0]
    if min(map(len, groups)) == 0:
        assert np.isnan([delta, difference]).all()
        return
    assert delta == pytest.approx(np.sign(groups[1][:, None] - groups[0]).mean())
    spread = np.sqrt((groups[0].var() + groups[1].var()) / 2)
    if spread > 1e-6 and min((~second).sum(), second.sum()) > 1:
        assert difference == pytest.approx((groups[1].mean() - groups[0].mean()) / spread, rel=1e-6, abs=1e-9)


@given(repeated)
@examples(60)
def test_mean_deviation_from_the_median(rows: list[tuple[float, int, int]]) -> None:
    values, _, weights = unpack(rows)
    copies = np.repeat(values, weights.astype(int))
    expected = np.abs(copies - np.quantile(copies, 0.5, method="averaged_inverted_cdf")).mean()
    np.testing.assert_allclose(statistics.mean_deviation(values, weights[None])[0], expected)


def test_running_quantiles_follow_a_slope() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 10, 4000)
    values = 2 * places + rng.standard_normal(4000)
    at = np.array([2.0, 5.0, 8.0, 40.0])
    found = statistics.running_quantiles(
        values, places, np.ones(4000), at, width=0.3, probabilities=(0.1, 0.5, 0.9), least=10
    )
    np.testing.assert_allclose(found[:3, 1], 2 * at[:3], atol=0.25)
    np.testing.assert_allclose(found[:3, 2] - found[:3, 0], 2 * 1.2816 * np.hypot(1, 0.6), rtol=0.1)
    assert np.isnan(found[3]).all()
    still = statistics.running_quantiles(values, places, np.ones(4000), at, width=0.0, probabilities=(0.5,), least=1)
    assert np.isnan(still).all()


def test_effective_number() -> None:
    assert statistics.effective_number(np.array([[2.0, 2.0, 2.0], [1.0, 0.0, 0.0], [0, 0, 0]])).tolist() == [3, 1, 0]
