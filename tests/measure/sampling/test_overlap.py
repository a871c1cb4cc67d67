"""Particles of overlapping fields: which are the same, and which row counts."""

from __future__ import annotations

import numpy as np
import pytest

from shapes import places
from tomostat.measure.sampling.overlap import duplicates, match_fields, shared_volume


def test_fields_side_by_side_share_nothing() -> None:
    """Particles that touch across the border of two fields remain two."""
    first = np.array([[0.0, 0.0, 5.0, 2.0], [0.0, 6.0, 5.0, 2.0]])
    assert match_fields(first, first + np.array([0, 0, 4.0, 0])).size == 0
    assert match_fields(first, first + np.array([0, 0.3, 0.3, 0.1])).tolist() == [[0, 0], [1, 1]]
    assert match_fields(first, first[::-1]).tolist() == [[0, 1], [1, 0]]
    assert match_fields(first, first[:0]).shape == (0, 2)


def test_the_better_view_is_kept() -> None:
    place = np.repeat([[0.0], [0.1], [0.2]], 3, axis=1)
    radius = np.array([2.1, 1.8, 2.0])
    field = np.arange(3)
    flags = duplicates(field, place, radius, np.array([True, False, False]))
    assert flags.tolist() == [True, True, False]  # not cut, then the larger
    assert duplicates(field, place, radius, np.ones(3, bool)).tolist() == [False, True, True]
    assert duplicates(field[:0], place[:0], radius[:0], np.ones(0, bool)).tolist() == []


def test_two_particles_of_one_field_are_never_fused() -> None:
    """Through a third field both may be chained together: the field that shows two keeps two."""
    place = np.array([[0.0, 0, 0], [0, 0, 1.1], [0, 0, 0.0], [0, 0, 1.1], [0, 0, 0.55]])
    flags = duplicates(np.array([0, 0, 1, 1, 2]), place, np.array([0.6, 0.6, 0.5, 0.5, 0.55]), np.zeros(5, bool))
    assert flags.tolist() == [False, False, True, True, True]


@pytest.mark.parametrize(("distance", "r", "s"), [(0.0, 8, 8), (3.0, 8, 5), (2.0, 8, 5), (7.0, 8, 8), (15.9, 8, 8)])
def test_shared_volume(distance: float, r: float, s: float) -> None:
    z, y, x = places((101, 101, 141), (0.2, 0.2, 0.2))
    both = (z**2 + y**2 + x**2 <= r**2) & (z**2 + y**2 + (x - distance) ** 2 <= s**2)
    found = shared_volume(np.array([distance]), np.array([float(r)]), np.array([float(s)]))[0]
    assert found == pytest.approx(both.sum() * 0.008, rel=0.01, abs=1)
