"""Stacks that ImageJ understands: metadata, voxels, types."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tifffile

from stores import read_whole, store, three_balls
from tomostat.datasets import open_particles
from tomostat.export import Results, write_formats
from tomostat.export.formats import tiff
from tomostat.ingest import probe
from tomostat.layout import Layout
from tomostat.measure import measure_particles, write_particles


def test_voxels_spacing_and_unit(exported, results):
    for name, dtype in (("particles", "uint16"), ("phases", "uint8"), ("maps/resistance", "float32")):
        path = exported / "tiff" / f"slow-1-{name.removeprefix('maps/')}.tif"
        with tifffile.TiffFile(path) as file:
            assert file.is_imagej
            assert file.imagej_metadata["unit"] == "um"
            assert file.imagej_metadata["slices"] == 24
            series = file.series[0]
            assert (series.axes, series.dtype) == ("ZYX", np.dtype(dtype))
            np.testing.assert_array_equal(series.asarray(), read_whole(results.volume("slow-1"), name))
        spacing = open_particles(results.root).attrs.get("window", {}).get("spacing", (0.2,) * 3)
        assert probe(path).spacing == pytest.approx(tuple(spacing))
    assert len(list((exported / "tiff").iterdir())) == 8


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Three balls with spacing along z, one with a label beyond 65535."""
    layout = Layout(tmp_path_factory.mktemp("balls") / "out")
    labels, phases = three_balls()
    labels[labels == 7] = 70_000
    path = store(layout.volume("f"), labels, phases, spacing=(0.3, 0.2, 0.1))
    write_particles(layout.particles, measure_particles(path))
    return layout


@pytest.fixture
def balls(measured, tmp_path):
    """A copy of them, to be changed."""
    shutil.copytree(measured.root, tmp_path / "out")
    return Results(Layout(tmp_path / "out"), ("f",))


def test_large_labels_become_floats(balls, tmp_path):
    """ImageJ has no integers of 32 bits; float32 holds them exactly."""
    (folder,) = write_formats(balls, tmp_path / "to", ["tiff"])
    found = tifffile.imread(folder / "f-particles.tif")
    assert found.dtype == np.float32
    assert np.unique(found).tolist() == [0, 3, 12, 70_000]
    assert probe(folder / "f-particles.tif").spacing == pytest.approx((0.3, 0.2, 0.1))


def test_labels_that_no_type_holds_are_refused(balls, tmp_path):
    particles = balls.particles
    particles["label"] = particles["label"] + np.uint32(2**24)
    write_particles(balls.layout.particles, particles)
    with pytest.raises(ValueError, match="labels of field 'f' go up to 16847216"):
        write_formats(Results(balls.layout, ("f",)), tmp_path / "to", ["tiff"])


def test_labels_that_the_table_does_not_know_are_refused(balls, tmp_path):
    write_particles(balls.layout.particles, balls.particles.isel(particle=[0, 1]))
    with pytest.raises(ValueError, match="labels beyond those of the particle table"):
        write_formats(Results(balls.layout, ("f",)), tmp_path / "to", ["tiff"])
    assert not (tmp_path / "to").exists()


def test_large_images_become_ome_tiff(balls, tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "IMAGEJ_LIMIT", 1000)
    (folder,) = write_formats(balls, tmp_path / "to", ["tiff"])
    names = sorted(file.name for file in folder.iterdir())
    assert names == [f"f-{name}.ome.tif" for name in ("contact", "particles", "phases", "resistance")]
    with tifffile.TiffFile(folder / "f-phases.ome.tif") as file:
        assert file.is_ome
        assert file.is_bigtiff
        np.testing.assert_array_equal(file.asarray(), read_whole(balls.layout.volume("f"), "phases"))
    assert probe(folder / "f-phases.ome.tif").spacing == pytest.approx((0.3, 0.2, 0.1))
