"""Phases: every kernel against something simpler, the stage on phantoms, real sand and what it must not invent."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import tifffile
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage, special
from skimage.filters import threshold_multiotsu
from tomostat.phases.filters import Cuts, calm, classify, reach, smooth, smooth_within

from tomostat import volume
from tomostat.execution import Execution
from tomostat.phantom import make_scene, render
from tomostat.phantom.options import PhantomOptions
from tomostat.phase import Phase
from tomostat.phases import segment_phases
from tomostat.phases.kernels import sharpness
from tomostat.phases.kernels.counts import Bins, pack, quantile, unpack
from tomostat.phases.kernels.outside import REACH, choose_outside, constant_areas, fit_circle, outside_mask
from tomostat.phases.kernels.shading import cell_counts, cell_numbers, field_grid, fit_shading
from tomostat.phases.kernels.thresholds import class_means, is_real, multi_otsu, spread_of
from tomostat.phases.options import PhasesOptions
from tomostat.volume import create_volume, describe, read_box, read_flat, read_shading, spread_grid, write_box

CHUNKINGS = [(40, 50, 60), (7, 50, 60), (20, 16, 23)]


def whole(shape):
    return tuple(slice(0, n) for n in shape)


def in_one(array: da.Array) -> np.ndarray:
    return array.compute(scheduler="synchronous")


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A grey array as a volume; with small shards, so that many blocks are made."""

    def store(grey, name="v", small=False):
        if small:
            monkeypatch.setattr(volume, "CHUNK", (8, 16, 16))
            monkeypatch.setattr(volume, "SHARD", (16, 32, 32))
        path = tmp_path / f"{name}.zarr"
        create_volume(path, shape=grey.shape, dtype=grey.dtype, spacing=(0.2, 0.2, 0.2))
        write_box(path, (0, 0, 0), grey)
        return path

    return store


def phantom(shape=(40, 128, 128), **options):
    scene = make_scene(PhantomOptions(shape=shape, seed=3, diameters=(5.0, 11.0), **options))
    return render(scene, (0, 0, 0), shape)


def labels_of(path):
    return read_box(path, whole(describe(path).shape), "phases")


# --- counts


@given(hnp.arrays(np.float32, st.integers(1, 50), elements=st.floats(-10, 10, width=32)), st.integers(1, 30))
@settings(deadline=None)
def test_counts_and_their_text(values, number):
    bins = Bins(-8.0, 8.0, number)
    counts = bins.count(values)
    assert counts.sum() == len(values)
    clipped = np.clip(values.astype(float), -8, 8)
    for index, value in zip(bins.index(values), clipped, strict=True):
        assert bins.low + index * bins.width - 1e-4 <= value <= bins.low + (index + 1) * bins.width + 1e-4
    assert np.array_equal(unpack(pack(counts)), counts)
    assert np.array_equal(unpack(pack(counts.reshape(1, -1)), (1, number)), counts[None])


def test_quantiles_of_a_histogram():
    values = np.random.default_rng(0).normal(5, 2, 100_000)
    bins = Bins(-10, 20, 1000)
    for q in (0.005, 0.3, 0.995):
        assert abs(quantile(bins.count(values), bins, q) - np.quantile(values, q)) < 0.03


# --- outside


def disc(shape, centre, radius):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(y - centre[0], x - centre[1]) <= radius


@pytest.mark.parametrize("value", [0, 99, 255])
def test_a_round_field_of_view_is_found(value):
    rng = np.random.default_rng(0)
    field = disc((90, 100), (44.3, 50.1), 42.7)
    images = np.where(field, rng.normal(120, 20, (5, 90, 100)).clip(0, 255), value).astype(np.uint8)
    found, circle = choose_outside([constant_areas(image) for image in images])
    assert found == value
    assert np.allclose(circle, (44.3, 50.1, 42.7), atol=0.5)
    mask = outside_mask(images, value, circle, (0, 0, 0))
    assert (mask == ~field).mean() > 0.999


def test_margins_and_corners_are_outside_without_a_circle():
    image = np.random.default_rng(0).normal(120, 20, (80, 90)).astype(np.float32)
    image[:12] = -7.5
    image[60:, :9] = -7.5
    found, circle = choose_outside([constant_areas(image)])
    assert (found, circle) == (-7.5, None)
    assert np.array_equal(outside_mask(image[None], found, None, (0, 0, 0))[0], image == -7.5)


def test_nothing_is_outside_in_full_fields():
    rng = np.random.default_rng(0)
    noise = rng.normal(120, 20, (80, 90)).astype(np.uint8)
    assert choose_outside([constant_areas(noise)]) == (None, None)
    blobs = ndimage.gaussian_filter(rng.normal(size=(120, 120)), 4)
    saturated = np.clip(rng.normal(10, 8, (120, 120)) + 400 * blobs, 0, 255).astype(np.uint8)
    assert choose_outside([constant_areas(saturated)]) == (None, None), "saturated voxels are everywhere"
    plain = np.where(blobs > 0.02, 2, 0).astype(np.uint8)
    assert choose_outside([constant_areas(plain)]) == (None, None), "an image without noise is constant anywhere"


def test_the_outside_must_be_in_most_slices():
    image = np.random.default_rng(0).normal(120, 20, (80, 90)).astype(np.uint8)
    framed = image.copy()
    framed[:12] = 0
    areas = [constant_areas(image), constant_areas(framed), constant_areas(image)]
    assert choose_outside(areas) == (None, None)
    assert choose_outside([areas[1], *areas[:2]])[0] == 0


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 2**20))
@settings(deadline=None, max_examples=50)
def test_a_box_knows_its_outside(top, left, seed):
    rng = np.random.default_rng(seed)
    image = np.where(ndimage.gaussian_filter(rng.normal(size=(1, 44, 44)), 3) > 0, 5, rng.integers(0, 9, (1, 44, 44)))
    every = outside_mask(image, 5, (20.0, 21.0, 18.0), (0, 0, 0))
    box = np.s_[:, top : top + 14, left : left + 14]
    y0, x0 = max(top - REACH, 0), max(left - REACH, 0)
    wide = np.s_[:, y0 : top + 14 + REACH, x0 : left + 14 + REACH]
    found = outside_mask(image[wide], 5, (20.0, 21.0, 18.0), (0, y0, x0))
    assert np.array_equal(found[:, top - y0 :, left - x0 :][:, :14, :14], every[box])


@given(st.floats(-50, 50), st.floats(-50, 50), st.floats(5, 200), st.floats(1, 6))
def test_circles_are_fitted_from_arcs(cy, cx, radius, arc):
    angle = np.linspace(0.3, 0.3 + arc, 60)
    points = np.stack([cy + radius * np.sin(angle), cx + radius * np.cos(angle)], axis=1)
    assert np.allclose(fit_circle(points), (cy, cx, radius), atol=1e-4)


def test_what_is_no_circle_is_none():
    t = np.linspace(0, 40, 80)
    assert fit_circle(np.stack([t, np.abs(t - 20)], axis=1)) is None
    assert fit_circle(np.stack([t, 0.001 * t], axis=1)) is None, "a straight edge"
    assert fit_circle(np.zeros((3, 2))) is None


# --- shading


@given(st.tuples(*[st.integers(1, 12)] * 3), st.tuples(*[st.integers(1, 3)] * 3), st.integers(0, 2**20))
@settings(deadline=None, max_examples=40)
def test_cells_add_up_over_any_blocks(shape, parts, seed):
    rng = np.random.default_rng(seed)
    grey, inside = rng.normal(size=shape).astype(np.float32), rng.random(shape) > 0.3
    cells = tuple(int(rng.integers(1, n + 1)) for n in shape)
    bins = Bins(-2, 2, 5)
    total = np.zeros((*cells, 5), int)
    core = tuple(-(-n // p) for n, p in zip(shape, parts, strict=True))
    for block in volume.block_grid(shape, core):
        first, counts = cell_counts(grey[block.core], inside[block.core], block.core, shape, cells, bins)
        total[tuple(slice(a, a + n) for a, n in zip(first, counts.shape, strict=False))] += counts
    expected = np.zeros_like(total)
    for place in zip(*np.nonzero(inside), strict=True):
        cell = tuple(int(p) * m // n for p, m, n in zip(place, cells, shape, strict=True))
        expected[cell][bins.index(grey[place][None])[0]] += 1
    assert np.array_equal(total, expected)


def test_numbers_of_cells():
    assert cell_numbers((1, 655, 1024), (1, 1, 1), 0) == (1, 12, 12)
    assert cell_numbers((64, 256, 256), (0.2, 0.2, 0.2), 25.6) == (2, 6, 6)
    assert cell_numbers((2048, 2048, 2048), (1, 1, 1), 1) == (16, 16, 16)


def shaded(amplitude, seed=0, shape=(48, 120, 120)):
    """Balls in a void, their share changing across the field, blurred and noisy, with a known slow field."""
    rng = np.random.default_rng(seed)
    z, y, x = (np.linspace(-1, 1, n).reshape([-1 if a == i else 1 for a in range(3)]) for i, n in enumerate(shape))
    blobs = ndimage.gaussian_filter(rng.normal(size=shape), 5)
    active = blobs / blobs.std() > 0.3 - 0.6 * x
    field = amplitude * (y**2 - 1 / 3 + 0.5 * x * z + 0.4 * np.sin(2 * x))
    grey = 60 + 120 * ndimage.gaussian_filter(active.astype(float), 1.0) + 6 * rng.normal(size=shape) + field
    return grey.astype(np.float32), np.broadcast_to(field - field.mean(), shape)


@pytest.mark.parametrize(("amplitude", "error"), [(0.0, 1.0), (15.0, 1.5), (40.0, 3.0)])
def test_shading_is_found_whatever_the_content(amplitude, error):
    grey, truth = shaded(amplitude)
    cells, bins = cell_numbers(grey.shape, (1, 1, 1), 0), Bins(float(grey.min()), float(grey.max()), 256)
    smoothed = ndimage.gaussian_filter(grey, 0.7)
    _, counts = cell_counts(smoothed, None, whole(grey.shape), grey.shape, cells, bins)
    field = fit_shading(counts, bins, 2)
    found = spread_grid(field_grid(field.cells, grey.shape), grey.shape, whole(grey.shape))
    assert (found - truth).std() < error, "of a contrast of 120"
    assert abs(np.average(field.cells, weights=counts.sum(axis=-1))) < 1e-6
    means, _ = class_means(field.counts, bins, multi_otsu(field.counts, bins, 2))
    assert abs(means[1] - means[0] - 120) < 20


def test_a_grid_follows_a_linear_field():
    """What lies linearly in the middles of cells is kept, to the first and the last voxel."""
    shape, cells = (1, 30, 44), (1, 3, 4)
    y, x = (np.arange(n) + 0.5 for n in cells[1:])
    values = (2.0 * y[:, None] * 10 - 1.5 * x * 11)[None]
    found = spread_grid(field_grid(values, shape), shape, whole(shape))
    expected = 2.0 * (np.arange(30)[:, None] + 0.5) - 1.5 * (np.arange(44) + 0.5)
    assert np.allclose(found[0], expected, atol=1e-3)


# --- thresholds


@given(st.lists(st.integers(0, 20), min_size=6, max_size=12), st.integers(2, 3))
@settings(deadline=None, max_examples=60)
def test_multi_otsu_is_best_of_all_cuts(counts, classes):
    """The cuts part the bins as the best of all possible cuts does, up to empty bins and equals."""
    counts = np.array(counts)
    bins = Bins(0.0, float(len(counts)), len(counts))
    if np.count_nonzero(counts) < classes:
        with pytest.raises(ValueError, match="classes or more"):
            multi_otsu(counts, bins, classes)
        return

    def between(cuts):
        means, shares = class_means(counts, bins, np.array(cuts, float))
        return float((shares * means**2).sum())

    places = range(1, len(counts))
    every = [(a,) for a in places] if classes == 2 else [(a, b) for a in places for b in places if a < b]
    assert between(multi_otsu(counts, bins, classes)) >= max(map(between, every)) - 1e-9


def test_multi_otsu_agrees_with_scikit_image():
    values = np.concatenate([mixture(5.0), mixture(0.0) + 12])
    bins = Bins(-6, 18, 400)
    counts = bins.count(values)
    assert np.allclose(multi_otsu(counts, bins, 3), threshold_multiotsu(hist=(counts, bins.centres)), atol=0.3)


def test_cuts_lie_in_the_middle_of_an_empty_valley():
    bins = Bins(0, 100, 100)
    counts = np.zeros(100, int)
    counts[[10, 90]] = 1000, 30
    assert np.allclose(multi_otsu(counts, bins, 2), [50.5])


def mixture(apart, share=0.5, n=200_000):
    rng = np.random.default_rng(0)
    return rng.normal(size=n) + np.where(rng.random(n) < share, apart, 0.0)


@pytest.mark.parametrize(("apart", "real"), [(0.0, False), (1.0, False), (2.0, True), (4.0, True)])
def test_a_phase_is_real_when_noise_cannot_make_it(apart, real):
    bins = Bins(-6, 12, 500)
    counts = bins.count(mixture(apart))
    assert is_real(counts, bins, multi_otsu(counts, bins, 2), 1.0) is real
    assert not is_real(counts, bins, np.array([5.9 + apart]), 1.0), "an all but empty class"


def test_noise_from_differences():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 3, (2, 100_000))
    b[:5000] += 200
    steps = Bins(0, 300, 4096)
    assert abs(spread_of(steps.count(np.abs(a - b)), steps) - 3) < 0.3, "few outliers do little"
    assert spread_of(np.zeros(4096, int), steps) == 0.0


# --- filters


@pytest.fixture(scope="module")
def scene():
    """Flat grey values, field of view and cuts, with all phases."""
    made = phantom((40, 50, 60), collector=2.0, circle=0.95, noise=0.1)
    return made.grey.astype(np.float32), made.phases != Phase.OUTSIDE, Cuts(65.0, 95.0, 150.0, 118.0)


@pytest.mark.parametrize("cuts", [0, 1, 2, 3])
def test_classes_are_the_same_by_any_chunks(scene, cuts):
    grey, inside, every = scene
    cut = (every, Cuts(65.0, None, 120.0), Cuts(None, None, 120.0), Cuts())[cuts]
    found = []
    for chunks in CHUNKINGS:
        lazy = classify(da.from_array(grey, chunks=chunks), da.from_array(inside, chunks=chunks), cut, 0.7)
        assert lazy.dtype == np.uint8
        found.append(in_one(lazy))
    assert all(np.array_equal(found[0], other) for other in found[1:])
    assert set(np.unique(found[0])) == {0, 4} | ({2} if cut.active else set()) | (
        {1} if cut.cbd else set()
    ) | ({3} if cut.collector else set())  # fmt: skip


@pytest.mark.parametrize("shape", [(40, 50, 60), (1, 50, 60), (2, 50, 60), (3, 9, 60), (1, 1, 60)])
@pytest.mark.parametrize("sigma", [0.7, 1.5])
def test_smoothing_is_scipys_to_the_last_bit(shape, sigma):
    grey = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = ndimage.gaussian_filter(grey, [sigma if n > 1 else 0 for n in shape], truncate=3.0)
    for chunks in CHUNKINGS:
        assert np.array_equal(in_one(smooth(da.from_array(grey, chunks=chunks), sigma)), expected)
    assert np.array_equal(in_one(smooth(da.from_array(grey), 0)), grey)


def test_smoothing_within_a_mask_takes_nothing_from_without():
    rng = np.random.default_rng(0)
    mask = rng.random((6, 20, 20)) > 0.4
    grey = np.where(mask, 7.0, rng.normal(1e4, 1e3, mask.shape)).astype(np.float32)
    value, weight = smooth_within(da.from_array(grey), da.from_array(mask), 1.0)
    assert np.allclose(in_one(value)[in_one(weight) > 1e-3], 7.0, atol=1e-3)


@pytest.mark.parametrize("size", [3, 5])
def test_calm_voxels_have_like_neighbours(size):
    kinds = (ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(12, 14, 16)), 2) > 0).astype(np.uint8)
    expected = ndimage.generic_filter(kinds, lambda v: v.min() == v.max(), size)
    assert np.array_equal(in_one(calm(da.from_array(kinds, chunks=7), size)), expected.astype(bool))


def test_a_crop_with_its_halo_is_classified_as_the_whole(scene):
    grey, inside, cuts = scene
    every = in_one(classify(da.from_array(grey), da.from_array(inside), cuts, 0.7))
    halo = reach(0.7, True)
    for block in volume.block_grid(grey.shape, (20, 25, 30), (halo,) * 3):
        part = classify(da.from_array(grey[block.outer]), da.from_array(inside[block.outer]), cuts, 0.7)
        assert np.array_equal(in_one(part)[block.inner], every[block.core])


def test_the_blurred_skin_of_a_particle_is_no_carbon_binder():
    """A ball in a void, blurred: its skin passes through the carbon-binder's grey value (the halo trap)."""
    z, y, x = np.ogrid[-16:17, -16:17, -16:17]
    ball = (z**2 + y**2 + x**2 < 100).astype(np.float32)
    rng = np.random.default_rng(0)
    grey = 50 + 130 * ndimage.gaussian_filter(ball, 1.2) + 5 * rng.normal(size=ball.shape)
    smoothed = ndimage.gaussian_filter(grey, 0.7)
    naive = (smoothed > 70) & (smoothed < 115)
    found = in_one(classify(da.from_array(grey.astype(np.float32)), None, Cuts(70.0, None, 115.0), 0.7))
    skin = ndimage.binary_dilation(ball > 0, iterations=2) & (ball == 0)
    assert naive[skin].mean() > 0.3
    assert (found == Phase.CBD)[skin].mean() < 0.01


# --- noise and blur


def test_pairs_of_voxels_have_one_owner():
    rng = np.random.default_rng(0)
    grey, mask = rng.normal(size=(9, 20, 21)).astype(np.float32), rng.random((9, 20, 21)) > 0.3
    steps = Bins(0, 6, 64)
    every = sharpness.lag_counts(grey, mask, whole(grey.shape), steps)
    parts = [
        sharpness.lag_counts(grey[block.outer], mask[block.outer], block.inner, steps)
        for block in volume.block_grid(grey.shape, (5, 6, 7), (sharpness.LAG,) * 3)
    ]
    assert np.array_equal(sum(parts), every)
    pairs = sum((mask[k:, :, :][:, :, :] & mask[: 9 - k]).sum() for k in [sharpness.LAG])
    pairs += (mask[:, 4:] & mask[:, :-4]).sum() + (mask[:, :, 4:] & mask[:, :, :-4]).sum()
    assert every.sum() == pairs


@pytest.mark.parametrize("sigma", [0.8, 1.2, 2.0])
def test_blur_of_a_ball(sigma):
    z, y, x = np.ogrid[-24:25, -24:25, -24:25]
    r = np.sqrt(z**2 + y**2 + x**2)
    rng = np.random.default_rng(0)
    grey = (50 + 130 * special.ndtr((16 - r) / sigma) + 10 * rng.normal(size=r.shape)).astype(np.float32)
    phases = np.where(r < 16, Phase.ACTIVE, Phase.PORE).astype(np.uint8)
    number, total = sharpness.edge_profiles(grey, phases, 50.0, 180.0)
    assert number > 500
    assert abs(sharpness.fit_blur(number, total) - sigma) < 0.12 * sigma + 0.05


def test_no_edges_no_blur():
    grey, phases = np.zeros((5, 9, 9), np.float32), np.zeros((5, 9, 9), np.uint8)
    assert sharpness.fit_blur(*sharpness.edge_profiles(grey, phases, 0.0, 1.0)) is None


# --- the stage


def scores(found, truth):
    inside = truth != Phase.OUTSIDE
    return (found == truth)[inside].mean(), (found == Phase.OUTSIDE)[~inside].mean() if (~inside).any() else 1.0


CASES = {
    # options of the phantom, options of the stage, least voxel accuracy
    "dry": ({}, {}, 0.87),
    "faults": ({"shading": 0.3, "circle": 0.95, "rings": 0.02, "noise": 0.1}, {}, 0.84),
    "uint16": ({"dtype": "uint16", "grey_levels": (0.5, 0.55), "circle": 0.9}, {}, 0.86),
    "collector": ({"collector": 3.0, "headspace": 3.0, "noise": 0.05}, {"collector": True}, 0.88),
    "wet": ({"contrast": "wet", "noise": 0.05}, {}, 0.85),
}


@pytest.mark.parametrize("case", CASES)
def test_phantoms_are_told_apart(stored, case):
    image, options, least = CASES[case]
    made = phantom(**image)
    path = stored(made.grey)
    fit = segment_phases(path, options=PhasesOptions(**options))
    accuracy, outside = scores(labels_of(path), made.phases)
    assert accuracy > least
    assert outside > 0.999
    assert fit["warnings"] == []
    levels = fit["levels"]
    contrast = levels["active"] - levels["pore"]
    top = 65535 if made.grey.dtype == np.uint16 else 255
    low, high = image.get("grey_levels", (0.2, 0.72))
    assert abs(contrast / (high - low) / top - 1) < 0.06
    if "shading" not in image:  # the mean of the shading stays in the levels
        assert abs(levels["pore"] - low * top) < 0.03 * contrast
    assert levels["pore"] < levels["cbd"] < levels["active"]
    assert (levels["collector"] is None) == (case != "collector")
    assert abs(fit["blur"] - 1.0) < 0.15
    assert 0 < fit["noise"] / contrast - image.get("noise", 0.08) < 0.05, "noise and the grain of the particles"
    assert fit["percentiles"][0] < levels["pore"] < levels["active"] < fit["percentiles"][1]
    assert (fit["circle"] is None) == ("circle" not in image)
    assert describe(path, "phases").attributes["levels"] == levels


def test_better_than_multi_otsu_on_all_voxels(stored):
    """The halo trap and the empty middle class of plain multi-Otsu cost more than half of the errors."""
    made = phantom()
    smoothed = ndimage.gaussian_filter(made.grey.astype(np.float32), 1.0)
    plain = np.digitize(smoothed, threshold_multiotsu(smoothed, 3))
    path = stored(made.grey)
    segment_phases(path)
    assert (labels_of(path) != made.phases).mean() < 0.55 * (plain != made.phases).mean()


def test_shading_is_removed_and_stored(stored):
    made = phantom(shading=0.4, noise=0.05)
    path = stored(made.grey)
    fit = segment_phases(path)
    assert fit["shading"] > 5
    flat = read_flat(path, whole(made.grey.shape))
    active = ndimage.binary_erosion(made.phases == Phase.ACTIVE, iterations=2)
    corner = [
        np.s_[a : a + 10, b : b + 32, c : c + 32]
        for a in range(0, 40, 10)
        for b in range(0, 128, 32)
        for c in range(0, 128, 32)
    ]
    corner = [box for box in corner if active[box].sum() > 500]
    before, after = ([np.median(image[box][active[box]]) for box in corner] for image in (made.grey, flat))
    assert np.std(after) < 0.4 * np.std(before), "level of active material across the field"
    segment_phases(path, options=PhasesOptions(shading=False))
    assert read_shading(path) is None


def test_results_do_not_depend_on_blocks_or_workers(stored):
    made = phantom((20, 70, 48), shading=0.2, circle=0.95, collector=2.0)
    options = PhasesOptions(collector=True)
    results = []
    for name, block, threads in (("a", None, 1), ("b", (32, 32, 64), 2), ("c", (16, 64, 32), 3)):
        path = stored(made.grey, name, small=True)
        with dask.config.set(num_workers=threads):
            fit = segment_phases(path, options=options, block=block)
        results.append((fit, labels_of(path), read_shading(path), read_box(path, whole((10, 35, 24)), "phases", 1)))
    path = stored(made.grey, "d", small=True)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        fit = segment_phases(path, options=options, execution=Execution(client=client))
    results.append((fit, labels_of(path), read_shading(path), read_box(path, whole((10, 35, 24)), "phases", 1)))
    for fit, *arrays in results[1:]:
        assert fit == results[0][0]
        assert all(np.array_equal(a, b) for a, b in zip(arrays, results[0][1:], strict=True))


def test_an_interrupted_run_goes_on(stored, tmp_path, monkeypatch):
    made = phantom((20, 64, 48), shading=0.2)
    whole_run = segment_phases(stored(made.grey, "a", small=True))
    expected = labels_of(tmp_path / "a.zarr")
    path, markers = stored(made.grey, "b", small=True), tmp_path / "markers"
    from tomostat.phases import segment

    real, calls = segment._store_labels, []

    def fails(*arguments):
        calls.append(1)
        if len(calls) == 5:
            raise RuntimeError("power cut")
        return real(*arguments)

    monkeypatch.setattr(segment, "_store_labels", fails)
    with dask.config.set(num_workers=1), pytest.raises(RuntimeError, match="power cut"):
        segment_phases(path, markers=markers)
    before = len(calls)
    fit = segment_phases(path, markers=markers)
    assert fit == whole_run
    assert np.array_equal(labels_of(path), expected)
    blocks = len(list((markers / "labels").glob("*.json")))
    assert len(calls) - before == blocks - 4, "four blocks stood"


def test_one_slice(stored):
    made = phantom((3, 160, 160))
    path = stored(made.grey[1:2])
    fit = segment_phases(path)
    assert (labels_of(path)[0] == made.phases[1]).mean() > 0.8
    assert fit["blur"] is not None


def test_no_carbon_binder_is_invented(stored, caplog):
    """Two phases with blurred edges, noise, grain in the noise: no class between them."""
    grey, _ = shaded(0.0)
    rng = np.random.default_rng(1)
    for name, noise in (("fine", 0.0), ("grain", ndimage.gaussian_filter(rng.normal(size=grey.shape), 1.0) * 80)):
        path = stored(np.clip(grey + noise, 0, 255).astype(np.uint8), name)
        fit = segment_phases(path)
        assert fit["levels"]["cbd"] is None
        assert len(fit["thresholds"]) == 1
        assert "no carbon-binder domain" in fit["warnings"][0]
        assert "no carbon-binder domain" in caplog.text
        assert not (labels_of(path) == Phase.CBD).any()


def test_a_field_without_active_material_is_all_pore(stored):
    grey = np.random.default_rng(0).normal(100, 12, (20, 64, 64)).astype(np.uint8)
    path = stored(grey)
    fit = segment_phases(path)
    assert "one phase only" in fit["warnings"][0]
    assert not labels_of(path).any()
    assert fit["levels"] == {"pore": pytest.approx(100, abs=1), "cbd": None, "active": None, "collector": None}
    assert fit["blur"] is None
    assert fit["noise"] == pytest.approx(12, abs=1)


def test_no_collector_is_invented(stored):
    path = stored(phantom().grey)
    fit = segment_phases(path, options=PhasesOptions(collector=True))
    assert fit["levels"]["collector"] is None or fit["shares"]["collector"] < 0.005


def test_given_thresholds_are_taken(stored):
    made = phantom(noise=0.05)
    path = stored(made.grey)
    fit = segment_phases(path, options=PhasesOptions(thresholds=(66.0, 118.0), shading=False))
    assert fit["thresholds"] == [66.0, 118.0]
    assert scores(labels_of(path), made.phases)[0] > 0.86
    two = segment_phases(path, options=PhasesOptions(phases=2, thresholds=(118.0,), shading=False))
    assert two["thresholds"] == [118.0]
    assert set(np.unique(labels_of(path))) == {0, 2}


def test_float_volumes_with_outliers(stored):
    made = phantom(circle=0.9)
    grey = made.grey.astype(np.float32) * 1e-8 - 3e-7
    grey[5, 64, 64], grey[6, 60, 60] = 1.0, -1.0
    path = stored(grey)
    fit = segment_phases(path)
    assert scores(labels_of(path), made.phases)[0] > 0.85
    assert 0.2 * 255e-8 - 3e-7 == pytest.approx(fit["levels"]["pore"], abs=5e-8)


def test_bad_input_is_refused(stored, tmp_path):
    with pytest.raises(FileNotFoundError, match="no volume"):
        segment_phases(tmp_path / "none.zarr")
    framed = np.full((4, 40, 40), 9, np.uint8)
    path = stored(framed)
    with pytest.raises(ValueError, match="same grey value"):
        segment_phases(path)
    with pytest.raises(ValueError, match="whole numbers of shards"):
        segment_phases(stored(np.zeros((4, 80, 80), np.uint8), "b", small=True), block=(16, 40, 32))
    assert not (path / "labels").exists()


def test_real_sand(data, tmp_path):
    """Grains against the hand-drawn truth of slices 1 to 3; a plain Otsu in the field of view gives 0.918."""
    from tomostat.ingest import ingest_volume

    truth = tifffile.imread(data / "sand_ct_truth.tif") > 0
    grey = tifffile.imread(data / "sand_ct.tif")[:8]
    tifffile.imwrite(tmp_path / "sand.tif", grey, photometric="minisblack")
    ingest_volume(tmp_path / "sand.tif", tmp_path / "sand.zarr", spacing=1.0)
    fit = segment_phases(tmp_path / "sand.zarr", options=PhasesOptions(phases=2))
    found = labels_of(tmp_path / "sand.zarr")
    grains = found[:3] == Phase.ACTIVE
    assert 2 * (grains & truth).sum() / (grains.sum() + truth.sum()) > 0.9185
    assert ((found == Phase.OUTSIDE) == (grey == 2)).mean() > 0.9999
    assert np.allclose(fit["circle"], (255.5, 255.5, 256), atol=0.7)


def test_real_slice_at_the_edge_of_its_field(data, tmp_path):
    from tomostat.ingest import ingest_volume

    ingest_volume(data / "nmc_fullres.tif", tmp_path / "v.zarr", spacing=0.05)
    fit = segment_phases(tmp_path / "v.zarr")
    found = labels_of(tmp_path / "v.zarr")[0]
    assert (found[:40, :40] == Phase.OUTSIDE).all()
    assert (found[650:, :60] == Phase.OUTSIDE).all()
    assert 0.01 < (found == Phase.OUTSIDE).mean() < 0.02
    assert fit["circle"] is None, "two corners, no circle"
    assert (found[90:160, 110:150] == Phase.ACTIVE).mean() > 0.95
    assert fit["levels"]["cbd"] is not None
