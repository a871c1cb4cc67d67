"""Detours over the surface against formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from shapes import CUBIC, SPACINGS, Spacing, ball, slotted, turn
from surfaces import cap_contact, polar_angle, rims
from tomostat.measure.shape.surface import extract_surface
from tomostat.measure.transport.geodesic import surface_distance
from tomostat.measure.transport.solid import solid_distance


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
