"""Block bootstrap: intervals that cover although pixels are alike with their neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, stats

from tomostat.correlate.kernels.blocks import _window_sums, block_correlation, block_side, correlation_length, ranked

SETTINGS = {"confidence": 0.9, "resamples": 300}


def smooth(rng: np.random.Generator, width: float, size: int = 64) -> np.ndarray:
    return ndimage.gaussian_filter(rng.standard_normal((size, size)), width, mode="wrap")


def test_windows_against_brute_force() -> None:
    values = np.random.default_rng(0).random((2, 6, 5))
    padded = np.pad(values, ((0, 0), (2, 2), (2, 2)))
    found = _window_sums(values, 3)
    assert found.shape == (2, 8, 7)
    for i in range(8):
        for j in range(7):
            np.testing.assert_allclose(found[:, i, j], padded[:, i : i + 3, j : j + 3].sum(axis=(1, 2)))


def test_value_is_pearson_and_of_ranks_spearman() -> None:
    rng = np.random.default_rng(0)
    a = rng.random((20, 20))
    b = a**5 + 0.2 * rng.random((20, 20))
    mask = rng.random((20, 20)) < 0.7
    found = block_correlation(a, b, mask, side=3, rng=rng, **SETTINGS)
    assert found.value == pytest.approx(stats.pearsonr(a[mask], b[mask]).statistic)
    by_rank = block_correlation(ranked(a, mask), ranked(b, mask), mask, side=3, rng=rng, **SETTINGS)
    assert by_rank.value == pytest.approx(stats.spearmanr(a[mask], b[mask]).statistic)


@pytest.mark.parametrize("width", [1.5, 3.0])
def test_correlation_length_of_smoothed_noise(width: float) -> None:
    """Noise smoothed with a Gaussian has the autocorrelation exp(-d^2 / 4 width^2), 1/e at twice the width."""
    length = correlation_length(smooth(np.random.default_rng(0), width, 128), np.ones((128, 128), bool))
    assert length == pytest.approx(2 * width, rel=0.2)


def test_intervals_cover_zero_correlation_of_smooth_maps() -> None:
    inside = naive = 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        a, b, mask = smooth(rng, 2.0), smooth(rng, 2.0), np.hypot(*np.mgrid[-32:32, -32:32]) < 30
        side = block_side(a, b, mask)
        low, high = block_correlation(a, b, mask, side=side, rng=rng, **SETTINGS).interval
        inside += low <= 0 <= high
        naive += stats.pearsonr(a[mask], b[mask]).pvalue > 0.1
    assert inside / 80 > 0.8
    assert naive / 80 < 0.5, "pixels taken as independent deceive"


def test_no_interval_from_few_blocks_and_no_value_of_a_constant() -> None:
    rng = np.random.default_rng(0)
    a, mask = rng.random((10, 10)), np.ones((10, 10), bool)
    assert np.isnan(block_correlation(a, a + rng.random((10, 10)), mask, side=8, rng=rng, **SETTINGS).interval).all()
    assert np.isnan(block_correlation(a, np.ones((10, 10)), mask, side=2, rng=rng, **SETTINGS).value)
