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


@examples(25)
@given(st.integers(0, 2**32 - 1))
def test_a_single_slice_encloses_voids(seed: int) -> None:
    mask = np.random.default_rng(seed).random((1, 20, 21)) < 0.6
    np.testing.assert_array_equal(fill_voids(mask.view(np.uint8))[0], ndimage.binary_fill_holes(mask[0]))


def test_pores_that_reach_the_edge_of_the_box_stay_open() -> None:
    mask = np.ones((7, 7, 7), np.uint8)
    mask[2, 2, 2] = 0  # enclosed
    mask[4:, 4, 4] = 0  # open to one face
    filled = fill_voids(mask)
    assert filled.dtype == np.uint8
    assert filled[2, 2, 2] == 1
    assert not filled[4:, 4, 4].any()
    assert filled.sum() == 7**3 - 3
