"""Sections and tracks."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tomostat.instances import Instances
from tomostat.stitch.kernels.tracks import measure_sections, number_tracks


@given(npst.arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3)))
def test_moments_are_those_of_pixels(image: np.ndarray) -> None:
    instances = Instances.from_labels(image, 0)
    sections = measure_sections(instances)
    for i, moments in enumerate(sections.moments):
        y, x = np.nonzero(instances.labels(0) == i + 1)
        expected = [y.mean(), x.mean(), y.var() + 1 / 12, ((y - y.mean()) * (x - x.mean())).mean(), x.var() + 1 / 12]
        np.testing.assert_allclose(moments, expected, atol=1e-5)
        assert sections.position[i] == y[0] * image.shape[1] + x[0]


def test_tracks_are_numbered_by_their_first_instance() -> None:
    following = np.array([2, 4, -1, -1, 5, -1], np.int32)
    track, count = number_tracks(following)
    assert track.tolist() == [0, 1, 0, 2, 1, 1]
    assert count == 3
