"""Ends of particles that a neighbour's mask covers."""

from __future__ import annotations

import numpy as np
import pytest

from shapes import ball_at
from stitching import instances_of, labels_of
from tomostat.stitch.kernels.masks import MaskKind, final_masks
from tomostat.stitch.kernels.paint import paint_box

GAP = 5


def painted(stack: np.ndarray, step: int | None = None) -> np.ndarray:
    """Labels from the detections of a stack, drawn some slices at a time."""
    instances, particle = instances_of(stack), labels_of(stack, instances_of(stack))
    labels = np.zeros(stack.shape, np.uint32)
    size = step or len(stack)
    for z in range(0, len(stack), size):
        near = (instances.slice >= z - GAP - 1) & (instances.slice < z + size + GAP + 1)
        masks = final_masks(instances.take(near), particle[near], range(z, min(z + size, len(stack))), GAP)
        assert set(masks.kind) <= {MaskKind.DETECTED, MaskKind.DIVIDED}
        labels += paint_box(masks, tuple(slice(0, n) for n in stack.shape))  # type: ignore[arg-type]
    return labels


def touching() -> tuple[np.ndarray, np.ndarray]:
    """Two balls that touch, and what is detected: the last four slices of the first are in the mask of the second."""
    shape = (60, 50, 70)
    first, second = ball_at(shape, (20, 25, 20), 12), ball_at(shape, (30, 25, 42), 16)
    truth = np.where(first, 1, 2 * second)
    detected = truth.copy()
    detected[29:][truth[29:] == 1] = 2
    return truth, detected


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("step", [1, 4, 7, None])
def test_an_end_in_the_mask_of_a_neighbour_is_given_back(flip: bool, step: int | None) -> None:
    truth, detected = (np.ascontiguousarray(stack[:: -1 if flip else 1]) for stack in touching())
    labels = painted(detected, step)
    np.testing.assert_array_equal(labels > 0, truth > 0)
    assert np.count_nonzero(labels != truth) < 0.25 * np.count_nonzero(detected != truth)
    np.testing.assert_array_equal(painted(detected), labels)


def test_a_particle_that_grows_over_another_is_kept_whole() -> None:
    stack = np.zeros((12, 30, 40), int)
    stack[:6, 5:25, 5:18], stack[:6, 5:25, 18:35] = 1, 2
    stack[6:, 5:25, 5:35] = 2
    np.testing.assert_array_equal(painted(stack), stack)


def test_a_splinter_is_not_continued() -> None:
    truth, _ = touching()
    ball = np.where(truth == 2, 2, 0)
    ball[:30][(ball[:30] == 2) & (np.arange(70) < 31)] = 1  # a cap of the ball, a crescent, taken for a particle
    np.testing.assert_array_equal(painted(ball), ball)


def test_a_particle_that_ends_beside_another_ends() -> None:
    truth, _ = touching()
    np.testing.assert_array_equal(painted(truth), truth)
