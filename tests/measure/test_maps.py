"""Maps over the surfaces of particles, and the contacts between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from ome_zarr_models import open_ome_zarr
from ome_zarr_models.v05 import Image as OmeImage
from test_measure import balls, store

import tomostat.measure.maps as maps
import tomostat.measure.particles as particles
from shapes import ball
from tomostat.info import describe_path
from tomostat.measure import measure_particles, open_contacts, write_particles
from tomostat.measure.contact.neighbours import contact_pairs, count_contacts, touched_areas, touching
from tomostat.measure.contact_table import contact_table, read_contacts, write_contacts
from tomostat.measure.options import MeasureOptions
from tomostat.measure.shape.points import SurfacePoints, blocks_of_boxes, fill_block, split_by_block
from tomostat.measure.shape.surface import extract_surface
from tomostat.volume import describe, halve_sparse, label_names, map_names, open_volume, read_box

Image = NDArray[Any]


def whole(path: Path, name: str, level: int = 0) -> Image:
    z, y, x = (slice(0, n) for n in describe(path, name).levels[level])
    return read_box(path, (z, y, x), name, level)


def half_ball(path: Path, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Path:
    """A ball of radius 16 voxels along x whose half at x < 0 lies in carbon-binder."""
    shape = tuple(int(40 / s) + 10 for s in spacing)
    z, y, x = (
        ((np.arange(n) - (n - 1) / 2) * s)[(...,) + (None,) * (2 - a)]
        for a, (n, s) in enumerate(zip(shape, spacing, strict=True))
    )
    inside = z**2 + y**2 + x**2 <= 16**2
    phases = np.where(inside, 2, np.where(np.broadcast_to(x < 0, shape), 1, 0)).astype(np.uint8)
    return store(path, 5 * inside.astype(np.uint32), phases, spacing=spacing)


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    path = store(tmp_path_factory.mktemp("maps") / "field.zarr", *balls())
    return path, measure_particles(path, contacts=path.with_name("contacts.parquet"))


def test_maps_are_images_beside_the_labels(field: tuple[Path, Any]) -> None:
    path, _ = field
    for name in ("resistance", "contact"):
        image = open_ome_zarr(path / "maps" / name)
        assert isinstance(image, OmeImage)
        info, grey = describe(path, f"maps/{name}"), describe(path)
        assert (info.shape, info.shards, info.chunks, info.levels) == (
            grey.shape,
            grey.shards,
            grey.chunks,
            grey.levels,
        )
        assert info.dtype == np.float32
        assert info.spacing == grey.spacing
        assert info.attributes["units"] == "1"
        assert open_volume(path, f"maps/{name}").attrs["long_name"]
    assert label_names(path) == ["particles", "phases"]
    assert map_names(path) == ["maps/contact", "maps/resistance"]
    assert "maps/contact: 40 x 60 x 110 voxels of 0.2 x 0.2 x 0.2 micrometer, float32" in describe_path(path)
    assert not list(path.parent.glob("*points*"))


def test_maps_lie_on_the_surface_and_agree_with_the_table(field: tuple[Path, Any]) -> None:
    path, table = field
    labels, contact, resistance = (whole(path, name) for name in ("particles", "maps/contact", "maps/resistance"))
    inner = np.pad(labels, 1, mode="edge")
    faces = [np.roll(inner, s, a)[1:-1, 1:-1, 1:-1] for a in range(3) for s in (-1, 1)]
    boundary = (labels > 0) & np.any([face != labels for face in faces], axis=0)
    np.testing.assert_array_equal(np.isfinite(contact) & ~boundary, False)
    assert (np.isfinite(contact) == boundary).mean() > 0.999  # at the field's edge some see nothing
    for label, detachment, mean, most in zip(
        *(table[name].to_numpy() for name in ("label", "detachment", "resistance_mean", "resistance_max")), strict=True
    ):
        own = labels == label
        assert 1 - np.nanmean(contact[own]) == pytest.approx(detachment, abs=0.02)
        if np.isnan(mean):
            assert np.isnan(resistance[own]).all()
        else:
            assert np.nanmean(resistance[own]) == pytest.approx(mean, abs=0.02)
            assert np.nanmax(resistance[own]) == pytest.approx(most, rel=1e-6)


def test_coarser_levels_keep_the_surface(field: tuple[Path, Any]) -> None:
    path, _ = field
    fine, coarse = whole(path, "maps/contact"), whole(path, "maps/contact", 1)
    shape = coarse.shape
    split = fine[tuple(slice(0, 2 * n) for n in shape)].reshape(shape[0], 2, shape[1], 2, shape[2], 2)
    known = np.isfinite(split).any(axis=(1, 3, 5))
    np.testing.assert_array_equal(np.isfinite(coarse), known)
    total = np.nansum(split, axis=(1, 3, 5)) / np.maximum(np.isfinite(split).sum(axis=(1, 3, 5)), 1)
    np.testing.assert_allclose(coarse[known], total[known], atol=1e-6)
    nothing = halve_sparse(np.full((1, 4, 4), np.nan, np.float32), (1, 2, 2))
    assert np.isnan(nothing).all()


def same_maps(first: Path, second: Path) -> None:
    for name in ("maps/resistance", "maps/contact"):
        for level in range(len(describe(first, name).levels)):
            np.testing.assert_array_equal(whole(first, name, level), whole(second, name, level))


@pytest.mark.parametrize("size", [(16, 16, 32), (64, 64, 128)])
def test_blocks_and_batches_change_nothing(
    field: tuple[Path, Any], size: tuple[int, int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(particles, "BATCH_VOXELS", size[0] * 2500)
    monkeypatch.setattr("tomostat.volume.CHUNK", tuple(n // 2 for n in size))
    monkeypatch.setattr("tomostat.volume.SHARD", size)
    path = store(tmp_path / "field.zarr", *balls())
    measure_particles(path, contacts=tmp_path / "contacts.parquet")
    same_maps(path, field[0])
    assert read_contacts(tmp_path / "contacts.parquet").equals(read_contacts(field[0].with_name("contacts.parquet")))


def test_an_interrupted_measurement_goes_on(
    field: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tomostat.volume.CHUNK", (16, 16, 16))
    monkeypatch.setattr("tomostat.volume.SHARD", (16, 32, 32))
    path, markers = store(tmp_path / "field.zarr", *balls()), tmp_path / "markers"
    write, calls = maps._write_block, []

    def stumble(*given: Any) -> int:
        calls.append(given)
        if len(calls) > 4:
            raise OSError("no space left on device")
        return write(*given)

    monkeypatch.setattr(maps, "_write_block", stumble)
    with pytest.raises(OSError, match="no space"):
        measure_particles(path, markers=markers)
    assert list((markers / "points").iterdir())
    monkeypatch.setattr(maps, "_write_block", write)
    monkeypatch.setattr(particles, "measure_box", None)  # it must not be called again
    measure_particles(path, markers=markers)
    assert not (markers / "points").exists()
    same_maps(path, field[0])


def test_maps_can_be_left_out(tmp_path: Path) -> None:
    path = half_ball(tmp_path / "f.zarr")
    measure_particles(path)
    assert (path / "maps" / "contact").is_dir()
    measure_particles(path, options=MeasureOptions(maps=False))
    assert not (path / "maps" / "contact").exists()
    with pytest.raises(ValueError, match="no maps of"):
        maps.check_maps(path)


def test_a_field_without_particles_has_empty_maps(tmp_path: Path) -> None:
    nothing = np.zeros((8, 9, 10), np.uint32)
    path = store(tmp_path / "f.zarr", nothing, nothing.astype(np.uint8))
    measure_particles(path, contacts=tmp_path / "c.parquet")
    assert np.isnan(whole(path, "maps/resistance")).all()
    assert len(read_contacts(tmp_path / "c.parquet")) == 0


def test_points_by_block(tmp_path: Path) -> None:
    """Against one voxel after the other."""
    rng = np.random.default_rng(3)
    image = np.full((20, 30, 25), np.nan, np.float32)
    voxel = np.unique(rng.integers(0, image.shape, (500, 3)), axis=0)
    rng.shuffle(voxel)
    value = rng.random(len(voxel), np.float32)
    image[tuple(voxel.T)] = value
    size = (8, 16, 16)
    parts = split_by_block(voxel, size)
    assert list(parts) == sorted(parts)
    maps.write_points(tmp_path / "p.parquet", SurfacePoints(voxel, value, -value), size)
    padded = np.pad(image, [(0, -n % s) for n, s in zip(image.shape, size, strict=True)], constant_values=np.nan)
    for index, (rows, place) in parts.items():
        box = tuple(slice(i * s, (i + 1) * s) for i, s in zip(index, size, strict=True))
        np.testing.assert_array_equal(fill_block(size, place, value[rows]), padded[box])
        table = maps.read_points(tmp_path / "p.parquet", index)
        np.testing.assert_array_equal(table["contact"].to_numpy(), -value[rows])
    assert len(maps.read_points(tmp_path / "p.parquet", (9, 9, 9))) == 0
    boxes = np.array([[[0, 0, 0], [8, 16, 17]], [[9, 20, 3], [10, 21, 4]]])
    assert blocks_of_boxes(boxes, size) == {(0, 0, 0), (0, 0, 1), (1, 1, 0)}


def test_areas_go_to_the_particles_touched() -> None:
    """Two caps of a ball: each area is that of its cap."""
    mask = ball(20, margin=6)
    z, _, x = np.indices(mask.shape) - np.array(mask.shape)[:, None, None, None] // 2
    labels = np.where(mask > 0, 4, np.where(x > 12, 9, np.where((z < -14) & (x < 0), 2, 0))).astype(np.uint32)
    surface = extract_surface(mask, (1.0, 1.0, 1.0))
    point = surface.point - np.array(mask.shape) // 2
    beyond = point + 1.2 * surface.normal
    particle = (beyond[:, 2] > 12) | ((beyond[:, 0] < -14) & (beyond[:, 2] < 0))
    found = dict(touched_areas(surface, labels, 4, particle, 1.2))
    assert set(found) == {2, 9}
    assert found[9] == pytest.approx(surface.area[beyond[:, 2] > 12].sum(), rel=0.03)
    assert sum(found.values()) == pytest.approx(surface.area[particle].sum(), rel=1e-5)
    alone = np.where(labels == 4, labels, 0)
    assert touched_areas(surface, alone, 4, particle, 1.2) == []


def test_pairs_against_brute_force() -> None:
    touched = {1: [(2, 3.0), (4, 1.0)], 2: [(1, 5.0)], 3: [(4, 0.0)], 4: [(1, float("nan"))], 6: [(7, float("nan"))]}
    a, b, area = contact_pairs(touched, {1, 2, 3})
    assert list(zip(a.tolist(), b.tolist(), strict=True)) == [(1, 2), (1, 4), (3, 4), (6, 7)]
    np.testing.assert_array_equal(area, [4.0, 1.0, 0.0, np.nan])
    assert count_contacts(np.array([1, 2, 3, 4, 5, 6, 7], np.uint32), a, b).tolist() == [2, 1, 1, 2, 0, 1, 1]
    none = contact_pairs({}, set())
    assert [len(values) for values in none] == [0, 0, 0]


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
    assert graph.edges[("f", 1), ("f", 2)]["area"] == pytest.approx(face, rel=0.3)  # sharp edges look aside
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
        assert len(touching(labels, label)) <= graph.degree[("f", label)]
    lean = open_contacts(tmp_path, columns=["volume"])
    assert set(lean.nodes["f", 1]) == {"volume"}
    with pytest.raises(ValueError, match="'colour' is not in"):
        open_contacts(tmp_path, columns=["colour"])


def test_contacts_of_several_fields(tmp_path: Path) -> None:
    one = contact_table("a", *contact_pairs({1: [(2, 3.0)]}, {1, 2}))
    two = contact_table("b", *contact_pairs({1: [(2, 8.0)]}, {1, 2}))
    write_contacts(tmp_path / "contacts.parquet", [one, two])
    found = read_contacts(tmp_path / "contacts.parquet")
    assert found["field"].to_pylist() == ["a", "b"]
    assert found["area"].to_pylist() == [1.5, 4.0]
    assert found.schema.field("area").metadata[b"units"] == b"micrometer^2"
    assert not list(tmp_path.glob("*.part"))
    with pytest.raises(FileNotFoundError, match="tomostat measure"):
        read_contacts(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"no table")
    with pytest.raises(ValueError, match="no table of contacts"):
        read_contacts(tmp_path / "bad.parquet")
    assert pq.read_schema(tmp_path / "contacts.parquet").names == ["field", "a", "b", "area"]
