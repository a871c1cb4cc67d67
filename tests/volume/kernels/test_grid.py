"""Interpolation of coarse grids against the formula written out."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from properties import examples
from tomostat.volume import (
    interpolate_grid,
)
from volumes import whole_box

grids = st.tuples(*[st.integers(1, 5)] * 3)


@examples(100)
@given(grids, st.tuples(*[st.integers(1, 9)] * 3), st.randoms(use_true_random=False))
def test_a_grid_is_spread_linearly(nodes, shape, random):
    """Against interpolation written out voxel by voxel; and a voxel's value does not depend on the box asked for."""
    grid = np.array([random.uniform(-5, 5) for _ in range(int(np.prod(nodes)))], np.float32).reshape(nodes)
    found = interpolate_grid(grid, shape, whole_box(shape))
    for place in itertools.product(*map(range, shape)):
        value = 0.0
        for corner in itertools.product((0, 1), repeat=3):
            weight, index = 1.0, []
            for axis in range(3):
                t = place[axis] * (nodes[axis] - 1) / max(shape[axis] - 1, 1)
                low = min(int(t), max(nodes[axis] - 2, 0))
                weight *= (t - low) if corner[axis] else 1 - (t - low)
                index.append(min(low + corner[axis], nodes[axis] - 1))
            value += weight * float(grid[tuple(index)])
        assert abs(found[place] - value) < 1e-4
    box = tuple(slice(n // 3, n) for n in shape)
    assert np.array_equal(interpolate_grid(grid, shape, box), found[box])
