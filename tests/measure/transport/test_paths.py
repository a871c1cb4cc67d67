"""Detours over surfaces and through solids against formulas, and distances against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from shapes import CUBIC, SPACINGS, Spacing, ball, places, slotted, turn
from tomostat.measure.shape.distance import distance_to
from tomostat.measure.shape.surface import Surface, extract_surface
from tomostat.measure.transport.geodesic import surface_distance
from tomostat.measure.transport.solid import solid_distance


def polar_angle(surface: Surface, pole: NDArray[np.float64]) -> NDArray[np.float64]:
    centre = np.array(ndimage.center_of_mass(surface.mask)) * surface.spacing
    out = surface.point - centre
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    return np.arccos(np.clip(out @ pole, -1, 1))


def cap_contact(angle: NDArray[np.float64], share: float, radius: float) -> tuple[NDArray[np.float32], NDArray]:
    """Contact on a cap, and each point's angle beyond its rim."""
    beyond = angle - np.arccos(1 - 2 * share)
    return np.clip(0.5 - beyond * radius / 4, 0, 1).astype(np.float32), beyond


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("radius", [20, 40])
def test_surface_path_on_a_ball(radius: int, spacing: Spacing) -> None:
    surface = extract_surface(ball(radius, spacing), spacing)
    contact, beyond = cap_contact(polar_angle(surface, turn(2)[0]), 0.1, radius)
    true = radius * beyond
    far = true > 5 * max(spacing)
    error = surface_distance(surface, contact)[far] / true[far] - 1
    assert abs(error).mean() < (0.007 if spacing == CUBIC else 0.012)
    assert abs(error).max() < (0.04 if spacing == CUBIC else 0.07)
    assert (surface_distance(surface, contact)[contact >= 0.5] == 0).all()


@pytest.mark.parametrize("spacing", SPACINGS)
def test_solid_path_in_a_ball(spacing: Spacing) -> None:
    radius = 40
    mask = ball(radius, spacing)
    surface = extract_surface(mask, spacing)
    contact, beyond = cap_contact(polar_angle(surface, turn(3)[0]), 0.1, radius)
    true = 2 * radius * np.sin(np.maximum(beyond, 0) / 2)
    far = true > 5 * max(spacing)
    error = solid_distance(surface, contact, np.zeros(mask.shape, bool))[far] / true[far] - 1
    assert abs(error).mean() < 0.015


def rims(surface: Surface, radius: int, width: float, normal: NDArray, open_to: NDArray) -> tuple[int, int]:
    """Two points that face each other across a slot's mouth."""
    centre = (np.array(surface.index.shape) - 1) / 2
    place = surface.point - centre
    sides = [open_to * (radius - 0.5) + side * normal * (width / 2 + 1) for side in (-1, 1)]
    first, second = (int(np.argmin(np.linalg.norm(place - side, axis=1))) for side in sides)
    return first, second


@pytest.mark.parametrize("width", [1.5, 2.0, 4.0])
@pytest.mark.parametrize("normal", [(1, 0, 0), (1, 1, 1), (0.7, 0.5, 0.2), (0.1, 0.9, 0.4)])
def test_no_path_jumps_a_crack(width: float, normal: tuple[float, float, float]) -> None:
    radius = 40
    mask, _, across, open_to = slotted(radius, width, np.array(normal, float))
    surface = extract_surface(mask, CUBIC)
    first, second = rims(surface, radius, width, across, open_to)
    contact = np.zeros(len(surface), np.float32)
    contact[first] = 1
    assert 95 < surface_distance(surface, contact)[second] < 108  # down one wall and up the other: 2 x 50


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


def test_without_contact_there_is_no_distance() -> None:
    surface = extract_surface(ball(8), CUBIC)
    none = np.zeros(len(surface), np.float32)
    assert np.isinf(surface_distance(surface, none)).all()
    assert np.isinf(solid_distance(surface, none, np.zeros(surface.mask.shape, bool))).all()


def test_pieces_apart_stay_apart() -> None:
    two = np.zeros((12, 12, 30), np.uint8)
    two[3:9, 3:9, 3:12] = two[3:9, 3:9, 15:27] = 1
    surface = extract_surface(two, CUBIC)
    contact = (surface.voxel[:, 2] < 5).astype(np.float32)
    for distance in (surface_distance(surface, contact), solid_distance(surface, contact, np.zeros(two.shape, bool))):
        assert np.isfinite(distance[surface.voxel[:, 2] < 12]).all()
        assert np.isinf(distance[surface.voxel[:, 2] > 14]).all()


def test_never_longer_than_plain_dijkstra() -> None:
    """A graph of the same steps in scipy, without straightening, gives an upper bound."""
    surface = extract_surface(ball(12), CUBIC)
    contact = np.zeros(len(surface), np.float32)
    contact[0] = 1
    rows = np.repeat(np.arange(len(surface)), np.diff(surface.start))
    near = abs(surface.voxel[rows] - surface.voxel[surface.neighbour]).max(axis=1) <= 1
    rows, columns = rows[near], surface.neighbour[near]
    length = np.linalg.norm(surface.point[rows] - surface.point[columns], axis=1) * 1.05
    graph = csr_array((length, (rows, columns)), shape=(len(surface),) * 2)
    bound = dijkstra(graph, indices=0)
    assert (surface_distance(surface, contact) <= bound + 1e-9).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SPACINGS), st.floats(0.001, 0.3))
def test_distances_are_scipys(seed: int, spacing: Spacing, share: float) -> None:
    target = np.random.default_rng(seed).random((9, 12, 14)) < share
    target[0, 0, 0] = True
    expected = ndimage.distance_transform_edt(~target, sampling=spacing)
    np.testing.assert_allclose(distance_to(target, spacing), expected, rtol=1e-12)


def test_no_target() -> None:
    assert np.isinf(distance_to(np.zeros((2, 3, 4), bool), CUBIC)).all()
