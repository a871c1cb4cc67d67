"""Phantom: the same voxels for any blocks, and a truth that the voxels confirm."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tomostat.phantom import (
    density_calibration,
    make_scene,
    random_options,
    render,
    rules,
    simulate_volume,
    truth_table,
)
from tomostat.phantom.kernels.image import gaussian, kernel, noise, streaks
from tomostat.phantom.kernels.noise import gradient_noise, noise_row, normal
from tomostat.phantom.kernels.shape import directions, even_directions, value
from tomostat.phantom.options import PhantomOptions
from tomostat.phantom.scene import Scene
from tomostat.phase import Phase
from tomostat.volume import describe, read_box

PLAIN = {"blur": 0.0, "noise": 0.0, "texture": 0.0}
SMALL = {"shape": (40, 48, 56), "spacing": (0.25, 0.2, 0.2), "diameters": (3.0, 5.0), "active_fraction": 0.4}
FAULTY = PhantomOptions(
    **SMALL, seed=5, collector=1.5, headspace=1.0, touching=0.5, fragmented=0.5, crumbled=0.3, cracked=1.0, blur=0.8,
    fringe=0.5, noise_correlation=0.7, streaks=0.5, rings=0.1, shading=0.2, circle=0.9, contrast="wet", dtype="uint16",
)  # fmt: skip


@pytest.fixture(scope="module")
def faulty() -> Scene:
    return make_scene(FAULTY)


@pytest.fixture(scope="module")
def fine() -> Scene:
    """Whole particles of 40 to 65 voxels, smooth and perfect."""
    options = PhantomOptions(
        shape=(150, 150, 150), spacing=(0.1,) * 3, diameters=(4.0, 6.5), gap_width=(0.25, 0.5), film_thickness=0.3,
        roughness=0.02, touching=0.3, active_fraction=0.45, detachment_mean=0.4, seed=8, **PLAIN,
    )  # fmt: skip
    return make_scene(options)


@pytest.fixture(scope="module")
def many() -> Scene:
    """Some hundred particles; its truth is looked at, its voxels are not."""
    return make_scene(PhantomOptions(shape=(240, 240, 240), diameters=(4.0, 10.0), seed=2, detachment_mean=0.3))


def whole(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return render(scene, (0, 0, 0), scene.options.shape)


# noise and shapes


@given(
    st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.integers(-2000, 2000), st.floats(0.01, 3), st.integers(0, 2**32 - 1)
)
@settings(deadline=None, max_examples=50)
def test_noise_along_a_row_is_the_noise_at_its_points(z, y, start, step, seed):
    row = np.empty(40)
    noise_row(row, z, y, float(start), step, seed)
    assert np.array_equal(row, [gradient_noise(z, y, (start + k) * step, seed) for k in range(40)])


def test_noise_is_white_and_its_correlated_kin_keeps_the_variance():
    lattice = np.array([normal(z, y, 7, 3) for z in range(-50, 50) for y in range(100)]).reshape(100, 100)
    assert abs(lattice.mean()) < 0.04
    assert abs(lattice.std() - 1) < 0.04
    assert abs(np.corrcoef(lattice[1:].ravel(), lattice[:-1].ravel())[0, 1]) < 0.04
    soft = noise(np.zeros(3, np.int64), (30, 60, 60), 4, (0.0, 1.5, 0.7))
    assert abs(soft.std() - 1) < 0.08
    assert np.corrcoef(soft[:, 1:].ravel(), soft[:, :-1].ravel())[0, 1] > 0.7
    assert abs(np.corrcoef(soft[1:].ravel(), soft[:-1].ravel())[0, 1]) < 0.05
    lines = streaks(np.zeros(3, np.int64), (20, 80, 80), 4)
    assert abs(lines.std() - 1) < 0.08


def test_blur_agrees_with_scipy():
    image = np.random.default_rng(0).normal(size=(20, 24, 28)).astype(np.float32)
    sigmas = (1.0, 0.0, 1.7)
    reach = [len(kernel(sigma)) // 2 for sigma in sigmas]
    core = tuple(slice(r, n - r) for r, n in zip(reach, image.shape, strict=True))
    expected = ndimage.gaussian_filter(image, sigmas, radius=reach)[core]
    np.testing.assert_allclose(gaussian(image, sigmas), expected, atol=1e-5)


def test_directions_cover_the_sphere():
    vectors, weights = directions()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1)
    assert weights.sum() == pytest.approx(4 * np.pi)
    for power in (2, 4):  # mean of z^2 is 1/3, of z^4 is 1/5
        np.testing.assert_allclose(
            (vectors**power * weights[..., None]).sum((0, 1)) / (4 * np.pi), 1 / (power + 1), atol=2e-3
        )


@given(st.integers(0, 10**6), st.floats(0.1, 10))
@settings(deadline=None, max_examples=50)
def test_tables_interpolate_smooth_functions(seed, length):
    vectors, _ = directions()
    table = (3 + vectors @ [0.3, -0.5, 0.2]).astype(np.float32)
    ray = np.random.default_rng(seed).normal(size=3)
    ray /= np.linalg.norm(ray)
    assert value(table, *(length * ray)) == pytest.approx(3 + ray @ [0.3, -0.5, 0.2], abs=5e-3)


# blocks


@given(st.data())
@settings(deadline=None, max_examples=12)
def test_any_block_holds_the_voxels_of_the_whole(faulty, data):
    volume = whole(faulty)
    start = [data.draw(st.integers(0, n - 1)) for n in FAULTY.shape]
    shape = [data.draw(st.integers(1, n - s)) for n, s in zip(FAULTY.shape, start, strict=True)]
    block = render(faulty, start, shape)
    box = tuple(slice(s, s + n) for s, n in zip(start, shape, strict=True))
    for part, of in zip(block, volume, strict=True):
        assert np.array_equal(part, of[box])
        assert part.dtype == of.dtype


def test_same_options_give_the_same_electrode_and_other_seeds_another(faulty):
    again = make_scene(FAULTY)
    assert all(np.array_equal(a, b) for a, b in zip(again.bodies, faulty.bodies, strict=True))
    other = make_scene(dataclasses.replace(FAULTY, seed=6))
    assert not np.array_equal(whole(other).grey, whole(faulty).grey)


def test_render_refuses_empty_blocks(faulty):
    with pytest.raises(ValueError, match="shape positive"):
        render(faulty, (0, 0, 0), (4, 0, 4))


# what is in a volume


def test_labels_count_up_by_position_and_all_show(faulty, many):
    labels = whole(faulty).labels
    assert labels.dtype == np.uint32
    assert np.array_equal(np.unique(labels), np.arange(faulty.count + 1))
    centres = many.bodies.centre[: many.count]
    assert np.array_equal(np.lexsort(centres.T[::-1]), np.arange(many.count))


def test_particles_do_not_overlap(many):
    bodies, rays = many.bodies, even_directions(3000)
    deepest = 0.0
    for i, (centre, table) in enumerate(zip(bodies.centre, bodies.radius, strict=True)):
        surface = centre + rays * np.array([value(table, *ray) for ray in rays])[:, None]
        apart = np.linalg.norm(bodies.centre - centre, axis=1)
        for j in np.flatnonzero(apart < bodies.bound + bodies.bound[i]):
            if i != j:
                offset = surface - bodies.centre[j]
                near = offset[np.linalg.norm(offset, axis=1) < bodies.bound[j]]
                depth = [value(bodies.radius[j], *v) - np.linalg.norm(v) for v in near]
                deepest = max([deepest, *depth])
    assert deepest < 0.02  # micrometers: a tenth of a voxel


def test_some_particles_touch_when_asked(fine):
    table = truth_table(fine)
    assert (table.contact_particle > 0.002).mean() > 0.3
    apart = make_scene(dataclasses.replace(fine.options, touching=0.0, film_thickness=0.6))
    assert truth_table(apart).contact_particle.max() < 0.02


@pytest.mark.parametrize(("active", "cbd"), [(0.2, 0.15), (0.35, 0.3), (0.45, 0.24)])
def test_volume_fractions_are_those_asked_for(active, cbd):
    options = PhantomOptions(
        shape=(100, 100, 100),
        spacing=(0.3,) * 3,
        diameters=(5.0, 9.0),
        active_fraction=active,
        cbd_fraction=cbd,
        **PLAIN,
    )
    volume = whole(make_scene(options))
    assert (volume.labels > 0).mean() == pytest.approx(active, abs=0.04)
    assert (volume.phases == Phase.CBD).mean() == pytest.approx(cbd, abs=0.012)


def test_volume_of_bumpy_particles_is_the_integral(fine):
    table, labels = truth_table(fine), whole(fine).labels
    inner = table[~table.touches_border]
    counted = np.bincount(labels.ravel())[inner.label] * 0.1**3
    assert len(inner) >= 3
    np.testing.assert_allclose(counted, inner.volume, rtol=0.005)
    centroids = np.array(ndimage.center_of_mass(labels > 0, labels, inner.label)) * 0.1
    np.testing.assert_allclose(centroids, inner[["z", "y", "x"]], atol=0.03)


def test_border_flags_agree_with_the_voxels(faulty, fine):
    for scene in (faulty, fine):
        labels = whole(scene).labels
        if scene.options.circle:  # beside the circle counts as border too
            outside = whole(scene).phases == Phase.OUTSIDE
            at_border = ndimage.binary_dilation(outside, np.ones((1, 3, 3)))
        else:
            at_border = np.zeros(labels.shape, bool)
        for axis in range(3):
            np.moveaxis(at_border, axis, 0)[[0, -1]] = True
        touching = np.isin(np.arange(1, scene.count + 1), labels[at_border])
        flags = truth_table(scene).touches_border.to_numpy()
        assert flags[touching].all()
        assert (flags & ~touching).sum() <= 0.1 * scene.count + 1


def test_cracks_and_cores_are_void_inside_labels():
    damaged = PhantomOptions(**SMALL, **PLAIN, seed=1, hollow=1.0, cracked=1.0, fragmented=0.5)
    sound = dataclasses.replace(damaged, hollow=0.0, cracked=0.0, fragmented=0.0, crumbled=0.0)
    voids = []
    for options in (damaged, sound):
        volume = whole(make_scene(options))
        inside = volume.labels > 0
        assert set(np.unique(volume.phases[inside])) <= {Phase.PORE, Phase.ACTIVE}
        assert not (volume.phases[~inside] == Phase.ACTIVE).any()
        voids.append((volume.phases[inside] == Phase.PORE).mean())
    assert voids[0] > 0.05
    assert voids[1] < 0.02
    table = truth_table(make_scene(damaged))
    assert table.hollow.all()
    assert table.cracked.all()
    assert 0 < table.fragmented.mean() < 1


def test_collector_and_headspace_bound_the_electrode():
    options = PhantomOptions(**SMALL, **PLAIN, collector=1.0, headspace=2.0, depth_axis=2)
    scene = make_scene(options)
    volume = whole(scene)
    assert (volume.phases[..., :5] == Phase.COLLECTOR).all()
    assert not (volume.phases[..., 5:] == Phase.COLLECTOR).any()
    assert not volume.labels[..., -10:].any()
    above = volume.phases[..., -9:]
    assert (above == Phase.PORE).mean() > 0.9
    assert truth_table(scene).contact_collector.between(0, 1).all()


def test_nothing_but_matter_where_no_particles_are_asked_for():
    scene = make_scene(PhantomOptions(**{**SMALL, "active_fraction": 0.0}))
    volume, table = whole(scene), truth_table(scene)
    assert not volume.labels.any()
    assert len(table) == 0
    assert list(table.columns) == list(truth_table(make_scene(FAULTY)).columns)


# detachment


def measured_detachment(labels: np.ndarray, phases: np.ndarray, label: int) -> float:
    """Detachment from perfect phases: boundary faces weighted by the normal, phase 1.2 voxels out."""
    box = tuple(slice(max(s.start - 8, 0), s.stop + 8) for s in ndimage.find_objects((labels == label).astype(int))[0])
    mask = labels[box] == label
    soft = ndimage.gaussian_filter(mask.astype(float), 1.5)
    gradient = [-slope for slope in np.gradient(soft)]
    area = contact = 0.0
    for axis in range(3):
        for sign in (1, -1):
            face = mask & ~np.roll(mask, -sign, axis)
            points = np.argwhere(face).astype(float)
            points[:, axis] += 0.5 * sign
            normals = np.stack([ndimage.map_coordinates(g, points.T, order=1) for g in gradient], -1)
            normals /= np.linalg.norm(normals, axis=1, keepdims=True)
            weight = np.abs(normals[:, axis])
            out = np.rint(points + 1.2 * normals).astype(int).clip(0, np.array(mask.shape) - 1)
            on_cbd = phases[box][tuple(out.T)] == Phase.CBD
            area += weight.sum()
            contact += weight[on_cbd].sum()
    return 1 - contact / area


def test_true_detachment_is_what_perfect_phases_show(fine):
    volume, table = whole(fine), truth_table(fine)
    inner = table[~table.touches_border]
    measured = np.array([measured_detachment(volume.labels, volume.phases, label) for label in inner.label])
    error = measured - inner.detachment.to_numpy()
    assert inner.detachment.std() > 0.05
    assert np.abs(error).mean() < 0.01  # voxels of 1/50 diameter
    assert np.abs(error).max() < 0.02


def test_true_detachment_follows_the_intended(many):
    table = truth_table(many)
    inner = table[~table.touches_border]
    assert len(inner) > 60
    assert np.corrcoef(inner.detachment, inner.intended_detachment)[0, 1] > 0.9
    assert inner.detachment.mean() == pytest.approx(0.3, abs=0.06)
    shares = inner.contact_cbd + inner.detachment
    np.testing.assert_allclose(shares, 1)


@pytest.mark.parametrize("mean", [0.0, 1.0])
def test_extreme_detachment_is_exact(mean):
    options = PhantomOptions(**SMALL, detachment_mean=mean, touching=0.0, cbd_fraction=0.4)
    table = truth_table(make_scene(options))
    beside = table.contact_particle if mean == 0 else 0.0  # two films thick, but some particles find no more room
    np.testing.assert_allclose(table.detachment, mean + beside, atol=1e-9)
    assert table.contact_particle.max() < 0.02


def test_conditions_differ_and_small_particles_spread_more():
    def draw(mean: float) -> tuple[np.ndarray, np.ndarray]:  # diameters, degrees
        scene = make_scene(PhantomOptions(shape=(160, 300, 300), diameters=(4.0, 16.0), detachment_mean=mean, seed=4))
        return truth_table(scene, rays=100).equivalent_diameter.to_numpy(), scene.intended[: scene.count]

    mild, severe = draw(0.2), draw(0.5)
    assert severe[1].mean() - mild[1].mean() > 0.2
    small, big = (severe[1][sieve] for sieve in (severe[0] < 8, severe[0] > 12))
    assert small.std() > big.std()


def test_surface_cut_by_the_field_counts_neither_way():
    whole_field = make_scene(PhantomOptions(**SMALL, detachment_mean=1.0, touching=0.0, seed=3))
    table = truth_table(whole_field)
    assert table.touches_border.any()
    np.testing.assert_allclose(table.detachment.dropna(), 1.0, atol=1e-9)


# grey values


@pytest.mark.parametrize("contrast", ["dry", "wet"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_grey_values_carry_density(contrast, dtype):
    options = PhantomOptions(**SMALL, **PLAIN, contrast=contrast, dtype=dtype, density_spread=0.0, collector=1.0)
    volume = whole(make_scene(options))
    scale, offset = density_calibration(options)
    pore = 0.88e-6 if contrast == "wet" else 0.0
    expected = {
        Phase.PORE: pore,
        Phase.CBD: 0.6 * 1.33e-6 + 0.4 * pore,
        Phase.ACTIVE: 3.31e-6,
        Phase.COLLECTOR: 1.88e-6,
    }
    assert volume.grey.dtype == dtype
    for phase, delta in expected.items():
        levels = np.unique(volume.grey[volume.phases == phase])
        assert len(levels) == 1
        assert levels[0] * scale + offset == pytest.approx(delta, abs=0.51 * scale)


def test_carbon_binder_nearly_vanishes_when_wet():
    from tomostat.phantom.rendering import contrast

    dry, wet = (contrast(PhantomOptions(contrast=state))[Phase.CBD] for state in ("dry", "wet"))
    assert dry == pytest.approx(0.241, abs=0.001)
    assert wet == pytest.approx(0.111, abs=0.001)


def test_noise_has_the_strength_asked_for():
    clean = PhantomOptions(**SMALL, seed=1, dtype="uint16", noise=0.0)
    grey = [whole(make_scene(dataclasses.replace(clean, noise=level))).grey.astype(float) for level in (0.0, 0.1)]
    span = (clean.grey_levels[1] - clean.grey_levels[0]) * 65535
    assert (grey[1] - grey[0]).std() / span == pytest.approx(0.1, rel=0.03)


def test_rings_are_round_and_shading_is_slow():
    empty = {**SMALL, "active_fraction": 0.0, "cbd_fraction": 0.0, "dtype": "uint16", **PLAIN}
    rings = whole(make_scene(PhantomOptions(**empty, rings=0.1))).grey.astype(float)
    assert rings.std() > 0
    turned = np.swapaxes(rings[:, :, 4:52], 1, 2)  # the rings' centre lies in the middle of the slice
    np.testing.assert_allclose(rings[:, :, 4:52], turned, atol=1.0)
    shading = whole(make_scene(PhantomOptions(**empty, shading=0.5))).grey.astype(float)
    assert np.ptp(shading) > 1000
    assert np.abs(np.diff(shading, axis=2)).max() < 0.1 * np.ptp(shading)


def test_outside_the_circle_all_is_blank(faulty):
    grey, labels, phases = whole(faulty)
    outside = phases == Phase.OUTSIDE
    y, x = np.ogrid[:48, :56]
    assert np.array_equal(outside[0], np.hypot(y - 23.5, x - 27.5) > 0.9 * 24)
    assert len(np.unique(grey[outside])) == 1
    assert not labels[outside].any()


def test_particles_differ_in_density_as_the_table_says():
    options = PhantomOptions(**SMALL, **PLAIN, density_spread=0.1, dtype="uint16")
    scene = make_scene(options)
    volume, table = whole(scene), truth_table(scene)
    scale, offset = density_calibration(options)
    solid = np.where(volume.phases == Phase.ACTIVE, volume.labels, 0)
    delta = ndimage.mean(volume.grey * scale + offset, solid, table.label)
    np.testing.assert_allclose(delta / 3.31e-6, table.density, rtol=2e-3)


def test_phase_codes_are_those_of_volumes():
    names = ("PORE", "CBD", "ACTIVE", "COLLECTOR", "OUTSIDE")
    assert {name: getattr(rules, name) for name in names} == {phase.name: phase.value for phase in Phase}


# options


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shape": (0, 8, 8)}, "shape"),
        ({"shape": (8, 8)}, "shape"),
        ({"spacing": (0.2, 0.2, -1.0)}, "spacing"),
        ({"spacing": (0.2, float("nan"), 0.2)}, "spacing"),
        ({"seed": -1}, "seed"),
        ({"diameters": (9.0, 5.0)}, "diameters"),
        ({"diameters": (0.5, 5.0)}, "at least 4 voxels"),
        ({"distribution": "normal"}, "distribution"),
        ({"active_fraction": 0.8}, "active_fraction"),
        ({"cbd_fraction": 0.7}, "cbd_fraction"),
        ({"touching": 1.5}, "touching"),
        ({"detachment_mean": -0.1}, "detachment_mean"),
        ({"gap_width": (0.1, 0.5)}, "gap_width"),
        ({"film_thickness": 0.1}, "film_thickness"),
        ({"collector": 60.0}, "collector and headspace"),
        ({"headspace": -1.0}, "headspace"),
        ({"collector": 20.0, "headspace": 20.0}, "collector and headspace"),
        ({"depth_axis": 3}, "depth_axis"),
        ({"contrast": "damp"}, "contrast"),
        ({"dtype": "float32"}, "dtype"),
        ({"grey_levels": (0.9, 0.1)}, "grey_levels"),
        ({"blur": -1.0}, "blur"),
        ({"noise": -0.1}, "noise"),
    ],
)
def test_options_that_make_no_electrode_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        PhantomOptions(**wrong)


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=8)
def test_random_options_make_electrodes_with_bright_particles(seed):
    options = random_options(np.random.default_rng(seed), shape=(6, 64, 64))
    grey, labels, phases = render(make_scene(options), (0, 0, 0), (6, 64, 64))
    core = ndimage.binary_erosion(phases == Phase.ACTIVE, iterations=2)
    around = np.isin(phases, (Phase.PORE, Phase.CBD)) & (labels == 0)
    if core.sum() > 200 and around.sum() > 200:
        assert grey[core].mean() > grey[around].mean() + 10


# files


def test_simulated_volume_holds_voxels_truth_and_density(tmp_path: Path):
    path = tmp_path / "field.zarr"
    options = dataclasses.replace(FAULTY, shape=(70, 48, 56))
    seen: list[str] = []
    simulate_volume(path, options, progress=lambda label, done, total: seen.append(label))
    scene = make_scene(options)
    expected = whole(scene)
    box = tuple(slice(0, n) for n in options.shape)
    for label, part in zip((None, "truth_particles", "truth_phases"), expected, strict=True):
        assert np.array_equal(read_box(path, box, label), part)
        assert len(describe(path, label).levels) > 1
    attributes = describe(path).attributes
    assert (attributes["density_scale"], attributes["density_offset"]) == density_calibration(options)
    pd.testing.assert_frame_equal(pd.read_parquet(path / "truth.parquet"), truth_table(scene))
    assert "simulate" in seen


def test_simulation_does_not_overwrite_what_is_no_volume(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not lose")
    with pytest.raises(ValueError, match="no volume"):
        simulate_volume(tmp_path / "mine", PhantomOptions(**SMALL))
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_kernels_load_without_dask_and_zarr():
    code = (
        "import sys; from tomostat.phantom import make_scene, render, random_options, truth_table; "
        "assert not {'dask', 'zarr', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
