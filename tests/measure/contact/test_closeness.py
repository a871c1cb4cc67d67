"""How close two particles come: against brute force, and gaps of balls that are known."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tomostat.measure.contact.closeness import ball_gap, closeness, reduced_radius

Spacing = tuple[float, float, float]


def two_balls(radii: tuple[float, float], gap: float, seed: int, spacing: Spacing) -> NDArray[np.uint8]:
    """Labels of two balls with a gap between them, in any direction; where they overlap, of the nearer centre."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    first = sum(radii) + 3 + rng.uniform(0, 1, 3) * spacing
    second = first + (sum(radii) + gap) * direction
    size = first + sum(radii) * 2 + 3
    grid = [np.arange(math.ceil(n / s)) * s for n, s in zip(size, spacing, strict=True)]
    depth = [
        r - np.sqrt(sum((g - c) ** 2 for g, c in zip(np.ix_(*grid), centre, strict=True)))
        for r, centre in zip(radii, (first, second), strict=True)
    ]
    return np.where(np.maximum(*depth) <= 0, 0, np.where(depth[0] > depth[1], 1, 2)).astype(np.uint8)


def gap_of(labels: NDArray[np.uint8], radii: tuple[float, float], spacing: Spacing) -> float:
    (close,) = closeness(labels, 1, np.array([2], np.uint32))
    return ball_gap(close, reduced_radius(*radii), spacing)


@given(st.integers(0, 10_000))
def test_closeness_against_brute_force(seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 4, (5, 6, 7)).astype(np.uint32)
    expected = np.zeros((2, 3), int)
    for place in np.argwhere(labels == 1):
        for axis, sign in product(range(3), (-1, 1)):
            step = sign * np.eye(3, dtype=int)[axis]
            met = [labels[tuple(p)] for p in (place + step, place + 2 * step) if ((0 <= p) & (p < labels.shape)).all()]
            if met and met[0] in (2, 3):
                expected[met[0] - 2, axis] += 2
            elif len(met) == 2 and met[0] == 0 and met[1] in (2, 3):
                expected[met[1] - 2, axis] += 1
    np.testing.assert_array_equal(closeness(labels, 1, np.array([2, 3], np.uint32)), expected)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.5, 1.0, 1.0)])
@pytest.mark.parametrize("radii", [(20.0, 20.0), (14.0, 28.0)])
def test_gaps_of_balls_to_a_fraction_of_a_voxel(radii: tuple[float, float], spacing: Spacing) -> None:
    gaps = np.tile([-0.15, 0.0, 0.2, 0.5], 6)
    found = [gap_of(two_balls(radii, gap, seed, spacing), radii, spacing) for seed, gap in enumerate(gaps)]
    error = np.array(found) - gaps
    assert abs(error.mean()) < 0.04
    assert error.std() < 0.09


def test_flat_and_distant_particles() -> None:
    labels = np.zeros((12, 40, 40), np.uint8)
    labels[:6], labels[6:] = 1, 2
    assert gap_of(labels, (10.0, 10.0), (1.0, 1.0, 1.0)) < 0
    labels[4:8] = 0
    assert gap_of(labels, (10.0, 10.0), (1.0, 1.0, 1.0)) == math.inf
