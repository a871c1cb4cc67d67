"""Meshes of particles: closed, facing outwards, of the right size; and their encoding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from meshes import area_and_volume, closed
from shapes import SPACINGS, Spacing, ball
from tomostat.measure.shape.mesh import Mesh, particle_mesh


def mesh_of(mask: NDArray[Any], spacing: Spacing = (1.0, 1.0, 1.0)) -> Mesh:
    return particle_mesh(mask, 1, {}, spacing)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_ball(spacing: Spacing) -> None:
    mesh = mesh_of(ball(20, spacing), spacing)
    place = mesh.vertex.astype(np.float64)
    area, volume = area_and_volume(place, mesh.face)
    assert closed(mesh.face)
    assert area == pytest.approx(4 * np.pi * 20**2, rel=0.02)
    assert volume == pytest.approx(4 / 3 * np.pi * 20**3, rel=0.02)
    extent = np.ptp(place, axis=0)
    np.testing.assert_allclose(extent, 40, atol=1.5)


def test_thin_and_rough_shapes_are_closed() -> None:
    flake = np.zeros((7, 30, 30), np.uint8)
    flake[3, 4:26, 4:26] = 1
    mesh = mesh_of(flake)
    assert closed(mesh.face)
    area, volume = area_and_volume(mesh.vertex.astype(np.float64), mesh.face)
    assert volume > 0
    assert area == pytest.approx(2 * 22**2, rel=0.25)
    cracked = ball(15)
    cracked[:, :, cracked.shape[2] // 2][:, cracked.shape[1] // 2 :] = 0
    whole = mesh_of(ball(15))
    assert len(mesh_of(cracked).face) > 1.1 * len(whole.face)
    rough = ndimage.gaussian_filter(np.random.default_rng(1).random((30, 30, 30)), 1.5) > 0.5
    rough, _ = ndimage.label(rough)
    for label in range(1, 4):
        mesh = particle_mesh(rough, label, {}, (1.0, 1.0, 1.0))
        edges = np.sort(np.concatenate([mesh.face[:, [0, 1]], mesh.face[:, [1, 2]], mesh.face[:, [2, 0]]]), axis=1)
        assert (np.unique(edges, axis=0, return_counts=True)[1] % 2 == 0).all()
        assert area_and_volume(mesh.vertex.astype(np.float64), mesh.face)[1] > 0
    with pytest.raises(ValueError, match="no particle 9"):
        particle_mesh(flake, 9, {}, (1.0, 1.0, 1.0))


def test_voids_inside_are_filled() -> None:
    hollow = ball(12)
    middle = tuple(n // 2 for n in hollow.shape)
    hollow[middle[0] - 3 : middle[0] + 3, middle[1] - 3 : middle[1] + 3, middle[2] - 3 : middle[2] + 3] = 0
    np.testing.assert_array_equal(mesh_of(hollow).vertex, mesh_of(ball(12)).vertex)
