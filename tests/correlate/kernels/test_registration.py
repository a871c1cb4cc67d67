"""Registration: what was moved is found, whatever the rotation, flip and pixel size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maps import two_maps
from properties import examples
from tomostat.correlate.kernels.registration import Placement, Search, correlation, fill_outside, place, register


@given(st.floats(0.5, 2), st.floats(-180, 180), st.tuples(st.floats(-5, 5), st.floats(-5, 5)), st.booleans())
@examples(50)
def test_middle_goes_to_middle_and_lengths_are_scaled(
    scale: float, rotation: float, shift: tuple[float, float], flip: bool
) -> None:
    matrix, offset = Placement(scale, rotation, shift, flip).transform((11, 21), (31, 15))
    np.testing.assert_allclose(matrix @ (np.array([5, 10]) + shift) + offset, [15, 7], atol=1e-9)
    assert abs(np.linalg.det(matrix)) == pytest.approx(scale**-2)
    assert (np.linalg.det(matrix) < 0) == flip


def test_a_map_placed_where_it_is_stays_as_it_is() -> None:
    rng = np.random.default_rng(0)
    values, mask = rng.random((12, 9)), np.ones((12, 9), bool)
    moved, inside = place(values, mask, Placement(1.0, 0.0, (0.0, 0.0), False), (12, 9))
    np.testing.assert_allclose(moved, values)
    assert inside.all()
    turned, _ = place(values, mask, Placement(1.0, 180.0, (0.0, 0.0), True), (12, 9), order=1)
    np.testing.assert_allclose(turned, values[::-1], atol=1e-9)


def test_outside_is_filled_with_the_nearest_inside() -> None:
    values = np.array([[1.0, 2.0, 99.0, 99.0]])
    assert fill_outside(values, np.array([[True, True, False, False]])).tolist() == [[1, 2, 2, 2]]


def test_correlation_inside_a_mask() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 8, 8))
    mask = a > 0.3
    assert correlation(a, b, mask) == pytest.approx(np.corrcoef(a[mask], b[mask])[0, 1])
    assert correlation(a, np.ones((8, 8)), mask) == 0


@pytest.mark.slow
def test_what_was_moved_is_found() -> None:
    first, second, truth = two_maps(1, side=50, r=0.9, noise=0.05)
    masks = [one.values != 0 for one in (first, second)]
    search = Search(1.3, 0.1, 180.0, flip=True, sign=1, outline=True)
    found = register(first.values, masks[0], second.values, masks[1], search)
    assert found.placement.flip == truth.flip
    assert found.placement.scale == pytest.approx(truth.scale, rel=0.02)
    assert abs((found.placement.rotation - truth.rotation + 180) % 360 - 180) < 2
    np.testing.assert_allclose(found.placement.shift, truth.shift, atol=0.7)
    assert found.score > found.runner_up
