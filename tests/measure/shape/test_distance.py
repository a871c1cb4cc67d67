"""Distances against scipy's."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from properties import examples
from shapes import CUBIC, SPACINGS, Spacing
from tomostat.measure.shape.distance import distance_to


@examples(30)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SPACINGS), st.floats(0.001, 0.3))
def test_distances_are_scipys(seed: int, spacing: Spacing, share: float) -> None:
    target = np.random.default_rng(seed).random((9, 12, 14)) < share
    target[0, 0, 0] = True
    expected = ndimage.distance_transform_edt(~target, sampling=spacing)
    np.testing.assert_allclose(distance_to(target, spacing), expected, rtol=1e-12)


def test_no_target() -> None:
    assert np.isinf(distance_to(np.zeros((2, 3, 4), bool), CUBIC)).all()
