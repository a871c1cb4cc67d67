"""Outlines moved to where the grey values put them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from tomostat.detect.kernels.outline import MAX_SHIFT, snap_outlines


def scene(shift, noise=0.05, seed=0):
    """A bright disc between a dark and a grey half, blurred and noisy; its mask moved, and a faint second disc."""
    yy, xx = np.mgrid[:96, :128]
    disc, faint = np.hypot(yy - 48, xx - 64) < 25.3, np.hypot(yy - 48, xx - 108) < 10
    grey = np.where(xx < 64, 0.1, 0.35)
    grey = ndimage.gaussian_filter(np.where(disc, 1.0, np.where(faint, 0.6, grey)), 1.2)
    truth = disc + 2 * faint.astype(np.int32)
    found = np.roll(truth, shift, (0, 1)).astype(np.int32)
    return (grey + np.random.default_rng(seed).normal(0, noise, grey.shape)).astype(np.float32), truth, found


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (0, -1), (1, 1)])
def test_outlines_come_nearer_to_the_truth(shift):
    grey, truth, found = scene(shift)
    moved = snap_outlines(found, grey)
    for label in (1, 2):
        before, after = iou(found == label, truth == label), iou(moved == label, truth == label)
        assert after > (before if any(shift) else 0)
        assert after > (0.96, 0.9)[label - 1]  # the second is faint


@given(st.integers(0, 10**6))
def test_no_outline_moves_farther_than_the_band_and_none_is_lost(seed):
    rng = np.random.default_rng(seed)
    labels = np.zeros((40, 40), np.int32)
    for label in range(1, 9):
        y, x = rng.integers(0, 30, 2)
        labels[y : y + rng.integers(2, 14), x : x + rng.integers(2, 14)] = label
    grey = ndimage.gaussian_filter(rng.random((40, 40), np.float32), rng.uniform(0, 3))
    moved = snap_outlines(labels, grey)
    changed = moved != labels
    assert set(np.unique(moved)) == set(np.unique(labels))
    near = ndimage.maximum_filter(labels, 2 * MAX_SHIFT + 1) != ndimage.minimum_filter(labels, 2 * MAX_SHIFT + 1)
    assert not (changed & ~near).any()
    assert not (changed & (moved > 0) & (labels > 0)).any()  # never from one particle to another


def test_particles_without_an_inside_and_empty_slices_stay():
    labels = np.zeros((20, 20), np.int32)
    labels[5:8, 5:8] = 1
    grey = np.random.default_rng(0).random((20, 20), np.float32)
    assert np.array_equal(snap_outlines(labels, grey), labels)
    assert not snap_outlines(np.zeros((8, 8), np.int32), grey[:8, :8]).any()
