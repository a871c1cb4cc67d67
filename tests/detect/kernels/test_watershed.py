"""The watershed of one slice."""

from __future__ import annotations

import numpy as np
import pytest

from tomostat.detect.kernels.watershed import fill_small_holes, solidity, split


def test_a_pocket_between_touching_particles_does_not_fuse_them():
    y, x = np.ogrid[:100, :100]
    centres = [(31, 31), (31, 68), (68, 31), (68, 68)]
    active = np.any([(y - a) ** 2 + (x - b) ** 2 <= 19.5**2 for a, b in centres], axis=0)
    assert not active[50, 50]
    assert fill_small_holes(active, 500)[50, 50], "the pocket is small enough to be a core"
    labels = split(active, smoothing=1, depth=2, fill=500)
    assert len({int(labels[centre]) for centre in centres}) == 4
    assert len(np.unique(labels)) == 5
    assert labels[50, 50] == 0


def test_solidity():
    square = np.ones((10, 10), bool)
    assert solidity(square) == pytest.approx(1)
    ell = square.copy()
    ell[:5, :5] = False
    assert solidity(ell) == pytest.approx(75 / 87.5)
