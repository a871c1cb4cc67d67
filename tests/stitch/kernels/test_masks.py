"""Final masks: missed slices filled, shared masks divided."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from properties import examples
from shapes import ball_at
from stitching import instances_of, labels_of, stacks
from tomostat.instances import Instances
from tomostat.stitch.kernels.masks import MaskKind, Masks, final_masks
from tomostat.stitch.kernels.paint import paint_box

STACKS = stacks([0, 0, 1, 2, 5])
GAP = 5


def detected(stack: np.ndarray) -> tuple[Instances, np.ndarray]:
    """Instances of a stack of particle labels, and the particle of each."""
    instances = instances_of(stack)
    return instances, labels_of(stack, instances)


def voxels(masks: Masks, shape: tuple[int, ...]) -> np.ndarray:
    return paint_box(masks, tuple(slice(0, n) for n in shape))  # type: ignore[arg-type]


@given(STACKS)
def test_without_gaps_masks_are_the_detections(stack: np.ndarray) -> None:
    instances, particle = detected(stack)
    masks = final_masks(instances, particle, range(len(stack)), 0)
    np.testing.assert_array_equal(voxels(masks, stack.shape), stack)
    assert not masks.kind.any()


@examples(60)
@given(STACKS, st.integers(1, 4))
def test_masks_are_the_same_for_any_block_of_slices(stack: np.ndarray, step: int) -> None:
    instances, particle = detected(stack)
    whole = final_masks(instances, particle, range(len(stack)), GAP).to_table()
    parts = []
    for z in range(0, len(stack), step):
        near = (instances.slice >= z - GAP - 1) & (instances.slice < z + step + GAP + 1)
        slices = range(z, min(z + step, len(stack)))
        parts.append(final_masks(instances.take(near), particle[near], slices, GAP).to_table())
    assert [row for part in parts for row in part.to_pylist()] == whole.to_pylist()


@given(STACKS)
def test_masks_never_overlap_and_keep_what_was_detected(stack: np.ndarray) -> None:
    instances, particle = detected(stack)
    masks = final_masks(instances, particle, range(len(stack)), GAP)
    image = voxels(masks, stack.shape)
    assert masks.instances.area.sum() == np.count_nonzero(image)
    assert (image[stack > 0] > 0).all()


def test_a_missed_slice_gets_the_shape_between() -> None:
    shape = (41, 41, 41)
    stack = ball_at(shape, (20, 20, 20), 15).astype(int)
    missed = stack.copy()
    missed[[10, 11]] = 0
    masks = final_masks(*detected(missed), range(41), GAP)
    image = voxels(masks, shape)
    for z in (10, 11):
        assert np.count_nonzero(image[z] != stack[z]) < 0.08 * np.count_nonzero(stack[z])
    assert set(masks.instances.slice[masks.kind == MaskKind.FILLED]) == {10, 11}
    np.testing.assert_array_equal(np.delete(image, [10, 11], 0), np.delete(stack, [10, 11], 0))


def test_wider_gaps_stay_open() -> None:
    stack = np.zeros((8, 9, 9), int)
    stack[[0, 7], 2:7, 2:7] = 1
    assert len(final_masks(*detected(stack), range(8), GAP).particle) == 2
    assert len(final_masks(*detected(stack), range(8), GAP + 1).particle) == 8


def test_a_mask_of_two_particles_is_divided_between_them() -> None:
    shape = (41, 41, 70)
    truth = ball_at(shape, (20, 20, 20), 15) + 2 * ball_at(shape, (20, 20, 50), 15).astype(int)
    fused = truth.copy()
    fused[18][truth[18] > 0] = 1
    masks = final_masks(*detected(fused), range(41), GAP)
    image = voxels(masks, shape)
    np.testing.assert_array_equal(image > 0, truth > 0)
    assert np.count_nonzero(image[18] != truth[18]) <= 4
    assert set(masks.instances.slice[masks.kind == MaskKind.DIVIDED]) == {18}


def test_a_missed_particle_never_takes_pixels_of_another() -> None:
    stack = np.zeros((5, 30, 30), int)
    stack[:, 5:15, 5:15] = 1
    stack[:, 5:15, 15:25] = 2
    stack[2][stack[2] == 1] = 0
    stack[2, 5:15, 12:15] = 2  # the neighbour is larger there
    image = voxels(final_masks(*detected(stack), range(5), GAP), stack.shape)
    assert (image[2, 5:15, 12:25] == 2).all()
    assert (image[2, 5:15, 5:12] == 1).all()


def test_detections_of_no_particle_leave_their_pixels_free() -> None:
    stack = np.zeros((3, 12, 12), int)
    stack[:, 3:9, 3:9] = 1
    instances, particle = detected(stack)
    particle[1] = 0
    image = voxels(final_masks(instances, particle, range(3), GAP), stack.shape)
    np.testing.assert_array_equal(image, stack)


def test_masks_are_the_same_after_a_table() -> None:
    stack = np.zeros((4, 6, 6), int)
    stack[:, 1:4, 2:5] = 7
    masks = final_masks(*detected(stack), range(4), GAP)
    again = Masks.from_table(masks.to_table(), (6, 6))
    np.testing.assert_array_equal(voxels(again, stack.shape), stack)
    assert again.kind.tolist() == [0] * 4
