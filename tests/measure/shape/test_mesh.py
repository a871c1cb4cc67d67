"""Meshes of particles: closed, facing outwards, of the right size, with the right values; and their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from test_measure import balls, store
from test_measure_maps import half_ball

from shapes import SPACINGS, Spacing, ball
from tomostat.measure import measure_particles, write_meshes
from tomostat.measure.options import MeasureOptions
from tomostat.measure.shape.mesh import Mesh, encode_ply, particle_mesh


def read_ply(path: Path) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Vertices as a structured array, and faces, by the header."""
    head, body = path.read_bytes().split(b"end_header\n", 1)
    lines = [line.split() for line in head.decode("ascii").splitlines()]
    assert lines[:2] == [["ply"], ["format", "binary_little_endian", "1.0"]]
    count = {line[1]: int(line[2]) for line in lines if line[0] == "element"}
    names = [line[2] for line in lines if line[:2] == ["property", "float"]]
    assert ["property", "list", "uchar", "int", "vertex_indices"] in lines
    vertices = np.frombuffer(body, [(name, "<f4") for name in names], count["vertex"])
    faces = np.frombuffer(body, [("n", "u1"), ("corner", "<i4", 3)], count["face"], vertices.nbytes)
    assert len(body) == vertices.nbytes + faces.nbytes
    assert (faces["n"] == 3).all()
    return vertices, faces["corner"].astype(np.int64)


def places_of(vertices: NDArray[Any]) -> NDArray[np.float64]:
    return np.stack([vertices[name] for name in "xyz"], axis=1).astype(np.float64)


def closed(faces: NDArray[Any]) -> bool:
    """Every edge runs once in either direction: closed, and all faces turn the same way."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forth, counts = np.unique(edges, axis=0, return_counts=True)
    back = np.unique(edges[:, ::-1], axis=0)
    return bool((counts == 1).all() and np.array_equal(forth, back))


def area_and_volume(place: NDArray[np.float64], faces: NDArray[Any]) -> tuple[float, float]:
    """Area, and volume that is positive where faces look outwards."""
    a, b, c = (place[faces[:, k]] - place.mean(axis=0) for k in range(3))
    cross = np.cross(b - a, c - a)
    return float(np.linalg.norm(cross, axis=1).sum() / 2), float((a * np.cross(b, c)).sum() / 6)


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


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
def test_half_a_ball_in_contact(spacing: Spacing, tmp_path: Path) -> None:
    """Contact at x < 0; the detour is the angle past the equator, over the radius."""
    path = half_ball(tmp_path / "half.zarr", spacing)
    files = write_meshes(path, measure_particles(path), tmp_path / "meshes")
    assert [file.name for file in files] == ["half-5.ply"]
    vertices, faces = read_ply(files[0])
    place = places_of(vertices)
    assert closed(faces)
    area, volume = area_and_volume(place, faces)
    assert area == pytest.approx(4 * np.pi * 16**2, rel=0.02)
    assert volume == pytest.approx(4 / 3 * np.pi * 16**3, rel=0.02)
    middle = [(int(40 / s) + 9) / 2 * s for s in spacing[::-1]]
    np.testing.assert_allclose((place.min(axis=0) + place.max(axis=0)) / 2, middle, atol=0.5)
    x = place[:, 0] - middle[0]
    assert (vertices["contact"][x < -4] > 0.9).mean() > 0.97
    assert (vertices["contact"][x > 4] < 0.1).mean() > 0.97
    assert vertices["resistance"][x < -4].mean() < 0.02
    far = x > 4
    true = np.arcsin(np.clip(x[far] / 16, -1, 1))
    assert np.corrcoef(vertices["resistance"][far], true)[0, 1] > 0.98
    assert abs(vertices["resistance"][far] - true).mean() < 0.12


def test_chosen_particles_and_the_border(tmp_path: Path) -> None:
    path = store(tmp_path / "f.zarr", *balls())
    table = measure_particles(path)
    seen: list[tuple[str, int, int]] = []
    files = write_meshes(path, table, tmp_path / "out", labels=[12, 3, 12], progress=lambda *given: seen.append(given))
    assert [file.name for file in files] == ["f-3.ply", "f-12.ply"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["f-12.ply", "f-3.ply"]
    assert seen[-1] == ("meshes", 1, 1)
    cut, faces = read_ply(files[0])
    assert closed(faces)
    flat = places_of(cut)[:, 1] > (60 - 0.6) * 0.2
    assert flat.any()
    assert np.isnan(cut["contact"][flat]).mean() > 0.5
    assert np.isfinite(cut["contact"][~flat]).mean() > 0.95
    loose, _ = read_ply(files[1])
    assert np.isnan(loose["resistance"]).all()
    with pytest.raises(ValueError, match="no particle 4; labels go from 3 to 12"):
        write_meshes(path, table, tmp_path / "none", labels=[4])
    measure_particles(path, options=MeasureOptions(maps=False))
    with pytest.raises(ValueError, match="--maps"):
        write_meshes(path, table, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_encoding_keeps_every_bit() -> None:
    mesh = Mesh(
        np.arange(9, dtype=np.float32).reshape(3, 3), np.array([[0, 2, 1]], np.int32), {"a": np.ones(3, np.float32)}
    )
    text = encode_ply(mesh, ["one", "two"])
    assert text.startswith(b"ply\nformat binary_little_endian 1.0\ncomment one\ncomment two\nelement vertex 3\n")
    assert text.endswith(b"end_header\n" + text[-(3 * 16 + 13) :])
    assert np.frombuffer(text[-12:], "<i4").tolist() == [0, 2, 1]
