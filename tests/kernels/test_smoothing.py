"""Smoothing against scipy's; a block with its halo gives the bits of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from tomostat.blocks import block_grid
from tomostat.kernels.smoothing import smooth


@pytest.mark.parametrize("sigma", [0.8, 1.0, 2.0])
def test_smoothing_is_scipys(sigma: float) -> None:
    mask = (np.random.default_rng(0).random((14, 17, 19)) < 0.4).astype(np.uint8)
    radius = int(4 * sigma + 0.5)
    expected = ndimage.gaussian_filter(mask.astype(float), sigma, mode="nearest", truncate=4.0)
    np.testing.assert_allclose(smooth(mask, sigma, radius), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(40, 50, 60), (1, 50, 60), (2, 50, 60), (3, 9, 60), (1, 1, 60)])
@pytest.mark.parametrize(("sigma", "radius"), [(0.7, 3), (1.5, 5)])
def test_blocks_are_smoothed_as_the_whole(shape: tuple[int, int, int], sigma: float, radius: int) -> None:
    grey = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = smooth(grey, sigma, radius)
    for core in [(40, 50, 60), (7, 50, 60), (20, 16, 23), (20, 25, 30)]:
        for block in block_grid(shape, core, (radius,) * 3):
            assert np.array_equal(smooth(grey[block.outer], sigma, radius)[block.inner], expected[block.core])


def test_a_sigma_of_zero_smooths_nothing() -> None:
    grey = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    assert np.array_equal(smooth(grey, 0.0), grey)
