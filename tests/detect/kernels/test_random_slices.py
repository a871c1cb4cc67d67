"""Random slices for training."""

from __future__ import annotations

import numpy as np

from tomostat.detect.kernels.random_slices import SMALLEST_DIAMETER, empty_slice, random_slice


def test_flat_phantoms_are_repeatable_and_honest():
    grey, labels = random_slice(np.random.default_rng(4), (128, 128))
    again, _ = random_slice(np.random.default_rng(4), (128, 128))
    assert np.array_equal(grey, again)
    assert grey.dtype == np.float32
    assert labels.dtype == np.int32
    low, high = np.percentile(grey, [0.5, 99.5])
    assert abs(low) < 0.3
    assert abs(high - 1) < 0.4
    brighter = []
    for seed in range(12):
        grey, labels = random_slice(np.random.default_rng(seed), (128, 128))
        if labels.any() and not labels.all():
            brighter.append(grey[labels > 0].mean() > grey[labels == 0].mean())
            whole = [np.argwhere(labels == i) for i in np.unique(labels)[1:]]
            inner = [p for p in whole if p.min() > 0 and p.max() < 127]
            assert all(len(p) > 0.3 * SMALLEST_DIAMETER**2 for p in inner)
    assert len(brighter) > 8
    assert all(brighter)


def test_empty_slices_hold_no_particle_and_full_contrast():
    for seed in range(4):
        grey, labels = empty_slice(np.random.default_rng(seed), (64, 64))
        assert not labels.any()
        low, high = np.percentile(grey, [0.5, 99.5])
        assert 0.5 < high - low < 1.6
