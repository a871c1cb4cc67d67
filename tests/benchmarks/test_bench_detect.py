"""Detection benchmarks on known cases and tiny networks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from benchmarks import bench_detect
from benchmarks.disturbances import DISTURBANCES
from tomostat.detect.checkpoint import file_hash, save_checkpoint
from tomostat.detect.detectors.watershed import WatershedDetector
from tomostat.detect.kernels.architecture import NetworkConfig
from tomostat.detect.kernels.maskrcnn import build
from tomostat.detect.kernels.random_slices import random_slice
from tomostat.detect.predict import NetworkDetector
from tomostat.instances import Instances


@pytest.fixture
def tiny(tmp_path) -> NetworkDetector:
    """A network with few random weights."""
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, build(NetworkConfig(channels=16, box_units=16)))
    return NetworkDetector(weights=str(path), fingerprint=file_hash(path))


def squares(corners: list[tuple[int, int]], shape: tuple[int, int], side: int = 10) -> np.ndarray:
    """Squares numbered from 1."""
    labels = np.zeros(shape, np.int32)
    for number, (y, x) in enumerate(corners, start=1):
        labels[y : y + side, x : x + side] = number
    return labels


def case_of(labels: np.ndarray) -> bench_detect.Case:
    """A case of one slice."""
    return bench_detect.Case(
        labels[None].astype(np.float32), np.zeros((1, *labels.shape), np.uint8), Instances.from_labels(labels, 0)
    )


@pytest.fixture
def known() -> tuple[list[bench_detect.Case], list[Instances]]:
    """Two slices of different shapes with three and two squares; one is missed, one uncertain, one false."""
    shapes = ((40, 60), (50, 30))
    truth = [squares([(2, 2), (2, 20), (2, 40)], shapes[0]), squares([(2, 2), (30, 2)], shapes[1])]
    first, second = squares([(2, 2), (2, 20), (20, 40)], shapes[0]), truth[1]
    found = [
        Instances.from_labels(first, 0, [0, 0.9, 0.9, 0.6]),
        Instances.from_labels(second, 0, [0, 0.9, 0.33]),
    ]
    return [case_of(labels) for labels in truth], found


def test_scores_of_a_known_case(known):
    cases, found = known
    scores = bench_detect.pooled_scores(cases, found, score=0.5)
    assert (scores.truth, scores.found, scores.matched) == (5, 4, 3)
    assert scores.precision == 3 / 4
    assert scores.recall == 3 / 5
    assert scores.mean_iou == 1
    every = bench_detect.pooled_scores(cases, found)
    assert (every.precision, every.recall) == (4 / 5, 4 / 5)
    assert scores.ap50 == every.ap50
    assert bench_detect.pooled_scores(cases, found, on_truth=0.2, score=0.5).off_truth == 1


def test_precision_at_a_recall(known):
    assert bench_detect.precision_at(*known, 0.5) == 1
    assert bench_detect.precision_at(*known, 0.7) == 4 / 5
    assert math.isnan(bench_detect.precision_at(*known, 0.9))


def test_watershed_finds_squares_that_do_not_touch():
    labels = squares([(2, 2), (2, 20), (20, 40), (20, 5)], (40, 60))
    case = case_of(labels)
    case = bench_detect.Case(
        case.grey, bench_detect.phases_of(np.minimum(labels, 1).astype(np.float32))[None], case.truth
    )
    scores = bench_detect.pooled_scores([case], bench_detect.detect([case], WatershedDetector()))
    assert (scores.precision, scores.recall) == (1, 1)
    assert scores.mean_iou > 0.8
    assert bench_detect.line("name", scores).split()[:3] == ["name", "1.000", "1.000"]


def test_flat_phantoms_hold_particles_for_watershed():
    cases = bench_detect.flat_phantoms(1)
    scores = bench_detect.pooled_scores(cases, bench_detect.detect(cases, WatershedDetector()))
    assert scores.truth > 5
    assert scores.precision > 0.3
    assert scores.recall > 0.3


def test_masks_are_pasted_as_by_torchvision():
    """Boxes of whole pixels; outlines differ by the half pixel that the kernel's docstring explains."""
    side, boxes = 128, np.array([[8, 8, 64, 64], [70, 10, 120, 40]], np.float32)
    y, x = np.mgrid[-1:1:28j, -1:1:28j]
    masks = np.repeat((x**2 + y**2 < 0.8).astype(np.float32)[None], 2, axis=0)
    ours, theirs = bench_detect.pasted(masks, boxes, side)
    assert len(ours) == 2
    for one, other in zip(ours, theirs, strict=True):
        assert (one & other).sum() / (one | other).sum() > 0.9


def test_recall_by_contrast():
    """Three particles that stand out by 2.5, 4 and 40 times the noise; the first is missed, the last one halved."""
    rng = np.random.default_rng(0)
    labels = np.zeros((60, 150), np.int32)
    grey = rng.normal(0, 1, labels.shape).astype(np.float32)
    for i, contrast in enumerate((2.5, 4.0, 40.0)):
        box = np.s_[15:45, 10 + 50 * i : 40 + 50 * i]
        labels[box] = i + 1
        grey[box] += contrast
    assert bench_detect.contrast_to_noise(grey, labels) == pytest.approx([2.5, 4, 40], rel=0.1)
    found = np.where(labels > 1, labels, 0)
    found[:31][labels[:31] == 3] = 0
    case = bench_detect.Case(grey[None], np.zeros((1, *labels.shape), np.uint8), Instances.from_labels(labels, 0))
    results = bench_detect.recall_by_contrast([case], [Instances.from_labels(found, 0)], 0.0)
    assert [result.name.split()[2] for result in results] == ["0", "0", "1", "1", "1"]
    assert [result.value for result in results[2:]] == [0, 1, 0]


@pytest.mark.slow
def test_every_disturbance_is_in_the_table(capsys, monkeypatch, tiny):
    grey, labels = random_slice(np.random.default_rng(0), (96, 80))
    case = bench_detect.Case(grey[None], np.zeros((1, 96, 80), np.uint8), Instances.from_labels(labels, 0))
    monkeypatch.setattr(bench_detect, "real_slices", lambda: {"one": case})
    bench_detect.disturbed(tiny)
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("unchanged", *DISTURBANCES))


@pytest.mark.slow
def test_table_of_a_gpu(capsys, monkeypatch, tiny):
    """The table is made on a CPU, whose results do not differ from its own."""
    monkeypatch.setitem(bench_detect.NETWORKS, "resnet101", NetworkConfig(channels=16, box_units=16))
    cases = bench_detect.flat_phantoms(1)
    monkeypatch.setattr(bench_detect, "volume_phantoms", lambda: cases)
    bench_detect.gpu(tiny, device="cpu", sides=(64,), count=2)
    printed = capsys.readouterr().out
    assert "ResNet-101, 64 x 64: slices per second" in printed
    assert [line for line in printed.splitlines() if "difference to full precision" in line and line.endswith(" met")]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    bench_detect.gpu(tiny)
    assert "no GPU here" in capsys.readouterr().out


def test_straight_boundaries_against_brute_force():
    square = np.zeros((20, 20), int)
    square[5:15, 5:15] = 1
    assert bench_detect.straight_share(square) == 1
    assert bench_detect.straight_share(np.zeros((5, 5), int)) == 0
    y, x = np.indices((60, 60)) - 30
    disc = (y**2 + x**2 < 20**2).astype(int)
    straight = total = 0
    for image in (disc, disc.T):
        for line in np.abs(np.diff(image, axis=0)):
            runs = [len(run) for run in "".join(map(str, line)).split("0") if run]
            total, straight = total + sum(runs), straight + sum(run for run in runs if run >= bench_detect.STRAIGHT)
    assert bench_detect.straight_share(disc) == pytest.approx(straight / total)
