"""Maps over the surfaces of particles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ome_zarr_models import open_ome_zarr
from ome_zarr_models.v05 import Image as OmeImage

import tomostat.measure.batches as batches
import tomostat.measure.maps as maps
import tomostat.measure.tasks as tasks
import tomostat.volume.store as volumes
from stores import half_ball, read_whole, store, three_balls
from tomostat.execution import Execution
from tomostat.info import describe_path
from tomostat.measure import (
    MeasureOptions,
    measure_particles,
    read_contacts,
)
from tomostat.volume import describe, halve_sparse, label_names, map_names, open_volume


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    path = store(tmp_path_factory.mktemp("maps") / "field.zarr", *three_balls())
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
    labels, contact, resistance = (read_whole(path, name) for name in ("particles", "maps/contact", "maps/resistance"))
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
    fine, coarse = read_whole(path, "maps/contact"), read_whole(path, "maps/contact", 1)
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
            np.testing.assert_array_equal(read_whole(first, name, level), read_whole(second, name, level))


@pytest.mark.parametrize("size", [pytest.param((16, 16, 32), marks=pytest.mark.slow), (64, 64, 128)])
def test_blocks_and_batches_change_nothing(
    field: tuple[Path, Any], size: tuple[int, int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_VOXELS", size[0] * 2500)
    monkeypatch.setattr(volumes, "CHUNK", tuple(n // 2 for n in size))
    monkeypatch.setattr(volumes, "SHARD", size)
    path = store(tmp_path / "field.zarr", *three_balls())
    measure_particles(path, contacts=tmp_path / "contacts.parquet")
    same_maps(path, field[0])
    assert read_contacts(tmp_path / "contacts.parquet").equals(read_contacts(field[0].with_name("contacts.parquet")))


@pytest.mark.slow
def test_an_interrupted_measurement_goes_on(
    field: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volumes, "CHUNK", (16, 16, 16))
    monkeypatch.setattr(volumes, "SHARD", (16, 32, 32))
    path, markers = store(tmp_path / "field.zarr", *three_balls()), tmp_path / "markers"
    write, calls = maps._write_block, []

    def fail_at_the_fifth(*given: Any) -> int:
        calls.append(given)
        if len(calls) > 4:
            raise OSError("no space left on device")
        return write(*given)

    monkeypatch.setattr(maps, "_write_block", fail_at_the_fifth)
    with pytest.raises(OSError, match="no space"):
        measure_particles(path, execution=Execution(markers=markers))
    assert list((markers / "points").iterdir())
    monkeypatch.setattr(maps, "_write_block", write)
    monkeypatch.setattr(tasks, "measure_particle", None)  # it must not be called again
    measure_particles(path, execution=Execution(markers=markers))
    assert not (markers / "points").exists()
    same_maps(path, field[0])


def test_maps_can_be_left_out(tmp_path: Path) -> None:
    path = half_ball(tmp_path / "f.zarr")
    measure_particles(path)
    assert (path / "maps" / "contact").is_dir()
    measure_particles(path, options=MeasureOptions(maps=False))
    assert not (path / "maps" / "contact").exists()


def test_a_field_without_particles_has_empty_maps(tmp_path: Path) -> None:
    nothing = np.zeros((8, 9, 10), np.uint32)
    path = store(tmp_path / "f.zarr", nothing, nothing.astype(np.uint8))
    measure_particles(path, contacts=tmp_path / "c.parquet")
    assert np.isnan(read_whole(path, "maps/resistance")).all()
    assert len(read_contacts(tmp_path / "c.parquet")) == 0
