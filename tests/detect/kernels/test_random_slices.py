"""Random slices for training."""

from __future__ import annotations

import numpy as np
from skimage.measure import regionprops

from tomostat.detect.kernels.random_slices import (
    SMALLEST_DIAMETER,
    empty_slice,
    grain_slice,
    packed_slice,
    random_slice,
)


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


def test_grains_are_angular_and_whole():
    """Polygons fill less of the circle around them than round particles do, and their outlines have straight parts."""
    fullness = {}
    for name, draw in (("grains", grain_slice), ("particles", random_slice)):
        drawn = [draw(np.random.default_rng(seed), (256, 256))[1] for seed in range(6)]
        regions = [r for labels in drawn for r in regionprops(labels) if r.area > 300 and min(r.bbox) > 0]
        fullness[name] = np.median(
            [4 * r.area / (np.pi * r.feret_diameter_max**2) for r in regions if r.solidity > 0.9]
        )
    assert fullness["grains"] < fullness["particles"] - 0.03
    grey, labels = grain_slice(np.random.default_rng(1), (128, 128))
    assert grey.dtype == np.float32
    assert labels.dtype == np.int32
    assert grey[labels > 0].mean() > grey[labels == 0].mean()


def test_packed_grains_fill_the_slice_and_are_whole():
    """Each grain is one piece apart from all others, bright, and not smaller than what counts as a particle."""
    filled = []
    for seed in range(8):
        grey, labels = packed_slice(np.random.default_rng(seed), (256, 192))
        assert (grey.shape, labels.shape) == ((256, 192), (256, 192))
        assert (grey.dtype, labels.dtype) == (np.float32, np.int32)
        assert grey[labels > 0].mean() > grey[labels == 0].mean()
        regions = regionprops(labels)
        assert min(r.area for r in regions) >= np.pi / 4 * SMALLEST_DIAMETER**2
        assert np.median([r.solidity for r in regions]) > 0.9
        filled.append(np.mean(labels > 0))
    assert max(filled) > 0.7
