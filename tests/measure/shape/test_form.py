"""Ratios, classes and angles of axes, and surface beside volume, in the table of a field."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from shapes import around, turn, turned
from stores import store
from tomostat.measure import measure_particles
from tomostat.measure.options import MeasureOptions
from tomostat.measure.shape.form import zingg_class

HALF = np.array([24.0, 15.0, 12.0])
"""Half axes of an ellipsoid in voxels, long to short."""

FRAME = turn(1) * np.sign(turn(1)[:, :1])
"""Its directions (z, y, x), one per row, z component not negative."""


@pytest.fixture(scope="module")
def ellipsoid(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    u, v, w = turned(around(24.0, margin=4), FRAME)
    inside = (u / HALF[0]) ** 2 + (v / HALF[1]) ** 2 + (w / HALF[2]) ** 2 <= 1
    grey = np.where(inside, 200.0, 0.0)
    path = store(tmp_path_factory.mktemp("form") / "field.zarr", inside, np.where(inside, 2, 0).astype(np.uint8), grey)
    return measure_particles(path).isel(particle=0)


def test_ratios_of_axes(ellipsoid: xr.Dataset) -> None:
    long, middle, short = HALF
    for name, expected in {
        "elongation": middle / long,
        "flatness": short / middle,
        "aspect_ratio": long / short,
        "krumbein_sphericity": np.cbrt(middle * short / long**2),
        "convexity": 1.0,
    }.items():
        assert float(ellipsoid[name]) == pytest.approx(expected, rel=0.01), name
    assert str(ellipsoid["zingg_class"].item()) == "disc" if middle / long > 2 / 3 else "rod"


def test_angles_of_axes(ellipsoid: xr.Dataset) -> None:
    np.testing.assert_allclose(ellipsoid["axis_polar_angle"], np.degrees(np.arccos(FRAME[:, 0])), atol=1)
    np.testing.assert_allclose(ellipsoid["axis_azimuth"], np.degrees(np.arctan2(FRAME[:, 1], FRAME[:, 2])), atol=1)
    np.testing.assert_allclose(ellipsoid["orientation"], FRAME[0], atol=0.02)


def test_feret_diameters_in_micrometers(ellipsoid: xr.Dataset) -> None:
    for name, half in {"feret_max": HALF[0], "feret_orthogonal": HALF[1], "feret_min": HALF[2]}.items():
        assert float(ellipsoid[name]) == pytest.approx(2 * half * 0.2, rel=0.015), name


def test_surface_beside_volume(ellipsoid: xr.Dataset) -> None:
    volume, area = 4 / 3 * np.pi * HALF.prod() * 0.2**3, float(ellipsoid["surface_area"])
    assert float(ellipsoid["specific_surface"]) == pytest.approx(area / volume, rel=0.01)
    assert float(ellipsoid["compactness"]) == pytest.approx(36 * np.pi * volume**2 / area**3, rel=0.02)
    assert float(ellipsoid["compactness"]) == pytest.approx(float(ellipsoid["sphericity"]) ** 3)


def test_layers_of_equal_distance(tmp_path: Path) -> None:
    """Against distances of scipy: grey rises by 10 with every layer, as far as the particle is deep."""
    from scipy import ndimage

    z, y, x = (np.arange(40) - 19.5).reshape(-1, 1, 1), (np.arange(40) - 19.5).reshape(-1, 1), np.arange(40) - 19.5
    inside = z**2 + y**2 + x**2 <= 12**2
    layer = np.rint(ndimage.distance_transform_edt(inside))
    path = store(tmp_path / "f.zarr", inside, np.where(inside, 2, 0).astype(np.uint8), 100 + 10 * layer)
    found = measure_particles(path)["layer_grey"].to_numpy()[0]
    deepest = int(layer.max())
    np.testing.assert_allclose(found[:deepest], 100 + 10 * np.arange(1, deepest + 1), rtol=1e-5)
    assert np.isnan(found[deepest:]).all()
    wide = measure_particles(path, options=MeasureOptions(layer=0.4))["layer_grey"].to_numpy()[0]
    thick = np.rint(ndimage.distance_transform_edt(inside) / 2)
    assert wide[1] == pytest.approx((100 + 10 * layer)[thick == 2].mean(), rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 40), (1, 12, 10), (3, 3, 3)])
def test_one_voxel_a_line_and_a_plane(shape: tuple[int, int, int], tmp_path: Path) -> None:
    """Every column is there, a value or missing, and no warning is raised; ratios of axes are those of bricks."""
    labels = np.pad(np.ones(shape, np.uint32), 12)
    table = measure_particles(store(tmp_path / "f.zarr", labels, 2 * labels)).isel(particle=0)
    length = sorted(shape, reverse=True)
    assert float(table["elongation"]) == pytest.approx(length[1] / length[0])
    assert float(table["flatness"]) == pytest.approx(length[2] / length[1])
    small = labels.sum() < 27
    assert np.isnan(float(table["feret_min"])) == small
    if not small:
        assert float(table["convexity"]) <= 1
        assert float(table["feret_min"]) > 0


def sizes(*ratios: float) -> NDArray[np.float64]:
    return np.array(ratios)


def test_classes_of_zingg() -> None:
    found = zingg_class(sizes(0.9, 0.9, 0.5, 0.5), sizes(0.9, 0.5, 0.9, 0.5))
    assert found.tolist() == ["sphere", "disc", "rod", "blade"]
