"""Stitching benchmarks on a few balls."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import bench_stitch
from benchmarks.peers import stitching
from tomostat.kernels.score import score_labels


def balls(count: int = 6, shape: tuple[int, int, int] = (24, 64, 64)) -> np.ndarray:
    """Balls that do not touch, as labels."""
    labels = np.zeros(shape, np.int32)
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    for k in range(count):
        row, column = divmod(k, 3)
        labels[(z - 12) ** 2 + (y - 16 - 30 * row) ** 2 + (x - 11 - 21 * column) ** 2 < 81] = k + 1
    return labels


@pytest.mark.slow
def test_undisturbed_balls_are_found():
    truth = balls()
    assert score_labels(truth, bench_stitch.ours(bench_stitch.renumbered(truth))).f1 == 1


def test_disturbing_drops_splits_and_fuses():
    """Over many seeds, the shares that the docstring of `disturb` states."""
    truth = balls()
    sections = sum(len(np.unique(image)) - 1 for image in truth)
    dropped = split = 0
    for seed in range(20):
        for true, image in zip(truth, bench_stitch.disturb(truth, seed), strict=True):
            assert not image[true == 0].any()
            for number in range(1, true.max() + 1):
                parts = np.unique(image[true == number])
                dropped += parts.tolist() == [0]
                split += len(parts[parts > 0]) > 1
    assert dropped / (20 * sections) == pytest.approx(0.1, abs=0.02)
    assert split / (20 * sections) == pytest.approx(0.05, abs=0.015)


def test_merged_particles_are_counted():
    truth = balls()
    assert bench_stitch.merged(truth, truth.astype(np.uint32)) == 0
    assert bench_stitch.merged(truth, np.where(truth == 2, 1, truth).astype(np.uint32)) == 2
    assert bench_stitch.merged(truth, np.minimum(truth, 1).astype(np.uint32)) == 6


def test_boundary_error_of_a_shifted_ball():
    truth = balls(1)
    assert bench_stitch.boundary_error(truth, truth.astype(np.uint32)) == 0
    assert 0.3 < bench_stitch.boundary_error(truth, np.roll(truth, 1, axis=2).astype(np.uint32)) < 1


@pytest.mark.slow
def test_scale_links_every_instance():
    """Nine columns of balls through eight slices: 2 % of the instances are left out."""
    count, peak = bench_stitch.scale(((8, 3),))
    number = int(count.name.split()[0])
    assert 50 < number <= 9 * 8
    assert count.value > 0
    assert peak.value < 4


@pytest.mark.parametrize("method", [stitching.hungarian, stitching.union_find])
def test_simple_methods_find_undisturbed_balls(method):
    truth = balls()
    assert score_labels(truth, method(bench_stitch.renumbered(truth))).f1 == 1


@pytest.mark.slow
def test_a_method_in_its_own_process_gives_the_same():
    stack = bench_stitch.renumbered(balls())
    outcome = stitching.alone(stitching.hungarian, stack)
    np.testing.assert_array_equal(outcome.labels, stitching.hungarian(stack))
    assert outcome.seconds > 0
