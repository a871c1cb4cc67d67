"""True detours: theory on a ball, and on a box whose faces unfold."""

from __future__ import annotations

import numpy as np
import pytest

from tomostat.phantom.detour import surface_detour
from tomostat.phantom.kernels.shape import even_directions


@pytest.mark.parametrize("degrees", [20, 60, 110, 155])
@pytest.mark.parametrize("count", [2000, 6000])
def test_detour_over_a_cap_without_contact(degrees, count):
    """Mean (t - sin t) / 2 over a ball of radius 1, largest t."""
    points, angle = np.asarray(even_directions(count)), np.radians(degrees)
    axis = np.array([0.48, 0.6, 0.64])
    found = surface_detour(points, np.full(count, 4 * np.pi / count), points @ axis < np.cos(angle))
    assert found.mean() == pytest.approx((angle - np.sin(angle)) / 2, rel=0.02, abs=0.002)
    assert found.max() == pytest.approx(angle, abs=0.07)


def test_detour_over_an_edge():
    """The way from the bottom of a box to the middle of its top is half the side and the height."""
    side, height, step = 20, 10, 0.25
    grid = np.arange(step / 2, side, step)
    a, b = (m.ravel() for m in np.meshgrid(grid, grid))
    rise = np.arange(step / 2, height, step)
    c, d = (m.ravel() for m in np.meshgrid(grid, rise))
    low, high = np.zeros_like(c), np.full_like(c, side)
    floor, top = np.stack([a, b, np.zeros_like(a)], 1), np.stack([a, b, np.full_like(a, height)], 1)
    walls = [np.stack(w, 1) for w in ((low, c, d), (high, c, d), (c, low, d), (c, high, d))]
    points = np.concatenate([floor, top, *walls])
    found = surface_detour(points, np.full(len(points), step**2), points[:, 2] == 0)
    middle = np.argmin(np.linalg.norm(points - [side / 2, side / 2, height], axis=1))
    assert found[middle] == pytest.approx(side / 2 + height, rel=0.03)
    assert found[len(floor) :].max() == found[middle]


def test_without_contact_there_is_no_way():
    points = np.asarray(even_directions(100))
    assert np.isinf(surface_detour(points, np.ones(100), np.zeros(100, bool))).all()
    assert (surface_detour(points, np.ones(100), np.ones(100, bool)) == 0).all()
