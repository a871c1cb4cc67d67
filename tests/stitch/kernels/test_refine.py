"""Boundaries from the phases: local rules, so that a block with its halo gives the voxels of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from properties import examples
from shapes import ball_at
from tomostat.blocks import block_grid
from tomostat.phase import Phase
from tomostat.stitch.kernels.refine import refine_halo, refine_labels


def phases_of(active: np.ndarray, around: Phase = Phase.PORE) -> np.ndarray:
    return np.where(active, np.uint8(Phase.ACTIVE), np.uint8(around))


@examples(40)
@given(st.integers(0, 10**6), st.integers(1, 3), st.tuples(*[st.integers(3, 12)] * 3))
def test_blocks_with_their_halo_give_the_whole(seed: int, margin: int, core: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(seed)
    shape = (14, 17, 19)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), 1.5)
    labels = np.where(smooth > 0.05, rng.integers(1, 5, shape), 0).astype(np.uint32)
    phases = rng.choice([0, 1, 2, 2, 2, 4], shape).astype(np.uint8)
    whole = refine_labels(labels, phases, margin)
    for block in block_grid(shape, core, (refine_halo(margin),) * 3):
        part = refine_labels(labels[block.outer], phases[block.outer], margin)
        np.testing.assert_array_equal(part[block.inner], whole[block.core])


@pytest.mark.parametrize("change", [-2, 2])
def test_a_boundary_that_is_off_by_less_than_the_margin_moves_to_the_material(change: int) -> None:
    shape = (41, 41, 41)
    truth = ball_at(shape, (20, 20, 20), 14)
    mask = ball_at(shape, (20, 20, 20), 14 + change).astype(np.uint32) * 3
    np.testing.assert_array_equal(refine_labels(mask, phases_of(truth), 3), truth * 3)


def test_boundaries_move_no_further_than_the_margin() -> None:
    shape = (11, 11, 41)
    mask = np.zeros(shape, np.uint32)
    mask[..., :10] = 1
    mask[..., 30:] = 2
    active = np.zeros(shape, bool)
    active[..., :20] = True
    refined = refine_labels(mask, phases_of(active), 3)
    assert (refined[..., :13] == 1).all()
    assert (refined[..., 13:33] == 0).all()
    assert (refined[..., 33:] == 2).all()


def test_touching_particles_are_separated_halfway_between_their_masks() -> None:
    shape = (9, 9, 30)
    mask = np.zeros(shape, np.uint32)
    mask[..., :13] = 2
    mask[..., 17:] = 1
    refined = refine_labels(mask, phases_of(np.ones(shape, bool)), 3)
    assert (refined[..., :15] == 2).all()
    assert (refined[..., 15:] == 1).all()


def test_an_odd_voxel_between_goes_to_the_smaller_number() -> None:
    mask = np.array([[[5, 0, 4]]], np.uint32)
    assert refine_labels(mask, phases_of(np.ones((1, 1, 3), bool)), 2).tolist() == [[[5, 4, 4]]]


def test_growth_goes_through_material_only() -> None:
    shape = (5, 5, 20)
    mask = np.zeros(shape, np.uint32)
    mask[..., :8] = 1
    active = np.ones(shape, bool)
    active[..., 9] = False
    refined = refine_labels(mask, phases_of(active), 4)
    assert (refined[..., 8] == 1).all()
    assert (refined[..., 9:] == 0).all()


def test_core_and_cracks_stay_filled() -> None:
    shape = (41, 41, 41)
    whole = ball_at(shape, (20, 20, 20), 15)
    active = whole & ~ball_at(shape, (20, 20, 20), 6)
    active[:, 19:22, 20:] = False  # a crack of three voxels, open to the outside
    refined = refine_labels(whole.astype(np.uint32), phases_of(active), 3)
    assert np.count_nonzero(refined == 0) - np.count_nonzero(~whole) < 0.02 * whole.sum()
    assert (refined[ball_at(shape, (20, 20, 20), 10)] == 1).all()


def test_wide_dents_of_the_material_are_trimmed() -> None:
    shape = (21, 41, 41)
    mask = np.zeros(shape, np.uint32)
    mask[:, 10:30, 10:30] = 1
    active = mask > 0
    active[:, 10:12, :] = False
    refined = refine_labels(mask, phases_of(active, Phase.CBD), 3)
    np.testing.assert_array_equal(refined > 0, active)


def test_nothing_is_labelled_outside_the_field_of_view() -> None:
    mask = np.ones((4, 6, 6), np.uint32)
    phases = phases_of(np.ones((4, 6, 6), bool))
    phases[:, :, 3:] = Phase.OUTSIDE
    for margin in (0, 2):
        assert (refine_labels(mask, phases, margin) == (phases != Phase.OUTSIDE)).all()


def test_without_margin_masks_stay() -> None:
    mask = ball_at((15, 15, 15), (7, 7, 7), 5).astype(np.uint32)
    np.testing.assert_array_equal(refine_labels(mask, np.zeros((15, 15, 15), np.uint8), 0), mask)
    assert refine_halo(0) == 0
