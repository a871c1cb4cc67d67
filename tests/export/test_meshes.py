"""Surfaces as files: complete, closed, with the values of the maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from meshes import area_and_volume, closed
from shapes import Spacing
from stores import half_ball, store, three_balls
from tomostat.events import Event
from tomostat.execution import Execution
from tomostat.export import Results, write_formats
from tomostat.export.formats import ply
from tomostat.export.meshes import Columns, Surface
from tomostat.layout import Layout
from tomostat.measure import measure_particles, write_particles
from tomostat.measure.shape.mesh import Mesh

TYPES = {"float": "<f4", "uchar": "u1"}


def read_ply(path: Path) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Vertices as a structured array, and faces, by the header."""
    head, body = path.read_bytes().split(b"end_header\n", 1)
    lines = [line.split() for line in head.decode("ascii").splitlines()]
    assert lines[:2] == [["ply"], ["format", "binary_little_endian", "1.0"]]
    count = {line[1]: int(line[2]) for line in lines if line[0] == "element"}
    names = [(line[2], TYPES[line[1]]) for line in lines if line[0] == "property" and line[1] in TYPES]
    assert ["property", "list", "uchar", "int", "vertex_indices"] in lines
    vertices = np.frombuffer(body, names, count["vertex"])
    faces = np.frombuffer(body, [("n", "u1"), ("corner", "<i4", 3)], count["face"], vertices.nbytes)
    assert len(body) == vertices.nbytes + faces.nbytes
    assert (faces["n"] == 3).all()
    return vertices, faces["corner"].astype(np.int64)


def places_of(vertices: NDArray[Any]) -> NDArray[np.float64]:
    return np.stack([vertices[name] for name in "xyz"], axis=1).astype(np.float64)


def measured(layout: Layout, path: Path) -> Results:
    """A single field, measured, as results to be written."""
    write_particles(layout.particles, measure_particles(path))
    return Results(layout, (path.stem,))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
def test_half_a_ball_in_contact(spacing: Spacing, tmp_path: Path) -> None:
    """Contact at x < 0; the detour is the angle past the equator, over the radius."""
    layout = Layout(tmp_path / "out")
    results = measured(layout, half_ball(layout.volume("half"), spacing))
    (folder,) = write_formats(results, tmp_path / "files", ["ply"])
    assert [file.name for file in folder.iterdir()] == ["half-5.ply"]
    vertices, faces = read_ply(folder / "half-5.ply")
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
    np.testing.assert_array_equal(vertices["s"], vertices["resistance"])
    np.testing.assert_array_equal(vertices["t"], vertices["contact"])
    assert vertices["green"][x < -4].mean() > 2 * vertices["green"][x > 12].mean(), "bright where current enters"


def test_chosen_particles_and_the_border(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "out")
    results = measured(layout, store(layout.volume("f"), *three_balls()))
    events: list[Event] = []
    some = Results(layout, ("f",), (12, 3, 12))
    (folder,) = write_formats(some, tmp_path / "files", ["ply"], execution=Execution(listener=events.append))
    assert sorted(file.name for file in folder.iterdir()) == ["f-12.ply", "f-3.ply"]
    last = events[-1]
    assert (last.stage, last.step, last.done, last.total) == ("export", "ply", 1, 1)
    cut, faces = read_ply(folder / "f-3.ply")
    assert closed(faces)
    flat = places_of(cut)[:, 1] > (60 - 0.6) * 0.2
    assert flat.any()
    assert np.isnan(cut["contact"][flat]).mean() > 0.5
    assert np.isfinite(cut["contact"][~flat]).mean() > 0.95
    loose, _ = read_ply(folder / "f-12.ply")
    assert np.isnan(loose["resistance"]).all()
    with pytest.raises(ValueError, match="no particle 4"):
        write_formats(Results(layout, ("f",), (4,)), tmp_path / "none", ["ply"])
    assert not (tmp_path / "none").exists()
    stl, vtk = write_formats(results, tmp_path / "files", ["stl", "vtk"])
    triangles = np.frombuffer((stl / "f-3.stl").read_bytes()[84:], np.dtype("<3f4, (3,3)<f4, <u2"))
    np.testing.assert_array_equal(triangles["f1"], places_of(cut)[faces].astype("f4"))
    np.testing.assert_allclose(np.linalg.norm(triangles["f0"], axis=1), 1, atol=1e-3)
    assert sorted(file.name for file in vtk.iterdir()) == ["f-12.vtp", "f-3.vtp", "f-7.vtp", "f.vtm"]


def test_encoding_keeps_every_bit() -> None:
    """Without maps a surface has neither values nor colours."""
    mesh = Mesh(np.arange(9, dtype=np.float32).reshape(3, 3), np.array([[0, 2, 1]], np.int32), {})
    text = ply.FORMAT.encode(Surface("f", 1, mesh, {}, Columns({}, (), 1.0)))
    start = b"ply\nformat binary_little_endian 1.0\ncomment particle 1 of field f\ncomment x y z in micrometer\n"
    assert text.startswith(start + b"element vertex 3\nproperty float x\n")
    assert np.frombuffer(text[-49:-13], "<f4").tolist() == list(range(9))
    assert np.frombuffer(text[-12:], "<i4").tolist() == [0, 2, 1]
