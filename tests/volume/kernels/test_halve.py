"""Halving of grey values, labels and maps."""

from __future__ import annotations

import numpy as np

from tomostat.volume import (
    halve,
    halve_sparse,
)


def test_halving_keeps_thin_axes():
    fine = np.arange(12, dtype=np.uint8).reshape(1, 4, 3)
    assert np.array_equal(halve(fine, (1, 2, 1), mean=True), [[[2], [8]]])
    assert np.array_equal(halve(fine, (1, 2, 1), mean=False), [[[0], [6]]])


def test_maps_are_averaged_over_what_is_known():
    fine = np.full((1, 4, 6), np.nan, np.float32)
    fine[0, 0, 0], fine[0, 1, 1], fine[0, 3, 5] = 1, 4, 7
    np.testing.assert_array_equal(halve_sparse(fine, (1, 2, 3)), [[[2.5, np.nan, np.nan], [np.nan, np.nan, 7]]])
