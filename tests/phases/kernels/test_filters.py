"""Smoothing and classification: equal to scipy, and a block with its halo equals the whole."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from shapes import phantom_block
from tomostat.blocks import block_grid
from tomostat.phase import Phase
from tomostat.phases.kernels.filters import (
    Thresholds,
    classify,
    halo_width,
    mean_within,
    uniform_mean,
    uniform_voxels,
)

BLOCKS = [(40, 50, 60), (7, 50, 60), (20, 16, 23), (20, 25, 30)]
THRESHOLDS = [
    Thresholds(cbd=65.0, collector=95.0, active=150.0, edge=118.0),
    Thresholds(cbd=65.0, active=120.0),
    Thresholds(active=120.0),
    Thresholds(),
]


@pytest.fixture(scope="module")
def electrode():
    """Grey values and field of view of a block with all phases."""
    made = phantom_block((40, 50, 60), collector=2.0, circle=0.95, noise=0.1)
    return made.grey.astype(np.float32), made.phases != Phase.OUTSIDE


@pytest.mark.parametrize("sigma", [0.7, 1.5])
@pytest.mark.parametrize("thresholds", THRESHOLDS)
def test_blocks_with_a_halo_are_classified_as_the_whole(electrode, thresholds, sigma):
    grey, in_field = electrode
    whole = classify(grey, in_field, thresholds, sigma)
    assert whole.dtype == np.uint8
    halo = halo_width(sigma, thresholds.collector is not None)
    for core in BLOCKS:
        found = np.full_like(whole, 255)
        for block in block_grid(grey.shape, core, (halo,) * 3):
            part = classify(grey[block.outer], in_field[block.outer], thresholds, sigma)
            found[block.core] = part[block.inner]
        assert np.array_equal(found, whole)


@pytest.mark.parametrize("thresholds", THRESHOLDS)
def test_a_phase_without_a_threshold_is_not_found(electrode, thresholds):
    found = set(np.unique(classify(*electrode, thresholds, 0.7)))
    names = {"cbd": Phase.CBD, "active": Phase.ACTIVE, "collector": Phase.COLLECTOR}
    given = {phase for name, phase in names.items() if getattr(thresholds, name) is not None}
    assert found == {Phase.PORE, Phase.OUTSIDE} | given
    assert thresholds.values() == tuple(sorted(thresholds.values()))
    assert len(thresholds.values()) == len(given)


def test_smoothing_within_a_mask_takes_nothing_from_without():
    rng = np.random.default_rng(0)
    mask = rng.random((6, 20, 20)) > 0.4
    grey = np.where(mask, 7.0, rng.normal(1e4, 1e3, mask.shape)).astype(np.float32)
    value, weight = mean_within(grey, mask, 1.0)
    assert np.allclose(value[weight > 1e-3], 7.0, atol=1e-3)


@pytest.mark.parametrize("size", [3, 5, 7, 17])
def test_uniform_voxels_have_neighbours_of_one_phase(size):
    phases = (ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(12, 14, 16)), 2) > 0).astype(np.uint8)
    expected = ndimage.generic_filter(phases, lambda v: v.min() == v.max(), size).astype(bool)
    assert np.array_equal(uniform_voxels(phases, size), expected)
    for block in block_grid(phases.shape, (7, 14, 5), (size // 2,) * 3):
        assert np.array_equal(uniform_voxels(phases[block.outer], size)[block.inner], expected[block.core])


def test_the_mean_of_uniform_voxels_is_of_their_phase_alone():
    phases = np.zeros((8, 20, 20), np.uint8)
    phases[:, :, 10:] = Phase.ACTIVE
    grey = np.where(phases == Phase.ACTIVE, 200.0, 40.0).astype(np.float32)
    grey[:, :, 9:11] = 120.0
    mean, weight, chosen = uniform_mean(grey, phases, Phase.PORE, 1.05)
    assert np.array_equal(chosen[0, 0], np.arange(20) < 9)
    assert np.allclose(mean[weight > 1e-3], 40.0, atol=1e-3)


def test_the_blurred_edge_of_a_particle_is_no_carbon_binder():
    """A blurred ball in a void: its edge passes through the grey value of carbon-binder (the halo trap)."""
    z, y, x = np.ogrid[-16:17, -16:17, -16:17]
    ball = (z**2 + y**2 + x**2 < 100).astype(np.float32)
    rng = np.random.default_rng(0)
    grey = 50 + 130 * ndimage.gaussian_filter(ball, 1.2) + 5 * rng.normal(size=ball.shape)
    smoothed = ndimage.gaussian_filter(grey, 0.7)
    naive = (smoothed > 70) & (smoothed < 115)
    found = classify(grey.astype(np.float32), None, Thresholds(cbd=70.0, active=115.0), 0.7)
    edge = ndimage.binary_dilation(ball > 0, iterations=2) & (ball == 0)
    assert naive[edge].mean() > 0.3
    assert (found == Phase.CBD)[edge].mean() < 0.01
