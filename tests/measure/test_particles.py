"""The measure stage on small field stores: tables, blocks, borders, bad input."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

import tomostat.measure.batches as batches
import tomostat.measure.tasks as tasks
from stores import LEVELS, Image, half_ball, store, three_balls
from tomostat.datasets import open_particles
from tomostat.execution import Execution
from tomostat.measure import MeasureOptions, all_columns, chosen_measures, measure_particles, write_particles
from tomostat.measure.interior.density import NMC811
from tomostat.phantom.options import PhantomOptions
from tomostat.phantom.rendering import render
from tomostat.phantom.scene import make_scene
from tomostat.phantom.truth import truth_table
from tomostat.volume import create_volume

COLUMNS = all_columns(chosen_measures(MeasureOptions()))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    path = store(tmp_path_factory.mktemp("measure") / "field.zarr", *three_balls())
    return measure_particles(path, sample="s1", condition="1C")


def test_rows(table: xr.Dataset) -> None:
    assert table["label"].to_numpy().tolist() == [3, 7, 12]
    assert table["field"].to_numpy().tolist() == ["field"] * 3
    assert table["condition"].to_numpy().tolist() == ["1C"] * 3
    whole = table.isel(particle=1)
    radius = 14 * 0.2
    assert float(whole["volume"]) == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.01)
    assert float(whole["equivalent_diameter"]) == pytest.approx(2 * radius, rel=0.01)
    assert float(whole["surface_area"]) == pytest.approx(4 * np.pi * radius**2, rel=0.02)
    assert float(whole["surface_area_crofton"]) == pytest.approx(4 * np.pi * radius**2, rel=0.02)
    assert float(whole["sphericity"]) == pytest.approx(1, abs=0.02)
    assert float(whole["elongation"]) == pytest.approx(1, abs=0.01)
    assert float(whole["roughness"]) < 0.05
    np.testing.assert_allclose(whole["centroid"], [4.0, 6.0, 5.0], atol=1e-9)
    np.testing.assert_array_equal(whole["bbox"], [[6, 16, 11], [35, 45, 40]])
    np.testing.assert_allclose(whole["axis_length"], 2 * radius, rtol=0.01)
    assert float(whole["mean_grey"]) == pytest.approx(0.95, abs=0.05)
    assert float(whole["inner_grey"]) == pytest.approx(1.0, abs=0.01)
    assert int(whole["fragments"]) == 1
    assert float(whole["crack_fraction"]) == 0


def test_detachment_and_detours(table: xr.Dataset) -> None:
    detachment = table["detachment"].to_numpy()
    assert detachment[1] < 0.05
    assert detachment[2] > 0.95
    assert table["resistance_mean"].to_numpy()[1] < 0.05
    assert table["fully_detached"].to_numpy().tolist() == [False, False, True]
    assert math.isnan(float(table["resistance_mean"][2]))
    area, touched = table["surface_area"].to_numpy(), table["contact_cbd"].to_numpy()
    np.testing.assert_allclose(1 - touched / area, detachment, atol=0.01)
    np.testing.assert_allclose(table["detachment_at"].sel(reach=2), detachment)
    lower, higher = (table["detachment_at_level"].sel(binder_level=one) for one in ("lower", "higher"))
    assert ((lower <= detachment + 0.02) & (detachment <= higher + 0.02) & (higher - lower < 0.2)).all()


def test_border(table: xr.Dataset) -> None:
    assert table["touches_border"].to_numpy().tolist() == [True, False, False]
    assert float(table["contact_border"][0]) > 0
    assert float(table["contact_border"][1]) == 0
    weight = table["border_weight"].to_numpy()
    assert weight[1] == pytest.approx(60 / (60 - 29))  # the field cuts the material along y only
    assert math.isnan(float(table["sphericity"][0]))
    assert table["depth"].attrs["units"] == "micrometer"


def test_every_column_carries_its_declaration(table: xr.Dataset) -> None:
    assert list(table.data_vars) == list(COLUMNS)
    for name, variable in table.data_vars.items():
        assert variable.attrs["long_name"], name
        assert "units" in variable.attrs, name
        assert variable.dims[0] == "particle"


def test_neighbours_and_packing(tmp_path: Path) -> None:
    labels, phases = np.zeros((30, 30, 60), np.uint32), np.zeros((30, 30, 60), np.uint8)
    labels[8:20, 8:20, 8:20] = 1
    labels[8:20, 8:20, 20:32] = 2
    labels[8:20, 8:20, 35:47] = 3
    phases[labels > 0] = 2
    found = measure_particles(store(tmp_path / "f.zarr", labels, phases), options=MeasureOptions(shell=0.8))
    assert found["neighbours"].to_numpy().tolist() == [1, 1, 0]
    np.testing.assert_allclose(found["gap"], [0, 0, 0.6], atol=1e-9)
    shell = ndimage.distance_transform_edt(labels != 3) * 0.2 <= 0.8
    assert float(found["packing"][2]) == pytest.approx(((labels == 2) & shell).sum() / (shell & (labels != 3)).sum())
    touching = found["contact_particle"].to_numpy()
    assert touching[0] == pytest.approx(12 * 12 * 0.04, rel=0.35)  # normals at edges point past it
    assert touching[2] == 0
    without = measure_particles(tmp_path / "f.zarr", options=MeasureOptions(exclude_particle_contact=True, shell=0.8))
    assert float(without["contact_particle"][0]) == touching[0]


def same(first: xr.Dataset, second: xr.Dataset) -> None:
    """Bit for bit, options aside."""
    for name in COLUMNS:
        np.testing.assert_array_equal(first[name].to_numpy(), second[name].to_numpy(), err_msg=name)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "block", [(16, 16, 32), pytest.param((40, 60, 110), marks=SLOW), pytest.param((13, 29, 7), marks=SLOW)]
)
def test_blocks_change_nothing(
    table: xr.Dataset, block: tuple[int, int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_VOXELS", block[0] * 2500)
    path = store(tmp_path / "field.zarr", *three_balls())
    same(measure_particles(path, sample="s1", condition="1C", block=block), table)


def test_workers_change_nothing(table: xr.Dataset, tmp_path: Path) -> None:
    from distributed import Client

    path = store(tmp_path / "field.zarr", *three_balls())
    with Client(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as client:
        same(measure_particles(path, sample="s1", condition="1C", execution=Execution(client=client)), table)


def test_resumes(table: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, markers = store(tmp_path / "field.zarr", *three_balls()), tmp_path / "markers"
    execution = Execution(markers=markers)
    measure_particles(path, sample="s1", condition="1C", execution=execution)
    monkeypatch.setattr(tasks, "measure_particle", None)  # neither is called again
    monkeypatch.setattr(tasks, "block_moments", None)
    same(measure_particles(path, sample="s1", condition="1C", execution=execution), table)


def test_empty_field(tmp_path: Path) -> None:
    nothing = np.zeros((8, 9, 10), np.uint32)
    found = measure_particles(store(tmp_path / "f.zarr", nothing, nothing.astype(np.uint8)))
    assert found.sizes["particle"] == 0
    assert list(found.data_vars) == list(COLUMNS)
    write_particles(tmp_path / "particles.zarr", found, copies=True)
    assert list(open_particles(tmp_path).data_vars) == list(COLUMNS)


def test_one_slice(tmp_path: Path) -> None:
    labels, phases = three_balls()
    found = measure_particles(store(tmp_path / "f.zarr", labels[20:21], phases[20:21]))
    assert found["touches_border"].to_numpy().tolist() == [True, False, False]
    assert float(found["equivalent_diameter"][1]) == pytest.approx(2 * 14 * 0.2, rel=0.01)
    for name in ("volume", "surface_area", "sphericity", "depth", "contact_cbd", "roughness", "elongation"):
        assert np.isnan(found[name]).all(), name
    assert float(found["detachment"][1]) < 0.1
    assert float(found["detachment"][2]) > 0.9
    assert bool(found["fully_detached"][2])
    along = measure_particles(tmp_path / "f.zarr", options=MeasureOptions(depth_axis="y"))
    assert float(along["depth"][1]) == pytest.approx(6.0)


@pytest.mark.parametrize("voxels", [1, 26])
def test_tiny_particles(voxels: int, tmp_path: Path) -> None:
    labels = np.zeros((12, 12, 40), np.uint32)
    labels[6, 6, 5 : 5 + voxels] = 4
    phases = np.where(labels > 0, 2, 1).astype(np.uint8)
    found = measure_particles(store(tmp_path / "f.zarr", labels, phases))
    assert found["too_small"].to_numpy().tolist() == [True]
    assert found["voxel_count"].to_numpy().tolist() == [voxels]
    assert float(found["volume"][0]) == pytest.approx(voxels * 0.008)
    assert np.isnan(found["detachment"]).all()


def test_a_particle_that_fills_the_field(tmp_path: Path) -> None:
    shape = (10, 12, 14)
    found = measure_particles(store(tmp_path / "f.zarr", np.ones(shape, int), np.full(shape, 2, np.uint8)))
    assert found["touches_border"].to_numpy().tolist() == [True]
    assert float(found["surface_area"][0]) == 0
    assert float(found["contact_border"][0]) == pytest.approx(2 * (120 + 140 + 168) * 0.04)
    assert np.isnan(found["detachment"]).all()
    assert not np.isfinite(found["border_weight"]).any()


def test_round_field(tmp_path: Path) -> None:
    labels, phases = three_balls()
    y, x = np.ogrid[:60, :110]
    beyond = np.hypot(y - 30, x - 40) > 36
    phases[:, beyond], labels[:, beyond] = 4, 0
    found = measure_particles(store(tmp_path / "f.zarr", labels, phases, circle=[30.0, 40.0, 36.0]))
    assert found["label"].to_numpy().tolist() == [3, 7]
    assert found["touches_border"].to_numpy().tolist() == [True, False]
    weight = float(found["border_weight"][1])
    assert weight == pytest.approx((36 / (36 - 14.5)) ** 2)
    assert float(found["detachment"][1]) < 0.05


def test_without_carbon_binder(tmp_path: Path) -> None:
    labels, phases = three_balls()
    phases[phases == 1] = 0
    levels = {**LEVELS, "cbd": None}
    found = measure_particles(store(tmp_path / "f.zarr", labels, phases, levels=levels))
    for name in ("detachment", "resistance_mean", "contact_cbd", "detachment_std"):
        assert np.isnan(found[name]).all(), name
    assert np.isfinite(found["surface_area"]).all()
    assert not found["fully_detached"].any()


def test_holes_in_the_grey(table: xr.Dataset, tmp_path: Path) -> None:
    labels, phases = three_balls()
    values = np.array([0.0, 0.25, 1.0], np.float32)[phases]
    grey = ndimage.gaussian_filter(values, 1.0) + np.random.default_rng(0).normal(0, 0.05, phases.shape)
    grey[15:18, 20:40, 10:40] = np.nan
    found = measure_particles(store(tmp_path / "f.zarr", labels, phases, grey))
    np.testing.assert_allclose(found["detachment"], table["detachment"], atol=0.05)
    np.testing.assert_allclose(found["mean_grey"], table["mean_grey"], atol=0.01)


def test_density_and_charge(tmp_path: Path) -> None:
    labels, phases = three_balls()
    path = store(tmp_path / "f.zarr", labels, phases, attributes={"density_scale": 3.28e-6, "density_offset": 0.0})
    found = measure_particles(path, options=MeasureOptions(branch="discharged"))
    density = found["electron_density"].to_numpy()
    np.testing.assert_allclose(density, 1.365, atol=0.003)
    np.testing.assert_allclose(found["electron_density_profile"][1, 2:6], 1.365, atol=0.02)
    np.testing.assert_allclose(NMC811.interpolate()(found["soc"]), density, atol=1e-4)
    assert (found["soc_std"] > 0).all()
    assert np.isnan(measure_particles(path)["soc"]).all()
    plain = measure_particles(store(tmp_path / "g.zarr", labels, phases), options=MeasureOptions(branch="charged"))
    assert np.isnan(plain["soc"]).all()
    assert np.isnan(plain["electron_density"]).all()


@pytest.mark.slow
def test_path_through_the_solid(tmp_path: Path) -> None:
    """Half a ball in carbon-binder: chords are shorter than arcs."""
    path = half_ball(tmp_path / "f.zarr")
    over = measure_particles(path)
    through = measure_particles(path, options=MeasureOptions(path="solid"))
    assert float(over["detachment"][0]) == pytest.approx(0.5, abs=0.04)
    assert float(over["detour_max"][0]) == pytest.approx(np.pi / 2 * 16, rel=0.06)
    assert float(through["detour_max"][0]) == pytest.approx(np.sqrt(2) * 16, rel=0.06)
    assert float(over["resistance_max"][0]) == pytest.approx(float(over["detour_max"][0]) / 16, rel=0.02)
    # the mean of t - pi/2 over the detached half, weighted with sin t, is pi/2 - 1
    assert float(over["resistance_mean"][0]) == pytest.approx((np.pi / 2 - 1) / 2, abs=0.03)
    assert float(over["resistance_detached_mean"][0]) == pytest.approx(np.pi / 2 - 1, abs=0.04)


def test_cracks_and_fragments(tmp_path: Path) -> None:
    labels = np.zeros((30, 30, 50), np.uint32)
    labels[5:25, 5:25, 5:45] = 1
    phases = np.where(labels > 0, 2, 1).astype(np.uint8)
    phases[5:25, 5:25, 20:24] = 0
    found = measure_particles(store(tmp_path / "f.zarr", labels, phases))
    assert float(found["crack_fraction"][0]) == pytest.approx(0.1)
    assert int(found["fragments"][0]) == 2
    assert float(found["crack_surface"][0]) == pytest.approx((2 * 400 - 4 * 80) * 0.04, rel=0.2)


def electrode(path: Path, **options: Any) -> tuple[Path, pd.DataFrame, Image, Image]:
    """A blurred, noisy electrode stored with its true labels, phases and levels: path, truth, grey values, labels."""
    chosen = PhantomOptions(
        diameters=(5.0, 7.0), gap_width=(0.6, 1.2), dtype="uint16", blur=1.2, noise=0.14, seed=5, **options
    )
    scene = make_scene(chosen)
    image = render(scene, (0, 0, 0), chosen.shape)
    top = 65535.0
    levels = {"pore": 0.2 * top, "cbd": (0.2 + 0.52 * 0.241) * top, "active": 0.72 * top, "collector": None}
    store(
        path, image.labels, image.phases, image.grey, levels=levels, percentiles=[0.1 * top, 0.85 * top],
        noise=0.14 * 0.52 * top, blur=1.2,
    )  # fmt: skip
    return path, truth_table(scene), image.grey, image.labels


def detachment_errors(found: xr.Dataset, truth: pd.DataFrame) -> NDArray[np.float64]:
    """Errors of the detachment of particles inside the field that are not tiny."""
    chosen = ~found["touches_border"].to_numpy() & (found["voxel_count"].to_numpy() > 2000)
    true = truth.set_index("label").loc[found["label"].to_numpy(), "detachment"].to_numpy()
    return (found["detachment"].to_numpy() - true)[chosen]


@pytest.mark.slow
def test_detachment_where_films_are_thin_and_porous(tmp_path: Path) -> None:
    """Films of 3 voxels, porous as in real electrodes, are no gaps; the levels are those of even carbon-binder."""
    path, truth, _, _ = electrode(tmp_path / "porous.zarr", shape=(48, 128, 128), texture=1.0)
    error = detachment_errors(measure_particles(path), truth)
    assert len(error) >= 5
    assert abs(error).mean() < 0.05
    assert abs(error.mean()) < 0.04


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame, Image, Image]:
    return electrode(tmp_path_factory.mktemp("phantom") / "phantom.zarr", shape=(64, 160, 160), texture=0.0)


@pytest.mark.slow
def test_detachment_on_a_blurred_noisy_phantom(phantom: tuple[Path, pd.DataFrame, Image, Image]) -> None:
    """Close to the truth, where a threshold and a count of voxels errs several times as much."""
    path, truth, grey, labels = phantom
    found = measure_particles(path)
    chosen = ~found["touches_border"].to_numpy() & (found["voxel_count"].to_numpy() > 2000)
    true = truth.set_index("label").loc[found["label"].to_numpy(), "detachment"].to_numpy()
    error = detachment_errors(found, truth)
    assert chosen.sum() >= 12
    assert abs(error).mean() < 0.02
    assert abs(error.mean()) < 0.015
    assert np.corrcoef(found["detachment"].to_numpy()[chosen], true[chosen])[0, 1] > 0.97
    uncertainty = found["detachment_std"].to_numpy()[chosen]
    assert (abs(error) < 3 * uncertainty + 0.01).mean() > 0.9
    counted = np.array([thresholded(grey, labels, label) for label in found["label"].to_numpy()[chosen]])
    assert abs(counted - true[chosen]).mean() > 0.08
    partner = truth.set_index("label").loc[found["label"].to_numpy(), "contact_particle"].to_numpy()
    touching = (found["contact_particle"] / found["surface_area"]).to_numpy()
    np.testing.assert_allclose(touching[chosen], partner[chosen], atol=0.02)
    area = truth.set_index("label").loc[found["label"].to_numpy(), "surface_area"].to_numpy()
    np.testing.assert_allclose(found["surface_area"].to_numpy()[chosen], area[chosen], rtol=0.03)
    # bridges of contact two voxels wide between two gaps are lost in the blur: ways around them are too long
    for name, limit in (("resistance_mean", 0.03), ("resistance_std", 0.04), ("resistance_max", 0.15)):
        known = truth.set_index("label").loc[found["label"].to_numpy(), name].to_numpy()
        assert abs(found[name].to_numpy() - known)[chosen].mean() < limit, name


def thresholded(grey: Image, labels: Image, label: int) -> float:
    """Detachment from a smoothed threshold and voxel contact."""
    cut = (0.2 + 0.52 * 0.12) * 65535
    box = tuple(slice(max(s.start - 2, 0), s.stop + 2) for s in ndimage.find_objects((labels == label).astype(int))[0])
    own = labels[box] == label
    shell = ndimage.binary_dilation(own) & (labels[box] == 0)
    smooth = ndimage.gaussian_filter(grey[box].astype(np.float32), 1)
    return 1 - float((smooth > cut)[shell].mean())


def test_missing_labels(tmp_path: Path) -> None:
    path = tmp_path / "f.zarr"
    create_volume(path, shape=(4, 5, 6), dtype=np.float32, spacing=(1, 1, 1))
    with pytest.raises(ValueError, match="labels 'phases'"):
        measure_particles(path)
    with pytest.raises(FileNotFoundError, match="no volume"):
        measure_particles(tmp_path / "nowhere.zarr")
    create_volume(path, shape=(4, 5, 6), dtype=np.uint8, spacing=(1, 1, 1), label="phases")
    create_volume(path, shape=(4, 5, 7), dtype=np.uint32, spacing=(1, 1, 1), label="particles")
    with pytest.raises(ValueError, match="shapes"):
        measure_particles(path)
    create_volume(path, shape=(4, 5, 6), dtype=np.uint32, spacing=(1, 1, 1), label="particles")
    with pytest.raises(ValueError, match="tomostat phases"):
        measure_particles(path)


def test_bad_options(tmp_path: Path) -> None:
    for given in ({"tolerance": 4}, {"path": "air"}, {"depth_axis": "w"}, {"branch": "both"}, {"shell": 0.0}):
        with pytest.raises(ValueError, match=next(iter(given))):
            MeasureOptions(**given)  # type: ignore[arg-type]
    path = store(tmp_path / "f.zarr", *three_balls())
    with pytest.raises(FileNotFoundError):
        measure_particles(path, options=MeasureOptions(curve=str(tmp_path / "none.csv")))


def test_conduction_in_the_table(tmp_path: Path, table: xr.Dataset) -> None:
    path = store(tmp_path / "field.zarr", *three_balls())
    found = measure_particles(path, options=MeasureOptions(conduction=True, maps=False))
    assert np.isnan(table["conduction_resistance"]).all()
    value = found["conduction_resistance"].to_numpy()
    assert value[1] < 0.02  # intact
    assert math.isnan(value[2])  # fully detached
    assert found["conduction_unreached"].to_numpy()[1:].tolist() == [0, 1]


def test_the_confidence_is_that_of_the_merge_graph(tmp_path):
    path = store(tmp_path / "f.zarr", *three_balls())
    assert np.isnan(measure_particles(path, options=MeasureOptions(maps=False))["confidence"]).all()
    known = pd.DataFrame({"confidence": [0.9, 0.8, 0.7]}, index=pd.Index([1, 7, 12], name="particle"))
    (tmp_path / "graph").mkdir()
    known.to_parquet(tmp_path / "graph" / "particles.parquet")
    found = measure_particles(path, options=MeasureOptions(maps=False), graph=tmp_path / "graph")["confidence"]
    np.testing.assert_array_equal(found, [np.nan, 0.8, 0.7])
