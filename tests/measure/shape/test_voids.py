"""Filling of enclosed voids against scipy's."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from properties import examples
from tomostat.measure.shape.voids import fill_voids


@examples(25)
@given(st.integers(0, 2**32 - 1))
def test_filling_is_scipys(seed: int) -> None:
    mask = np.pad(np.random.default_rng(seed).random((9, 10, 11)) < 0.6, 1)
    np.testing.assert_array_equal(fill_voids(mask.view(np.uint8)), ndimage.binary_fill_holes(mask))
