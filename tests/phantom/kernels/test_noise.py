"""Random numbers of a point, whatever is computed with it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from properties import examples
from tomostat.phantom.kernels.noise import gradient_noise, noise_row


@given(
    st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.integers(-2000, 2000), st.floats(0.01, 3), st.integers(0, 2**32 - 1)
)
@examples(50)
def test_noise_along_a_row_is_the_noise_at_its_points(z, y, start, step, seed):
    row = np.empty(40)
    noise_row(row, z, y, float(start), step, seed)
    assert np.array_equal(row, [gradient_noise(z, y, (start + k) * step, seed) for k in range(40)])
