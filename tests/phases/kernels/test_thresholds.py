"""Thresholds: multi-Otsu against all partitions and scikit-image, and classes that noise alone makes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.filters import threshold_multiotsu

from properties import examples
from tomostat.phases.kernels.counts import Bins
from tomostat.phases.kernels.thresholds import (
    are_distinct,
    brighter_class,
    class_means,
    multi_otsu,
    noise_of_differences,
)


def mixture(apart, share=0.5, n=200_000):
    """Unit noise around two grey values."""
    rng = np.random.default_rng(0)
    return rng.normal(size=n) + np.where(rng.random(n) < share, apart, 0.0)


@given(st.lists(st.integers(0, 20), min_size=6, max_size=12), st.integers(2, 3))
@examples(60)
def test_multi_otsu_is_the_best_of_all_partitions(counts, classes):
    counts = np.array(counts)
    bins = Bins(0.0, float(len(counts)), len(counts))
    if np.count_nonzero(counts) < classes:
        with pytest.raises(ValueError, match="classes or more"):
            multi_otsu(counts, bins, classes)
        return

    def between(thresholds):
        means, shares = class_means(counts, bins, np.array(thresholds, float))
        return float((shares * means**2).sum())

    edges = range(1, len(counts))
    every = [(a,) for a in edges] if classes == 2 else [(a, b) for a in edges for b in edges if a < b]
    assert between(multi_otsu(counts, bins, classes)) >= max(map(between, every)) - 1e-9


def test_multi_otsu_agrees_with_scikit_image():
    values = np.concatenate([mixture(5.0), mixture(0.0) + 12])
    bins = Bins(-6, 18, 400)
    counts = bins.count(values)
    assert np.allclose(multi_otsu(counts, bins, 3), threshold_multiotsu(hist=(counts, bins.centres)), atol=0.3)


def test_a_threshold_lies_in_the_middle_of_an_empty_valley():
    bins = Bins(0, 100, 100)
    counts = np.zeros(100, int)
    counts[[10, 90]] = 1000, 30
    assert np.allclose(multi_otsu(counts, bins, 2), [50.5])


@pytest.mark.parametrize(("apart", "distinct"), [(0.0, False), (1.0, False), (2.0, True), (4.0, True)])
def test_classes_are_distinct_when_noise_cannot_make_them(apart, distinct):
    bins = Bins(-6, 12, 500)
    counts = bins.count(mixture(apart))
    assert are_distinct(counts, bins, multi_otsu(counts, bins, 2), 1.0) is distinct
    assert not are_distinct(counts, bins, np.array([5.9 + apart]), 1.0), "an all but empty class"


def test_noise_from_differences():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 3, (2, 100_000))
    b[:5000] += 200
    steps = Bins(0, 300, 4096)
    assert abs(noise_of_differences(steps.count(np.abs(a - b)), steps) - 3) < 0.3, "few outliers do little"
    assert noise_of_differences(np.zeros(4096, int), steps) == 0.0


def test_a_rare_class_above_two_others_is_found():
    bins = Bins(-10, 60, 700)
    two = bins.count(mixture(8.0))
    rare = bins.count(mixture(0.0, n=2000) + 30)
    assert brighter_class(two, bins, 4.0) is None
    assert brighter_class(two + rare, bins, 4.0) == pytest.approx((4 + 30) / 2, abs=0.5)
    assert brighter_class(two + rare // 10, bins, 4.0) is None, "too few voxels"
    near = bins.count(mixture(0.0, n=2000) + 14)
    assert brighter_class(two + near, bins, 4.0) is None, "a spread of the grey values of active material"
    assert brighter_class(two, bins, 59.0) is None, "nothing above"
