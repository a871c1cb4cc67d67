"""Coarse surfaces: closed, of the right size, with the values of the maps, and as few bytes."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from tomostat.report.kernels.surface import STEPS, UNKNOWN, Surface, coarse_surface

MIDDLE, REACH = (15.5, 15.5, 15.5), (14.0, 14.0, 14.0)


def ball(radius: float = 10.0) -> tuple[np.ndarray, np.ndarray]:
    z, y, x = np.indices((32, 32, 32)) - 15.5
    distance = np.sqrt(z**2 + y**2 + x**2)
    own = distance < radius
    height = np.where(own & (distance > radius - 1.5), (z / radius + 1) / 2, np.nan).astype(np.float32)
    return own, height


def decode(data: bytes) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """What the page makes of the bytes: corners, values, triangles."""
    plain = zlib.decompress(data)
    corners, triangles = np.frombuffer(plain, "<u2", 2)
    bytes_of = np.frombuffer(plain, np.uint8, 5 * int(corners), 4).reshape(5, corners)
    steps = np.frombuffer(plain, "<u2", 3 * int(triangles), 4 + 5 * int(corners)).reshape(3, triangles)
    return bytes_of[:3].T, list(bytes_of[3:]), (np.cumsum(steps, axis=1) & 0xFFFF).T


def made() -> Surface:
    own, height = ball()
    surface = coarse_surface(own, [(height, 1.0), (np.full(own.shape, np.nan, np.float32), 1.0)], MIDDLE, REACH, 20)
    assert surface is not None
    return surface


def test_surface_of_a_ball() -> None:
    surface = made()
    radius = np.linalg.norm((surface.vertex / 255 - 0.5) * 28, axis=1)
    assert radius.mean() == pytest.approx(10.0, abs=0.3)
    assert radius.std() < 0.3
    edges = np.sort(surface.face[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    assert set(np.unique(edges, axis=0, return_counts=True)[1]) == {2}
    z = (surface.vertex[:, 2] / 255 - 0.5) * 28
    np.testing.assert_allclose(surface.values[0] / STEPS, (z / 10 + 1) / 2, atol=0.12)
    assert (surface.values[1] == UNKNOWN).all()


def test_triangles_face_outwards() -> None:
    surface = made()
    corner = surface.vertex.astype(float)[surface.face] - 127.5
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    outwards = (normal * corner.mean(axis=1)).sum(axis=1)
    assert (outwards > 0).mean() > 0.99


def test_bytes_come_back() -> None:
    surface = made()
    corners, values, triangles = decode(surface.encode())
    np.testing.assert_array_equal(corners, surface.vertex)
    np.testing.assert_array_equal(triangles, surface.face)
    np.testing.assert_array_equal(values, surface.values)
    assert len(surface.encode()) < 0.8 * (surface.vertex.size + surface.face.nbytes)


def test_a_particle_finer_than_the_grid_has_none() -> None:
    own = np.zeros((32, 32, 32), bool)
    own[15, 15, 15] = True
    assert coarse_surface(own, [], MIDDLE, REACH, 8) is None
