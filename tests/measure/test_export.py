"""Meshes as files: complete, closed, with the values of the maps."""

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
from tomostat.measure import (
    MeasureOptions,
    measure_particles,
    write_meshes,
)


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
    path = store(tmp_path / "f.zarr", *three_balls())
    table = measure_particles(path)
    events: list[Event] = []
    execution = Execution(listener=events.append)
    files = write_meshes(path, table, tmp_path / "out", labels=[12, 3, 12], execution=execution)
    assert [file.name for file in files] == ["f-3.ply", "f-12.ply"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["f-12.ply", "f-3.ply"]
    last = events[-1]
    assert (last.stage, last.step, last.done, last.total) == ("mesh", "particles", 1, 1)
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
