"""Scores against brute force and published implementations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from properties import examples
from tomostat.instances import Instances
from tomostat.kernels.score import THRESHOLDS, Outcome, outcomes, remove_small_objects, score_instances, score_labels


def random_labels(rng, shape, n):
    """Overlapping boxes painted one over the other: touching labels of all sizes."""
    labels = np.zeros(shape, np.int32)
    for i in range(1, n + 1):
        low = [int(rng.integers(0, s - 2)) for s in shape]
        labels[tuple(slice(a, a + int(rng.integers(2, 12))) for a in low)] = i
    return labels


def perturbed(rng, labels):
    """A detection-like variant: moved, some lost, some split."""
    found = np.roll(labels, rng.integers(-2, 3, labels.ndim), tuple(range(labels.ndim)))
    values = np.unique(found)[1:]
    found[np.isin(found, rng.permutation(values)[: len(values) // 4])] = 0
    if rng.random() < 0.5:
        found[:, : found.shape[1] // 2][found[:, : found.shape[1] // 2] > 0] += labels.max()
    return found


def brute_iou(truth, found):
    a, b = np.unique(truth[truth > 0]), np.unique(found[found > 0])
    iou = np.zeros((len(a), len(b)))
    for i, u in enumerate(a):
        for j, v in enumerate(b):
            both = np.count_nonzero((truth == u) & (found == v))
            iou[i, j] = both / (np.count_nonzero(truth == u) + np.count_nonzero(found == v) - both)
    return iou


def brute_ap(images, threshold):
    """COCO's loop over detections and true objects, written out."""
    hits, values, count = [], [], 0
    for iou, scores in images:
        free = np.ones(iou.shape[0], bool)
        count += len(free)
        for j in np.argsort(-scores, kind="mergesort"):
            best, taken = threshold, -1
            for i in range(iou.shape[0]):
                if free[i] and iou[i, j] >= best:
                    best, taken = iou[i, j], i
            if taken >= 0:
                free[taken] = False
            hits.append(taken >= 0)
            values.append(scores[j])
    order = np.argsort(-np.array(values), kind="mergesort")
    true = np.cumsum(np.array(hits)[order])
    precision, recall = true / np.arange(1, len(true) + 1), true / count
    total = 0.0
    for r in np.linspace(0, 1, 101):
        reached = precision[recall >= r]
        total += reached.max() if len(reached) else 0.0
    return total / 101


@examples(30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(30, 40), (10, 16, 14)]))
def test_counts_equal_brute_force(seed, shape):
    rng = np.random.default_rng(seed)
    truth = random_labels(rng, shape, 9)
    found = perturbed(rng, truth)
    iou = brute_iou(truth, found)
    good = iou >= 0.5
    rows, columns = linear_sum_assignment(-(good + iou * good / 100))
    taken = good[rows, columns]
    n, m, k = *iou.shape, int(taken.sum())
    got = score_labels(truth, found)
    assert (got.truth, got.found, got.matched) == (n, m, k)
    total = iou[rows, columns][taken].sum()
    assert got.f1 == pytest.approx(2 * k / (n + m))
    assert got.pq == pytest.approx(total / (k + (n - k) / 2 + (m - k) / 2))
    if k:
        assert got.mean_iou == pytest.approx(total / k)
        assert (got.precision, got.recall) == (pytest.approx(k / m), pytest.approx(k / n))


@examples(25)
@given(st.integers(0, 2**32 - 1))
def test_average_precision_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    truths = [random_labels(rng, (40, 40), 8) for _ in range(3)]
    founds = [perturbed(rng, truth) for truth in truths]
    scores = [np.round(rng.random(200), 1) for _ in founds]  # ties on purpose
    images = [(brute_iou(t, f), s[np.unique(f[f > 0])]) for t, f, s in zip(truths, founds, scores, strict=True)]
    slices = range(3)
    truth = Instances.concatenate([Instances.from_labels(t, z) for z, t in zip(slices, truths, strict=True)])
    parts = [Instances.from_labels(f, z, s) for z, f, s in zip(slices, founds, scores, strict=True)]
    found = Instances.concatenate([Instances.empty((40, 40)), *parts])
    got = score_instances(truth, found)
    # rows are ordered by position, brute force by label value: equal scores differ in order only
    ordered = []
    for (iou, s), f in zip(images, founds, strict=True):
        values = np.unique(f[f > 0])
        first = [np.flatnonzero(f.ravel() == v)[0] for v in values]
        ordered.append((iou[:, np.argsort(first)], np.float32(s[np.argsort(first)])))
    expected = [brute_ap(ordered, t) for t in THRESHOLDS]
    assert got.ap50 == pytest.approx(expected[0])
    assert got.ap75 == pytest.approx(expected[5])
    assert got.map == pytest.approx(np.mean(expected))


def test_average_precision_equals_pycocotools():
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    from pycocotools import mask as masks
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(5)
    truths = [random_labels(rng, (64, 64), 12) for _ in range(4)]
    founds = [perturbed(rng, truth) for truth in truths]
    scores = [rng.permutation(400) / 400 for _ in founds]
    data = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "particle"}], "info": {}}
    results = []
    for z, (truth, found, score) in enumerate(zip(truths, founds, scores, strict=True), start=1):
        data["images"].append({"id": z, "height": 64, "width": 64})
        for value in np.unique(truth)[1:]:
            code = masks.encode(np.asfortranarray((truth == value).astype(np.uint8)))
            area = int(np.count_nonzero(truth == value))
            data["annotations"].append(
                {"id": len(data["annotations"]) + 1, "image_id": z, "category_id": 1, "iscrowd": 0}
                | {"segmentation": code, "area": area, "bbox": [0, 0, 1, 1]}
            )
        for value in np.unique(found)[1:]:
            code = masks.encode(np.asfortranarray((found == value).astype(np.uint8)))
            score_value = float(np.float32(score[value]))
            results.append({"image_id": z, "category_id": 1, "segmentation": code, "score": score_value})
    truth_set = coco.COCO()
    truth_set.dataset = data
    truth_set.createIndex()
    evaluator = COCOeval(truth_set, truth_set.loadRes(results), "segm")
    evaluator.params.maxDets = [1, 10, 1000]
    evaluator.params.areaRng, evaluator.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluator.evaluate()
    evaluator.accumulate()
    precision = evaluator.eval["precision"][:, :, 0, 0, 2].mean(1)
    truth = Instances.concatenate([Instances.from_labels(t, z) for z, t in enumerate(truths)])
    found = Instances.concatenate(
        [Instances.from_labels(f, z, s) for z, (f, s) in enumerate(zip(founds, scores, strict=True))]
    )
    got = score_instances(truth, found)
    assert (got.ap50, got.ap75) == (pytest.approx(precision[0]), pytest.approx(precision[5]))
    assert got.map == pytest.approx(precision.mean())


def test_splits_and_merges():
    truth = np.zeros((20, 60), np.int32)
    truth[5:15, 2:22] = 1  # will be split
    truth[5:15, 24:34], truth[5:15, 34:44] = 2, 3  # will be merged
    truth[5:15, 48:58] = 4
    found = np.zeros_like(truth)
    found[5:15, 2:12], found[5:15, 12:22] = 1, 2
    found[5:15, 24:44] = 3
    found[5:15, 48:58] = 4
    found[0, 0] = 5
    got = score_labels(truth, found)
    assert (got.splits, got.merges, got.truth, got.found) == (1, 1, 4, 5)


def test_found_off_the_annotated_objects_is_not_counted():
    truth = np.zeros((20, 40), np.int32)
    truth[2:12, 2:12] = 1
    found = truth.copy()
    found[2:12, 20:30] = 2  # nothing annotated here
    found[13:18, 2:12] = 3
    found[11, 2:12] = 3  # a sixth of it on truth
    assert score_labels(truth, found).precision == pytest.approx(1 / 3)
    got = score_labels(truth, found, on_truth=0.2)
    assert (got.precision, got.off_truth, got.ap50) == (1.0, 2, 1.0)


def test_nothing_found_and_nothing_there():
    nothing = np.zeros((8, 8), np.int32)
    something = nothing.copy()
    something[2:5, 2:5] = 1
    missed = score_labels(something, nothing)
    assert (missed.recall, missed.f1, missed.ap50, missed.pq) == (0.0, 0.0, 0.0, 0.0)
    assert np.isnan(missed.precision)
    empty = score_labels(nothing, nothing)
    assert np.isnan([empty.recall, empty.f1, empty.map]).all()
    assert score_labels(nothing, something).precision == 0.0


def test_three_dimensions_equal_instances_of_one_slice():
    rng = np.random.default_rng(0)
    truth = random_labels(rng, (40, 50), 12)
    found = perturbed(rng, truth)
    scores = rng.permutation(100) / 100
    flat = score_instances(Instances.from_labels(truth, 0), Instances.from_labels(found, 0, scores))
    assert flat == score_labels(truth[None], found[None], scores)


def test_small_objects_are_removed():
    image = np.zeros((60, 60), bool)
    yy, xx = np.ogrid[:60, :60]
    image |= np.hypot(yy - 15, xx - 15) < 3
    image |= np.hypot(yy - 40, xx - 40) < 8
    labels, _ = ndimage.label(image)
    assert np.unique(remove_small_objects(labels)).tolist() == [0, 2]


def test_bad_input():
    image = np.zeros((4, 4), np.int32)
    image[1, 1] = 3
    with pytest.raises(ValueError, match="one for every label from 0 to 3"):
        score_labels(image, image, [0, 1])
    with pytest.raises(ValueError, match="iou is 0"):
        score_labels(image, image, iou=0)
    with pytest.raises(ValueError, match="shapes"):
        score_labels(image, image[:2])
    with pytest.raises(ValueError, match="pixels"):
        score_instances(Instances.empty((3, 3)), Instances.empty((4, 4)))


def test_outcomes_of_every_kind(true_and_found):
    truth, found = outcomes(*true_and_found)
    assert [Outcome(truth[i]).name for i in (1, 2, 3, 4, 7)] == ["HIT", "SPLIT", "MERGED", "MERGED", "MISSED"]
    assert [Outcome(found[i]).name for i in (5, 8, 9)] == ["HIT", "MERGED", "FALSE"]
    assert {Outcome(found[i]).name for i in (6, 7)} == {"HIT", "SPLIT"}  # one half passes an IoU of 0.5
    assert outcomes(*true_and_found, on_truth=0.2)[1][9] == Outcome.OFF_TRUTH
    assert truth[5] == Outcome.NONE


@pytest.mark.parametrize("seed", range(5))
def test_outcomes_agree_with_scores(seed):
    rng = np.random.default_rng(seed)
    truth, found = (np.kron(rng.integers(0, 9, (6, 6)), np.ones((5, 5), int)) for _ in range(2))
    scores, (of_truth, of_found) = score_labels(truth, found), outcomes(truth, found)
    assert (of_truth == Outcome.SPLIT).sum() == scores.splits
    assert (of_found == Outcome.MERGED).sum() == scores.merges
    assert (of_truth > 0).sum() == scores.truth
    assert (of_found > 0).sum() == scores.found


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.int64, np.uint64])
def test_labels_of_any_type_and_size(true_and_found, dtype):
    truth, found = true_and_found
    big = np.iinfo(dtype).max // 10
    moved = [np.where(image > 0, image.astype(dtype) + dtype(big), dtype(0)) for image in (truth, found)]
    assert score_labels(*moved) == score_labels(truth, found)
