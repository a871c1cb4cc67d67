"""Estimates from the whole volume: shading is removed, outliers are left out, no phase is invented."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from shapes import phantom_block, shaded_blobs
from stores import read_whole
from tomostat.phase import Phase, PhaseLevels
from tomostat.phases import plan, segment_phases
from tomostat.phases.options import PhasesOptions
from tomostat.volume import read_flat, read_shading
from volumes import whole_box


def test_shading_is_removed_and_stored(stored):
    made = phantom_block(shading=0.4, noise=0.05)
    path = stored(made.grey)
    fit = segment_phases(path)
    assert fit.shading > 5
    flat = read_flat(path, whole_box(made.grey.shape))
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


def test_thresholds_of_a_large_volume_come_from_parts_of_it(stored, monkeypatch):
    """Nearly the same as from all of it, and exactly the same whatever the blocks."""
    path = stored(phantom_block(noise=0.05).grey, small=True)
    whole = segment_phases(path)
    monkeypatch.setattr(plan, "SHARD", (16, 32, 32))
    monkeypatch.setattr(plan, "MOST_PARTS", 12)
    parts = [segment_phases(path, block=block) for block in ((16, 32, 32), (32, 64, 128))]
    assert parts[0] == parts[1]
    contrast = whole.levels.active - whole.levels.pore
    assert parts[0].thresholds != whole.thresholds
    assert parts[0].thresholds == pytest.approx(whole.thresholds, abs=0.02 * contrast)
    assert parts[0].noise == pytest.approx(whole.noise, rel=0.05)


def test_no_carbon_binder_is_invented(stored):
    """Two phases with blurred edges, noise, grain in the noise: no class between them."""
    grey, _ = shaded_blobs(0.0)
    rng = np.random.default_rng(1)
    for name, noise in (("fine", 0.0), ("grain", ndimage.gaussian_filter(rng.normal(size=grey.shape), 1.0) * 80)):
        path = stored(np.clip(grey + noise, 0, 255).astype(np.uint8), name)
        fit = segment_phases(path)
        assert fit.levels.cbd is None
        assert len(fit.thresholds) == 1
        assert "no carbon-binder domain" in fit.warnings[0]
        assert not (read_whole(path, "phases") == Phase.CBD).any()


def test_a_field_without_active_material_is_all_pore(stored):
    grey = np.random.default_rng(0).normal(100, 12, (20, 64, 64)).astype(np.uint8)
    path = stored(grey)
    fit = segment_phases(path)
    assert "one phase only" in fit.warnings[0]
    assert not read_whole(path, "phases").any()
    assert fit.levels == PhaseLevels(pore=pytest.approx(100, abs=1))
    assert fit.blur is None
    assert fit.noise == pytest.approx(12, abs=1)


def image_of(binder, particles=None, noise=0.1, seed=0):
    """Blurred and noisy grey values of pore 40, carbon-binder 80, active material 180."""
    grey = np.where(binder, 80.0, 40.0)
    if particles is not None:
        grey = np.where(particles, 180.0, grey)
    random = np.random.default_rng(seed).normal(size=grey.shape)
    grey = ndimage.gaussian_filter(grey, 1.2) + 140 * noise * ndimage.gaussian_filter(random, 0.7) / 0.254
    return np.clip(grey, 0, 255).astype(np.uint8)


def web_of(shape=(48, 96, 96), share=0.45):
    """A web of carbon-binder."""
    height = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=shape), 3.5)
    return height > np.quantile(height, 1 - share)


def balls_in(shape, radius, centres):
    """Balls of one radius."""
    places = np.indices(shape)
    return np.any([sum((p - c) ** 2 for p, c in zip(places, at, strict=True)) < radius**2 for at in centres], axis=0)


@pytest.mark.parametrize("noise", [pytest.param(0.04, marks=pytest.mark.slow), 0.1])
def test_carbon_binder_alone_is_not_active_material(stored, noise):
    path = stored(image_of(web_of(), noise=noise))
    fit = segment_phases(path)
    assert fit.levels.active is None
    assert fit.levels.cbd - fit.levels.pore == pytest.approx(40, abs=4)
    assert fit.blur is None
    assert fit.shares.cbd == pytest.approx(0.45, abs=0.03)
    assert "no active material" in fit.warnings[0]
    assert set(np.unique(read_whole(path, "phases"))) == {Phase.PORE, Phase.CBD}


@pytest.mark.parametrize("radius", [12, pytest.param(20, marks=pytest.mark.slow)])
def test_few_particles_in_carbon_binder_are_found(stored, radius):
    """With 1 and 5 % of the volume; the best two classes of all grey values are pore and carbon-binder."""
    particles = balls_in((48, 96, 96), radius, [(24, 48, 48)])
    path = stored(image_of(web_of(), particles))
    fit = segment_phases(path)
    assert fit.warnings == ()
    assert fit.levels.cbd - fit.levels.pore == pytest.approx(40, abs=5)
    assert fit.levels.active - fit.levels.pore == pytest.approx(140, rel=0.06)
    found = read_whole(path, "phases") == Phase.ACTIVE
    assert 2 * (found & particles).sum() / (found.sum() + particles.sum()) > 0.94


@pytest.mark.slow
def test_rare_bright_inclusions_are_not_active_material(stored):
    """Particles 100 above pores with inclusions twice as bright: the particles stay active material."""
    shape = (48, 96, 96)
    particles = balls_in(shape, 14, [(16, 20, 20), (30, 50, 60), (24, 75, 25), (20, 78, 75)])
    inclusions = balls_in(shape, 5, [(16, 20, 20), (30, 50, 60), (24, 75, 25)])
    grey = image_of(np.zeros(shape, bool), particles, noise=0.05) * 0.5
    path = stored((grey + 100 * ndimage.gaussian_filter(inclusions.astype(float), 1.2)).astype(np.uint8))
    fit = segment_phases(path)
    assert fit.levels.cbd is None
    assert fit.shares.active == pytest.approx(particles.mean(), rel=0.1)
    assert "no carbon-binder domain" in fit.warnings[0]


@pytest.mark.slow
def test_no_collector_is_invented(stored):
    path = stored(phantom_block().grey)
    fit = segment_phases(path, options=PhasesOptions(collector=True))
    assert fit.levels.collector is None or fit.shares.collector < 0.005


@pytest.mark.slow
def test_float_volumes_with_outliers(stored):
    made = phantom_block(circle=0.9)
    grey = made.grey.astype(np.float32) * 1e-8 - 3e-7
    grey[5, 64, 64], grey[6, 60, 60] = 1.0, -1.0
    path = stored(grey)
    fit = segment_phases(path)
    in_field = made.phases != Phase.OUTSIDE
    assert (read_whole(path, "phases") == made.phases)[in_field].mean() > 0.85
    assert 0.2 * 255e-8 - 3e-7 == pytest.approx(fit.levels.pore, abs=5e-8)
