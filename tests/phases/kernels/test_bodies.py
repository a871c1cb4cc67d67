"""Bodies and webs are told apart by the solidity of their pieces."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from tomostat.phases.kernels.bodies import MIN_SOLIDITY, solidity_sum


def discs(radius, pitch=40, size=160):
    y, x = np.ogrid[:size, :size]
    return (y % pitch - pitch / 2) ** 2 + (x % pitch - pitch / 2) ** 2 < radius**2


def test_discs_are_bodies_also_where_they_touch_and_are_cracked():
    for radius in (6, 15, 20.5):
        total, area = solidity_sum(discs(radius))
        assert area == discs(radius).sum()
        assert total > 0.9 * area
    cracked = discs(15)
    cracked[:, 18:21] = cracked[:, 58:61] = False
    total, area = solidity_sum(cracked)
    assert total > MIN_SOLIDITY * area


def test_webs_and_skins_are_no_bodies():
    height = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(160, 160)), 3.5, mode="wrap")
    for mask in (height > np.quantile(height, 0.55), discs(18) & ~discs(14)):
        total, area = solidity_sum(mask)
        assert total < MIN_SOLIDITY * area


def test_an_empty_slice_counts_nothing():
    assert solidity_sum(np.zeros((20, 20), bool)) == (0.0, 0)
