"""Tables over directions: solid angles, interpolation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import examples
from tomostat.phantom.kernels.shape import directions, interpolate


def test_directions_cover_the_sphere():
    vectors, weights = directions()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1)
    assert weights.sum() == pytest.approx(4 * np.pi)
    for power in (2, 4):  # mean of z^2 is 1/3, of z^4 is 1/5
        np.testing.assert_allclose(
            (vectors**power * weights[..., None]).sum((0, 1)) / (4 * np.pi), 1 / (power + 1), atol=2e-3
        )


@given(st.integers(0, 10**6), st.floats(0.1, 10))
@examples(50)
def test_tables_interpolate_smooth_functions(seed, length):
    vectors, _ = directions()
    table = (3 + vectors @ [0.3, -0.5, 0.2]).astype(np.float32)
    ray = np.random.default_rng(seed).normal(size=3)
    ray /= np.linalg.norm(ray)
    assert interpolate(table, *(length * ray)) == pytest.approx(3 + ray @ [0.3, -0.5, 0.2], abs=5e-3)
