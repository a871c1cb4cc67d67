"""Masks evened out: roughness goes, what is even stays, gaps stay open, thin things lose at most a voxel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from properties import examples
from shapes import ball_at
from tomostat.kernels.smoothing import smooth
from tomostat.stitch.kernels.evening import APART, DEEP, even_out, evening_halo, evening_reach


def evened(labels: NDArray[np.uint32], sigma: float) -> NDArray[np.uint32]:
    """Labels alone, of particles without voids in an image without places that cannot be used."""
    solid, usable = (labels > 0).view(np.uint8), np.ones(labels.shape, np.uint8)
    moved, still_solid = even_out(labels, solid, usable, sigma)
    np.testing.assert_array_equal(still_solid, moved > 0)
    return moved


@examples(20)
@given(seed=st.integers(0, 2**32 - 1), sigma=st.floats(0.5, 2.5))
def test_voxels_at_surfaces_follow_the_majority_around_them(seed: int, sigma: float) -> None:
    """By the definition, with filters of scipy."""
    rng = np.random.default_rng(seed)
    rough = ndimage.gaussian_filter(rng.normal(size=(14, 17, 15)), 1.0) > 0.1
    labels = (rough * np.where(np.arange(15) < 8, 1, 2)).astype(np.uint32)
    solid = (rough & (rng.random(rough.shape) > 0.1)).view(np.uint8)
    usable = (rng.random(rough.shape) > 0.1).view(np.uint8)
    share = smooth(rough.view(np.uint8), sigma, evening_reach(sigma))
    cube, wide = np.ones((3, 3, 3)), np.ones((2 * APART + 1,) * 3)
    near = [ndimage.binary_dilation(labels == i, wide) for i in (1, 2)]
    joins = ~rough & (share > 0.5) & (usable > 0) & ndimage.binary_dilation(rough, cube) & ~(near[0] & near[1])
    leaves = rough & (share < 0.5) & (solid > 0) & ndimage.binary_dilation(~rough, cube)
    expected = np.where(leaves, 0, labels)
    expected[joins] = np.where(near[0], 1, 2)[joins]
    moved, still_solid = even_out(labels, solid, usable, sigma)
    np.testing.assert_array_equal(moved, expected)
    shallow = rough & (share < DEEP) & (usable > 0)
    np.testing.assert_array_equal(still_solid > 0, (((solid > 0) | shallow) & ~leaves) | joins)


def test_voids_at_the_surface_count_as_solid_and_deep_ones_do_not() -> None:
    ball = ball_at((40, 40, 40), (19.5, 19.5, 19.5), 15)
    depth = ndimage.distance_transform_edt(ball)
    pits, cavity = ball & (depth <= 2) & (np.arange(40) % 3 == 0), ball & (depth > 10)
    solid = (ball & ~pits & ~cavity).view(np.uint8)
    labels, still_solid = even_out(ball.astype(np.uint32), solid, np.ones_like(solid), 1.6)
    np.testing.assert_array_equal(still_solid > 0, (labels > 0) & ~cavity)


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.0, 3.0])
def test_plane_surfaces_stay_and_curved_ones_move_as_a_gaussian_moves_them(sigma: float) -> None:
    """By its variance over the radius of a ball, which the fit of the edge makes good."""
    half = np.zeros((20, 20, 20), np.uint32)
    half[:, :9] = 4
    np.testing.assert_array_equal(evened(half, sigma), half)
    ball = ball_at((64, 64, 64), (31.5, 31.2, 31.7), 25).astype(np.uint32)
    assert 1 - 3 * sigma**2 / 25**2 - 0.002 < evened(ball, sigma).sum() / ball.sum() < 1.002


def test_a_rough_surface_becomes_even() -> None:
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.normal(size=(40, 40, 40)), 0.7)
    depth = np.arange(40)[:, None, None] - 19.5
    labels = (depth + noise / noise.std() < 0).astype(np.uint32)
    true = np.broadcast_to(depth < 0, labels.shape)
    before, after = (np.count_nonzero((found > 0) != true) for found in (labels, evened(labels, 1.65)))
    assert after < 0.4 * before


@pytest.mark.parametrize("gap", [1, 2])
def test_a_gap_between_two_particles_stays_open(gap: int) -> None:
    labels = np.zeros((12, 12, 20), np.uint32)
    labels[..., :9] = 1
    labels[..., 9 + gap :] = 2
    np.testing.assert_array_equal(evened(labels, 2.0), labels)


def test_a_thin_plate_loses_at_most_its_outermost_voxels() -> None:
    labels = np.zeros((15, 30, 30), np.uint32)
    labels[6:9] = 1
    moved = evened(labels, 3.0)
    assert (moved[7] == 1).all()


@examples(10)
@given(seed=st.integers(0, 2**32 - 1), low=st.tuples(*[st.integers(0, 8)] * 3), sigma=st.floats(0.3, 3.0))
def test_a_box_with_its_halo_gives_what_the_whole_gives(seed: int, low: tuple[int, ...], sigma: float) -> None:
    rough = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(30, 30, 30)), 2) > 0
    labels = ndimage.label(rough)[0].astype(np.uint32)
    halo = evening_halo(sigma)
    whole = evened(labels, sigma)
    box = tuple(slice(a, 30) for a in low)
    inner = tuple(slice(halo if a else 0, None) for a in low)
    np.testing.assert_array_equal(evened(labels[box], sigma)[inner], whole[box][inner])
