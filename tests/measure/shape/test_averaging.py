"""Averages over a surface against brute force."""

from __future__ import annotations

import numpy as np

from shapes import CUBIC, ball
from tomostat.measure.shape.averaging import average_over_surface, smoothing_weights
from tomostat.measure.shape.surface import extract_surface


def test_averages_are_brute_force() -> None:
    surface = extract_surface(ball(7), CUBIC)
    weights = smoothing_weights(surface)
    values = np.random.default_rng(0).normal(size=(len(surface), 2)).astype(np.float32)
    near = ((surface.voxel[:, None] - surface.voxel[None]) ** 2).sum(axis=2) <= 6
    agree = surface.normal @ surface.normal.T
    far = ((surface.point[:, None] - surface.point[None]) ** 2).sum(axis=2)
    weight = near * (agree > 0.5) * agree**2 * np.exp(-far / (2 * 1.25**2)) * surface.area[None, :]
    expected = weight @ values / weight.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(average_over_surface(weights, values, 1), expected, atol=1e-4)
    np.testing.assert_allclose(average_over_surface(weights, np.ones((len(surface), 1), np.float32), 5), 1, rtol=1e-5)
