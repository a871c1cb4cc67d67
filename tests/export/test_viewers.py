"""Viewers' own readers open the files, where these viewers are installed: `pip install tomostat[viewers]`."""

from __future__ import annotations

import numpy as np
import pytest

from stores import read_whole
from tomostat.datasets import open_particles
from tomostat.volume import describe


def test_pyvista_finds_surfaces_and_scalars(exported, results):
    pyvista = pytest.importorskip("pyvista")
    table = open_particles(results.root)
    table = table.isel(particle=np.flatnonzero(table["field"] == "slow-1"))
    blocks = pyvista.read(exported / "vtk" / "slow-1.vtm")
    assert blocks.keys() == [str(label) for label in table["label"].values]
    for row, mesh in enumerate(blocks):
        assert set(mesh.point_data.keys()) == {"resistance", "contact"}
        one = table.isel(particle=row)
        np.testing.assert_allclose(mesh.cell_data["detachment"], np.float32(one["detachment"]))
        assert mesh.field_data["centroid_z"] == pytest.approx(float(one["centroid"].sel(axis="z")))
        if not one["too_small"]:
            assert mesh.volume == pytest.approx(float(one["volume"]), rel=0.15)
        array = mesh.GetCellData().GetArray("equivalent_diameter")
        assert array.GetInformation().Get(array.UNITS_LABEL()) == "micrometer"


def test_pyvista_finds_values_in_ply(exported):
    pyvista = pytest.importorskip("pyvista")
    vtp = pyvista.read(exported / "vtk" / "slow-1-3.vtp")
    ply = pyvista.read(exported / "ply" / "slow-1-3.ply")
    stl = pyvista.read(exported / "stl" / "slow-1-3.stl")
    np.testing.assert_array_equal(ply.points, vtp.points)
    np.testing.assert_array_equal(ply.point_data["TCoords"][:, 0], vtp.point_data["resistance"])
    np.testing.assert_array_equal(ply.point_data["TCoords"][:, 1], vtp.point_data["contact"])
    assert ply.point_data["RGB"].shape == (ply.n_points, 3)
    assert stl.volume == pytest.approx(vtp.volume, rel=1e-5)


def test_napari_finds_layers_scale_and_units(results):
    """The grey values with labels over them; a map is opened by its path."""
    reader = pytest.importorskip("napari_ome_zarr")
    viewer = pytest.importorskip("napari.components").ViewerModel()
    volume = results.volume("slow-1")
    for path in (volume, volume / "maps" / "resistance"):
        for data, options, kind in reader.napari_get_reader(str(path))(str(path)):
            getattr(viewer, f"add_{kind}")(data, **options)
    grey, *labels, resistance = viewer.layers
    assert [layer.name.rsplit("/")[-1] for layer in labels] == ["particles", "phases"]
    assert [type(layer).__name__ for layer in viewer.layers] == ["Image", "Labels", "Labels", "Image"]
    for layer in viewer.layers:
        np.testing.assert_allclose(layer.extent.step, describe(volume).spacing)
        assert [f"{unit}" for unit in layer.units] == ["micrometer"] * 3
    np.testing.assert_array_equal(np.asarray(grey.data[0]), read_whole(volume, None))
    np.testing.assert_array_equal(np.asarray(labels[0].data[0]), read_whole(volume, "particles"))
    np.testing.assert_array_equal(np.asarray(resistance.data[0]), read_whole(volume, "maps/resistance"))
