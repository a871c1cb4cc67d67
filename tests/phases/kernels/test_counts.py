"""Histograms: every value is counted once, in its interval, and survives its encoding."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from properties import examples
from tomostat.phases.kernels.counts import Bins, decode, decode_sum, encode, quantile


@given(hnp.arrays(np.float32, st.integers(1, 50), elements=st.floats(-10, 10, width=32)), st.integers(1, 30))
@examples(100)
def test_counts_and_their_encoding(values, number):
    bins = Bins(-8.0, 8.0, number)
    counts = bins.count(values)
    assert counts.sum() == len(values)
    clipped = np.clip(values.astype(float), -8, 8)
    for index, value in zip(bins.index(values), clipped, strict=True):
        assert bins.low + index * bins.width - 1e-4 <= value <= bins.low + (index + 1) * bins.width + 1e-4
    assert np.array_equal(decode(encode(counts)), counts)
    assert np.array_equal(decode(encode(counts.reshape(1, -1)), (1, number)), counts[None])
    assert np.array_equal(decode_sum([encode(counts)] * 3), 3 * counts)


def test_quantiles_of_a_histogram():
    values = np.random.default_rng(0).normal(5, 2, 100_000)
    bins = Bins(-10, 20, 1000)
    for q in (0.005, 0.3, 0.995):
        assert abs(quantile(bins.count(values), bins, q) - np.quantile(values, q)) < 0.03
