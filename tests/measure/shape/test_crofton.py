"""Crofton's formula: weights from the literature, areas of balls."""

from __future__ import annotations

import numpy as np
import pytest

from shapes import CUBIC, SPACINGS, Spacing, ball
from tomostat.measure.shape.crofton import crofton_area, crofton_weights


@pytest.mark.parametrize("spacing", SPACINGS)
def test_crofton(spacing: Spacing) -> None:
    assert crofton_weights(spacing).sum() == pytest.approx(1)
    assert crofton_area(ball(30, spacing), spacing) == pytest.approx(4 * np.pi * 900, rel=0.005)


def test_crofton_weights_of_cubes() -> None:
    weights = np.sort(crofton_weights(CUBIC))
    np.testing.assert_allclose(weights, [0.07039] * 4 + [0.07396] * 6 + [0.09156] * 3, atol=2e-5)
