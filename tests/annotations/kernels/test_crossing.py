"""Whether a polygon crosses itself: against every pair of edges, and in time that grows with the number of points."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import examples
from tomostat.annotations.kernels.crossing import find_crossing

CORNERS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=12)


def side(a, b, p):
    return np.sign((b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]))


def brute_force(points):
    edges = list(zip(points, np.roll(points, -1, axis=0), strict=True))
    for (i, (a, b)), (j, (c, d)) in itertools.combinations(enumerate(edges), 2):
        if side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0:
            return i, j
    return None


@examples(300)
@given(CORNERS)
def test_against_every_pair_of_edges(corners):
    points = np.array(corners, float)
    assert find_crossing(points) == brute_force(points)


@pytest.mark.parametrize("turn", [False, True])
def test_outlines_of_many_points(turn):
    """A wavy outline of 200 000 points, of which there are 20 000 million pairs."""
    angle = np.linspace(0, 2 * np.pi, 200_000, endpoint=False)
    points = ((500 + 40 * np.cos(31 * angle)) * [np.cos(angle), 0.3 * np.sin(angle)]).T[:, :: -1 if turn else 1]
    find_crossing(points[:10])
    start = time.process_time()
    assert find_crossing(points) is None
    assert time.process_time() - start < 2
    points[[1000, 1001]] = points[[1001, 1000]]
    assert find_crossing(points) in {(999, 1001), (999, 1000), (1000, 1001)}
