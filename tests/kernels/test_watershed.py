"""The watershed of one slice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from properties import examples
from tomostat.kernels.watershed import fill_small_holes, solidity, split


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


@examples(50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30), st.sampled_from([0.02, 0.2, 0.9]))
def test_solidity_against_the_hull_of_all_corners(seed: int, ny: int, nx: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((ny, nx)) < share
    mask[seed % ny, seed % nx] = True
    y, x = np.nonzero(mask)
    corners = np.concatenate([np.stack([y + dy, x + dx], 1) for dy in (0, 1) for dx in (0, 1)])
    assert solidity(mask) == pytest.approx(len(y) / ConvexHull(corners).volume, rel=1e-12)
