"""Shares of samples with intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tomostat.kernels.rates import grouped_rate, single_rate


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.8, 0.95]))
def test_single_draws_have_wilsons_interval(counts, confidence):
    hits, trials = counts
    rate = single_rate(hits, trials, confidence)
    known = stats.binomtest(hits, trials).proportion_ci(confidence, method="wilson")
    assert (rate.value, rate.low, rate.high) == pytest.approx((hits / trials, known.low, known.high), abs=1e-9)


def test_nothing_and_one_group_say_nothing():
    for rate in (single_rate(0, 0), grouped_rate([], []), grouped_rate([0, 0], [0, 0])):
        assert np.isnan(rate.value)
        assert (rate.low, rate.high, rate.trials) == (0.0, 1.0, 0)
    alone = grouped_rate([9], [10])
    assert (alone.value, alone.low, alone.high, alone.trials) == (0.9, 0.0, 1.0, 10)


def test_groups_alike_are_nearly_single_draws_and_groups_that_differ_are_not():
    alike, single = grouped_rate([9] * 40, [10] * 40), single_rate(360, 400)
    assert (alike.low, alike.high) == pytest.approx((single.low, single.high), abs=0.002)
    differ = grouped_rate([10] * 36 + [0] * 4, [10] * 40)
    assert differ.value == alike.value
    assert differ.high - differ.low > 2.5 * (alike.high - alike.low)


def test_intervals_of_groups_hold_the_truth_as_often_as_they_say():
    random = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        trials = random.integers(5, 30, 6)
        rate = grouped_rate(random.binomial(trials, random.beta(18, 2, 6)), trials)
        held += rate.low <= 0.9 <= rate.high
    assert 0.92 <= held / 400 <= 0.995
