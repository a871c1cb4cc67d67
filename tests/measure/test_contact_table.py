"""The table of contacts between particles, and its graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from stores import store
from tomostat.measure import (
    measure_particles,
    open_contacts,
    read_contacts,
    write_contacts,
    write_particles,
)
from tomostat.measure.contact.neighbours import ContactPairs, NearParticle, contact_pairs, face_neighbours
from tomostat.measure.contact_table import contact_table


def test_contacts_of_a_field(tmp_path: Path) -> None:
    """Cubes face to face, with a gap of one voxel, and far apart; and a speck on a cube."""
    labels, phases = np.zeros((32, 32, 90), np.uint32), np.zeros((32, 32, 90), np.uint8)
    labels[8:22, 8:22, 8:22] = 1
    labels[8:22, 8:22, 22:36] = 2
    labels[8:22, 8:22, 37:51] = 3
    labels[8:22, 8:22, 60:74] = 11
    labels[14:16, 14:16, 74:76] = 5
    phases[labels > 0] = 2
    path = store(tmp_path / "f.zarr", labels, phases)
    table = measure_particles(path, field="f", contacts=tmp_path / "contacts.parquet")
    write_particles(tmp_path / "particles.zarr", table)
    graph = open_contacts(tmp_path)
    assert set(graph.nodes) == {("f", label) for label in (1, 2, 3, 5, 11)}
    assert {tuple(sorted(edge)) for edge in graph.edges} == {
        (("f", 1), ("f", 2)), (("f", 2), ("f", 3)), (("f", 5), ("f", 11)),
    }  # fmt: skip
    face = 14 * 14 * 0.04
    assert graph.edges[("f", 1), ("f", 2)]["area"] == pytest.approx(face, rel=0.3)  # normals at edges point past it
    assert graph.edges[("f", 5), ("f", 11)]["area"] < 0.3
    assert [graph.degree[("f", label)] for label in table["label"].values.tolist()] == table[
        "neighbours"
    ].values.tolist()
    node = graph.nodes["f", 3]
    assert node["volume"] == pytest.approx(14**3 * 0.008)
    assert "centroid_x" in node
    touching_area = dict(zip(table["label"].values.tolist(), table["contact_particle"].values.tolist(), strict=True))
    mean = 0.5 * (touching_area[1] + touching_area[2] + touching_area[3])
    assert graph.edges[("f", 1), ("f", 2)]["area"] + graph.edges[("f", 2), ("f", 3)]["area"] == pytest.approx(mean)
    for label in (1, 2, 3, 11):
        assert len(face_neighbours(labels, label)) <= graph.degree[("f", label)]
    lean = open_contacts(tmp_path, columns=["volume"])
    assert set(lean.nodes["f", 1]) == {"volume"}
    with pytest.raises(ValueError, match="'colour' is not in"):
        open_contacts(tmp_path, columns=["colour"])


def pairs_of(area: float) -> ContactPairs:
    """Two particles that touch."""
    near = NearParticle(2, area, joined=True, close=(0, 0, 9))
    return contact_pairs({1: [near]}, {1, 2}, {1: 9.0, 2: 9.0}, (1.0, 1.0, 1.0))


def test_contacts_of_several_fields(tmp_path: Path) -> None:
    one = contact_table("a", pairs_of(3.0))
    two = contact_table("b", pairs_of(8.0))
    write_contacts(tmp_path / "contacts.parquet", [one, two])
    found = read_contacts(tmp_path / "contacts.parquet")
    assert found["field"].to_pylist() == ["a", "b"]
    assert found["area"].to_pylist() == [1.5, 4.0]
    assert found.schema.field("area").metadata[b"units"] == b"micrometer^2"
    assert not list(tmp_path.glob("*.part"))
    with pytest.raises(FileNotFoundError, match="tomostat measure"):
        read_contacts(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"no table")
    with pytest.raises(ValueError, match="is not a table of contacts"):
        read_contacts(tmp_path / "bad.parquet")
    assert pq.read_schema(tmp_path / "contacts.parquet").names == ["field", "a", "b", "area"]
