"""Smoothing against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from tomostat.kernels.smoothing import smooth


@pytest.mark.parametrize("sigma", [0.8, 1.0, 2.0])
def test_smoothing_is_scipys(sigma: float) -> None:
    mask = (np.random.default_rng(0).random((14, 17, 19)) < 0.4).astype(np.uint8)
    radius = int(4 * sigma + 0.5)
    expected = ndimage.gaussian_filter(mask.astype(float), sigma, mode="nearest", truncate=4.0)
    np.testing.assert_allclose(smooth(mask, sigma, radius), expected, atol=1e-5)
