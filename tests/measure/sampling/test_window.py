"""Border weights of one field and of overlapping ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import examples
from shapes import SPACINGS, Spacing
from tomostat.measure.sampling.window import Window, border_weights, overlap, union_weights

SHAPE = (40, 100, 120)


def window(spacing: Spacing = (1.0, 1.0, 1.0), **changes) -> Window:
    return Window(**{"shape": SHAPE, "spacing": spacing, "cut": (True, True, True)} | changes)


def test_weights_of_a_box() -> None:
    found = border_weights(np.array([[0, 0, 0], [10, 20, 30], [40, 10, 10]]), window())
    np.testing.assert_allclose(found, [1, 1 / (0.75 * 0.8 * 0.75), math.inf])
    np.testing.assert_allclose(border_weights(np.array([[40, 20, 30]]), window(cut=(False, True, False))), 1 / 0.8)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("circle", [None, (50.0, 60.0, 45.0)])
@pytest.mark.parametrize("cut", [(True, True, True), (False, True, True)])
def test_one_window_is_the_union_of_itself(spacing: Spacing, circle, cut) -> None:
    one = window(spacing, circle=circle, cut=cut)
    extent = np.random.default_rng(0).integers(1, 30, (20, 3))
    got = union_weights(extent * spacing, [one, one], np.array([(1, 2, 3), (1, 2, 3)]))
    np.testing.assert_allclose(got, border_weights(extent, one), rtol=0.015)


@examples(20)
@given(st.floats(0, 119), st.floats(1, 90), st.sampled_from(SPACINGS))
def test_two_fields_side_by_side(shift: float, width: float, spacing: Spacing) -> None:
    """Along the shared axis the places where a particle is whole are two intervals that may meet."""
    pair = [window(spacing, cut=(False, False, True))] * 2
    length, step = 120 * spacing[2], shift * spacing[2]
    inside = length - width * spacing[2]
    places = np.array([(0, 0, 0), (0, 0, step)])
    got = union_weights(np.array([[5.0, 5.0, width * spacing[2]]]), pair, places)
    expected = (length + step) / (2 * inside - max(inside - step, 0))
    np.testing.assert_allclose(got, expected, rtol=0.02)


def test_overlap() -> None:
    one = window((0.5, 1.0, 1.0))
    assert overlap(one, one, np.array([(0, 0, 0), (19, 99, 119)]))
    assert not overlap(one, one, np.array([(0, 0, 0), (20, 0, 0)]))
    assert not overlap(one, one, np.array([(0, 0, 0), (0, 0, -120)]))


def test_counts_are_right_on_average() -> None:
    """Balls at random, each counted once where one of three fields shows it whole: their weights add up to all."""
    rng = np.random.default_rng(3)
    fields = [window(shape=(60, 60, 60)), window(shape=(60, 60, 60)), window(shape=(40, 80, 30), circle=(40, 15, 15))]
    places = np.array([(0, 0, 0), (10, 25, 30), (15, -30, 20)], float)
    centre = rng.uniform(-40, 110, (60_000, 3))
    diameter = rng.integers(4, 26, len(centre))
    weight = union_weights(np.repeat(np.arange(4, 26), 3).reshape(-1, 3), fields, places)[diameter - 4]
    shown, whole = (np.zeros(len(centre), bool) for _ in range(2))
    for field, place in zip(fields, places, strict=True):
        for radius, found in ((0 * diameter, shown), (diameter / 2, whole)):
            away = np.minimum(centre - place + 0.5, place - 0.5 + field.shape - centre)
            if field.circle:
                y, x, reach = field.circle
                round_ = reach - np.hypot(centre[:, 1] - place[1] - y, centre[:, 2] - place[2] - x)
                found |= (away[:, 0] >= radius) & (round_ >= radius)
            else:
                found |= (away >= radius[:, None]).all(axis=1)
    for small in (True, False):
        chosen = (diameter < 15) == small
        assert weight[whole & chosen].sum() == pytest.approx((shown & chosen).sum(), rel=0.03)
        assert (whole & chosen).sum() < (0.8 if small else 0.5) * (shown & chosen).sum()
