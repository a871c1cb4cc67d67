"""Detours through the solid against formulas."""

from __future__ import annotations

import numpy as np
import pytest

from shapes import CUBIC, SPACINGS, Spacing, ball, places, slotted, turn
from surfaces import cap_contact, polar_angle, rims
from tomostat.measure.shape.surface import extract_surface
from tomostat.measure.transport.geodesic import surface_distance
from tomostat.measure.transport.solid import solid_distance


@pytest.mark.parametrize(
    "spacing", [*(pytest.param(one, marks=pytest.mark.slow) for one in SPACINGS[:-1]), SPACINGS[-1]]
)
def test_solid_path_in_a_ball(spacing: Spacing) -> None:
    radius = 40
    mask = ball(radius, spacing)
    surface = extract_surface(mask, spacing)
    contact, beyond = cap_contact(polar_angle(surface, turn(3)[0]), 0.1, radius)
    true = 2 * radius * np.sin(np.maximum(beyond, 0) / 2)
    far = true > 5 * max(spacing)
    error = solid_distance(surface, contact, np.zeros(mask.shape, bool))[far] / true[far] - 1
    assert abs(error).mean() < 0.015


@pytest.mark.slow
@pytest.mark.parametrize("normal", [(1, 0, 0), (1, 1, 1), (0.7, 0.5, 0.2)])
def test_no_path_through_the_solid_crosses_a_crack(normal: tuple[float, float, float]) -> None:
    """The crack is inside the filled particle: the surface goes over its mouth, the way through the solid around it."""
    radius, width = 40, 1.5
    open_ball, _, across, open_to = slotted(radius, width, np.array(normal, float))
    z, y, x = places(open_ball.shape)
    filled = (z**2 + y**2 + x**2 <= radius**2).astype(np.uint8)
    surface = extract_surface(filled, CUBIC)
    first, second = rims(surface, radius, 4.0, across, open_to)
    contact = np.zeros(len(surface), np.float32)
    contact[first] = 1
    crack = (filled > 0) & (open_ball == 0)
    assert 95 < solid_distance(surface, contact, crack)[second] < 106
    assert solid_distance(surface, contact, np.zeros_like(crack))[second] < 8
    assert surface_distance(surface, contact)[second] < 8


@pytest.mark.slow
def test_solid_path_on_a_finer_grid() -> None:
    values = []
    for fine in (1, 2):
        spacing = (1 / fine,) * 3
        z, y, x = places((60 * fine,) * 3, spacing)
        mask = (z**2 + y**2 + x**2 <= 24**2).astype(np.uint8)
        crack = np.broadcast_to((abs(z + 0.3 * y) < 1.5) & (x > -8), mask.shape) & (mask > 0)
        surface = extract_surface(mask, spacing)
        contact, _ = cap_contact(polar_angle(surface, np.array([1.0, 0, 0])), 0.1, 24)
        distance = solid_distance(surface, contact, crack)
        good = np.isfinite(distance) & (polar_angle(surface, np.array([1.0, 0, 0])) > 1)
        values.append(np.average(distance[good], weights=surface.area[good]))
    assert values[0] == pytest.approx(values[1], rel=0.015)
