"""Disturbances change grey values and truth alike."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.disturbances import DISTURBANCES


@pytest.mark.parametrize("name", DISTURBANCES)
def test_disturbed_particles_stay_bright(name):
    """Grey values and truth move together."""
    rng = np.random.default_rng(0)
    labels = np.zeros((90, 70), np.int32)
    labels[10:40, 8:50], labels[55:80, 20:60] = 1, 2
    grey, moved = DISTURBANCES[name](rng, ((labels > 0).astype(np.float32), labels))
    assert grey.shape == moved.shape
    assert set(np.unique(moved)) == {0, 1, 2}
    assert grey[moved > 0].mean() > grey[moved == 0].mean() + 0.5
    assert np.mean((grey > 0.5) == (moved > 0)) > 0.9
