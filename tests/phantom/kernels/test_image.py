"""Blur as scipy's, noise of known variance and correlation."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from tomostat.phantom.kernels.image import correlated_noise, gaussian, gaussian_weights, streak_noise
from tomostat.phantom.kernels.noise import normal_at


def test_noise_is_white_and_keeps_its_variance_when_correlated():
    lattice = np.array([normal_at(z, y, 7, 3) for z in range(-50, 50) for y in range(100)]).reshape(100, 100)
    assert abs(lattice.mean()) < 0.04
    assert abs(lattice.std() - 1) < 0.04
    assert abs(np.corrcoef(lattice[1:].ravel(), lattice[:-1].ravel())[0, 1]) < 0.04
    smooth = correlated_noise(np.zeros(3, np.int64), (30, 60, 60), 4, (0.0, 1.5, 0.7))
    assert abs(smooth.std() - 1) < 0.08
    assert np.corrcoef(smooth[:, 1:].ravel(), smooth[:, :-1].ravel())[0, 1] > 0.7
    assert abs(np.corrcoef(smooth[1:].ravel(), smooth[:-1].ravel())[0, 1]) < 0.05
    lines = streak_noise(np.zeros(3, np.int64), (20, 80, 80), 4)
    assert abs(lines.std() - 1) < 0.08


def test_blur_agrees_with_scipy():
    image = np.random.default_rng(0).normal(size=(20, 24, 28)).astype(np.float32)
    sigmas = (1.0, 0.0, 1.7)
    reach = [len(gaussian_weights(sigma)) // 2 for sigma in sigmas]
    core = tuple(slice(r, n - r) for r, n in zip(reach, image.shape, strict=True))
    expected = ndimage.gaussian_filter(image, sigmas, radius=reach)[core]
    np.testing.assert_allclose(gaussian(image, sigmas), expected, atol=1e-5)
