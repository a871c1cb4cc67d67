"""Quality of a segmentation: precision, recall, F1, mean IoU, average precision, panoptic quality, splits and merges.

For label images of any dimension and for instance tables. All scores are computed from sparse overlaps
(`matching.Overlaps`), one table per image; counts are summed over the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomostat.instances import Instances
from tomostat.kernels.matching import Overlaps, overlaps_of_labels, overlaps_of_runs

THRESHOLDS = tuple(np.round(np.arange(0.5, 1.0, 0.05), 2).tolist())
"""IoU thresholds over which mAP is averaged (COCO)."""

RECALLS = np.linspace(0.0, 1.0, 101)
"""Values of the recall at which the precision is averaged (COCO)."""

MIN_PART = 0.1
"""Least share of an object that a part of it covers to be counted as split off or merged."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Agreement of found objects with true ones.

    Attributes
    ----------
    truth, found, matched
        Number of true objects, of found objects that count, and of pairs with IoU of at least the threshold.
    precision, recall, f1
        matched / found, matched / truth and their harmonic mean. An empty denominator gives NaN.
    mean_iou
        Mean IoU of the matched pairs; NaN without any.
    pq
        Panoptic quality: sum of the matched IoU / (matched + half of the unmatched of both sides) (Kirillov 2019).
    ap50, ap75, map
        Average precision at IoU 0.5 and 0.75, and its mean over 0.5, 0.55 ... 0.95 (COCO, 101 recall values); NaN
        without true objects.
    splits
        True objects that hold two or more found ones (over-segmentation).
    merges
        Found objects that hold two or more true ones (under-segmentation).
    off_truth
        Found objects that are not counted because they lie where nothing is annotated.
    """

    truth: int
    found: int
    matched: int
    precision: float
    recall: float
    f1: float
    mean_iou: float
    pq: float
    ap50: float
    ap75: float
    map: float
    splits: int
    merges: int
    off_truth: int


class Outcome(IntEnum):
    """What became of a true object, or how a found one is counted."""

    NONE = 0
    HIT = 1
    MISSED = 2
    SPLIT = 3
    MERGED = 4
    FALSE = 5
    OFF_TRUTH = 6


def outcomes(
    truth: NDArray[Any], found: NDArray[Any], *, iou: float = 0.5, on_truth: float = 0.0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Outcome of every object.

    Parameters
    ----------
    truth, found, iou, on_truth
        As in `score_labels`.

    Returns
    -------
    tuple of numpy.ndarray
        `Outcome` by label (renumber labels that are far apart first: `matching.renumbered`) of the true objects (hit,
        missed, split or merged; split and merged also where a part matches) and of the found ones (hit, split for a
        part of a true one, merged, false or off the truth), uint8.
        NONE where there is no object of that label.

    Raises
    ------
    ValueError, TypeError
        When the shapes differ, or labels are not integers.
    """
    table = overlaps_of_labels(truth, found)
    matches = _matches(table, iou)
    split, split_pairs = _splits(table)
    merged, merged_pairs = _merges(table)
    of_truth = np.full(len(table.first_size), Outcome.MISSED, np.uint8)
    of_truth[table.first[matches]] = Outcome.HIT
    of_truth[table.first[merged_pairs]] = Outcome.MERGED
    of_truth[split] = Outcome.SPLIT
    of_found = np.where(_counted(table, matches, on_truth), np.uint8(Outcome.FALSE), np.uint8(Outcome.OFF_TRUTH))
    of_found[table.second[split_pairs]] = Outcome.SPLIT
    of_found[table.second[matches]] = Outcome.HIT
    of_found[merged] = Outcome.MERGED
    return _by_label(of_truth, table.first_label), _by_label(of_found, table.second_label)


def _by_label(kinds: NDArray[np.uint8], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Outcomes of objects by their label."""
    found = np.zeros(int(labels.max(initial=0)) + 1, np.uint8)
    found[labels] = kinds
    return found


def score_labels(
    truth: NDArray[Any],
    found: NDArray[Any],
    scores: ArrayLike | None = None,
    *,
    iou: float = 0.5,
    on_truth: float = 0.0,
) -> Scores:
    """Compare two label images of any dimension.

    Parameters
    ----------
    truth, found
        Integer labels of one shape, 0 is background.
    scores
        Confidence by label, ``scores[label]``; equal for all when not given.
    iou
        Smallest intersection over union of a match.
    on_truth
        A found object with less than this share of its voxels on true ones is not counted, for incomplete annotations;
        0 counts all.

    Raises
    ------
    ValueError, TypeError
        When the shapes differ, labels are not integers, or there are fewer scores than labels.
    """
    table = overlaps_of_labels(truth, found)
    if scores is None:
        return score_tables([table], [np.ones(len(table.second_label))], iou=iou, on_truth=on_truth)
    values, highest = np.asarray(scores, float), int(table.second_label.max(initial=0))
    if len(values) <= highest:
        raise ValueError(f"scores has {len(values)} values; expected one for every label from 0 to {highest}")
    return score_tables([table], [values[table.second_label]], iou=iou, on_truth=on_truth)


def score_instances(truth: Instances, found: Instances, *, iou: float = 0.5, on_truth: float = 0.0) -> Scores:
    """Compare two instance tables: objects are matched within slices, and counts are summed over slices.

    Parameters
    ----------
    truth, found
        Instances of slices of one shape.
    iou, on_truth
        As in `score_labels`.

    Raises
    ------
    ValueError
        When the slices differ in shape.
    """
    if truth.shape != found.shape:
        raise ValueError(f"truth has slices of {truth.shape} pixels and found of {found.shape}; expected the same")
    pairs = [(truth.of_slice(z), found.of_slice(z)) for z in np.union1d(truth.slice, found.slice).tolist()]
    tables = [
        overlaps_of_runs((a.offset, a.run_start, a.run_length), (b.offset, b.run_start, b.run_length)) for a, b in pairs
    ]
    return score_tables(tables, [b.score for _, b in pairs], iou=iou, on_truth=on_truth)


def score_tables(
    tables: Sequence[Overlaps], scores: Sequence[NDArray[Any]], *, iou: float = 0.5, on_truth: float = 0.0
) -> Scores:
    """Compare true (first) and found (second) objects of any number of images, given their overlaps.

    Parameters
    ----------
    tables
        Overlaps, one table per image.
    scores
        Confidence of every found object, one array per image.
    iou, on_truth
        As in `score_labels`.

    Raises
    ------
    ValueError
        When `iou` or `on_truth` is outside 0 to 1.
    """
    if not 0 < iou <= 1 or not 0 <= on_truth <= 1:
        raise ValueError(f"iou is {iou} and on_truth is {on_truth}; expected shares above 0 and up to 1")
    matches = [_matches(table, iou) for table in tables]
    counted = [_counted(table, pairs, on_truth) for table, pairs in zip(tables, matches, strict=True)]
    matched_iou = np.concatenate([np.zeros(0), *(t.iou[p] for t, p in zip(tables, matches, strict=True))])
    truth = sum(len(table.first_size) for table in tables)
    found = sum(int(keep.sum()) for keep in counted)
    matched = len(matched_iou)
    ap = [average_precision(tables, scores, t, on_truth) for t in THRESHOLDS]
    return Scores(
        truth=truth,
        found=found,
        matched=matched,
        precision=_ratio(matched, found),
        recall=_ratio(matched, truth),
        f1=_ratio(2 * matched, truth + found),
        mean_iou=_ratio(float(matched_iou.sum()), matched),
        pq=_ratio(float(matched_iou.sum()), (truth + found) / 2),
        ap50=ap[THRESHOLDS.index(0.5)],
        ap75=ap[THRESHOLDS.index(0.75)],
        map=float(np.mean(ap)),
        splits=sum(len(_splits(table)[0]) for table in tables),
        merges=sum(len(_merges(table)[0]) for table in tables),
        off_truth=sum(int((~keep).sum()) for keep in counted),
    )


def average_precision(
    tables: Sequence[Overlaps], scores: Sequence[NDArray[Any]], iou: float, on_truth: float = 0.0
) -> float:
    """Average precision at one IoU threshold as COCO computes it, without its limit of 100 detections.

    In order of falling confidence, each detection is matched to the unmatched true object of its image with the largest
    IoU at or above the threshold. The precision at a recall is the largest at this recall or above, averaged over 101
    values of the recall (Lin 2014, and pycocotools).

    Parameters
    ----------
    tables, scores, on_truth
        As in `score_tables`.
    iou
        The threshold.

    Returns
    -------
    float
        NaN when there is no true object.
    """
    truth = sum(len(table.first_size) for table in tables)
    if truth == 0:
        return float("nan")
    hits, values = [], []
    for table, score in zip(tables, scores, strict=True):
        hit = _greedy_hits(table, score, iou)
        keep = hit | (_share_on_truth(table) >= on_truth)
        hits.append(hit[keep])
        values.append(np.asarray(score, float)[keep])
    order = np.argsort(-np.concatenate(values), kind="stable")
    true = np.cumsum(np.concatenate(hits)[order])
    if not true.size:
        return 0.0
    precision = np.maximum.accumulate((true / np.arange(1, true.size + 1))[::-1])[::-1]
    at = np.searchsorted(true / truth, RECALLS, side="left")
    return float(np.where(at < true.size, precision[np.minimum(at, true.size - 1)], 0.0).mean())


def remove_small_objects(labels: NDArray[Any], diameter: float = 8.0) -> NDArray[Any]:
    """A 2D label image without the objects whose equivalent diameter is below `diameter` pixels."""
    area = np.bincount(labels.ravel())
    keep = 2 * np.sqrt(area / np.pi) >= diameter
    return np.where(keep[labels], labels, 0)


def _matches(table: Overlaps, iou: float) -> NDArray[np.int64]:
    """Pairs of the best one-to-one assignment with IoU at or above the threshold: most pairs, then largest IoU."""
    weight = np.where(table.iou >= iou, 1 + table.iou / (len(table.first_size) + 1), 0.0)
    return table.assign(weight)


def _counted(table: Overlaps, matches: NDArray[np.int64], on_truth: float) -> NDArray[np.bool_]:
    """Which found objects are counted: those that are matched, or lie on true objects with a large enough share."""
    keep = _share_on_truth(table) >= on_truth
    keep[table.second[matches]] = True
    return keep


def _share_on_truth(table: Overlaps) -> NDArray[np.float64]:
    """Share of the voxels of every found object that lie on true ones."""
    covered = np.bincount(table.second, table.overlap, minlength=len(table.second_size))
    share: NDArray[np.float64] = covered / table.second_size
    return share


def _greedy_hits(table: Overlaps, score: NDArray[Any], iou: float) -> NDArray[np.bool_]:
    """Which found objects are matched when each, in order of falling confidence, takes the best true one left."""
    hit = np.zeros(len(table.second_size), bool)
    free = np.ones(len(table.first_size), bool)
    rank = np.empty(len(hit), np.int64)
    rank[np.argsort(-np.asarray(score, float), kind="stable")] = np.arange(len(hit))
    pairs = np.flatnonzero(table.iou >= iou)
    # of true objects with equal IoU COCO takes the last
    for p in pairs[np.lexsort((-table.first[pairs], -table.iou[pairs], rank[table.second[pairs]]))]:
        if free[table.first[p]] and not hit[table.second[p]]:
            hit[table.second[p]], free[table.first[p]] = True, False
    return hit


def _splits(table: Overlaps) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """True objects that hold two or more found ones, and the pairs of these parts."""
    return _with_parts(table.first, table.second_size[table.second], table.first_size[table.first], table.overlap)


def _merges(table: Overlaps) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Found objects that hold two or more true ones, and the pairs of these parts."""
    return _with_parts(table.second, table.first_size[table.first], table.second_size[table.second], table.overlap)


def _with_parts(
    whole: NDArray[Any], part_size: NDArray[Any], whole_size: NDArray[Any], overlap: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Objects that hold two or more parts, and the pairs of these parts.

    A part lies in the object with more than half of its own voxels, and covers at least `MIN_PART` of it.
    """
    is_part = (2 * overlap > part_size) & (overlap >= MIN_PART * whole_size)
    several = np.bincount(whole[is_part], minlength=int(whole.max(initial=-1)) + 1) > 1
    return np.flatnonzero(several), np.flatnonzero(is_part & several[whole])


def _ratio(a: float, b: float) -> float:
    """The quotient; NaN for a denominator of 0."""
    return a / b if b else float("nan")
