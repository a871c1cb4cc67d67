"""Other methods that join the instances of slices to 3D objects: simple ones, and libraries where installed.

Each takes label images (n, ny, nx) int32, numbered from 1 in every slice, and returns labels (n, ny, nx) of 3D objects.
Libraries are extras (``pip install -e '.[bench]'``); those that are not installed are left out.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from benchmarks.resources import memory, reset_peak_memory
from tomostat.events import peak_memory
from tomostat.kernels.matching import overlaps_of_labels

Stack = NDArray[np.int32]
LEAST_IOU = 0.25


def hungarian(stack: Stack) -> Stack:
    """Pairwise Hungarian assignment by IoU."""
    return _link(stack, one_to_one=True)


def union_find(stack: Stack) -> Stack:
    """Union-find: all instances that overlap by enough IoU become one object."""
    return _link(stack, one_to_one=False)


def _link(stack: Stack, one_to_one: bool) -> Stack:
    counts = stack.reshape(len(stack), -1).max(axis=1)
    first = np.concatenate([[0], np.cumsum(counts)])
    lower, upper = [], []
    for z in range(len(stack) - 1):
        table = overlaps_of_labels(stack[z], stack[z + 1])
        good = table.iou >= LEAST_IOU
        pairs = table.assign(np.where(good, table.iou, 0)) if one_to_one else np.flatnonzero(good)
        lower.append(first[z] + table.first_label[table.first[pairs]] - 1)
        upper.append(first[z + 1] + table.second_label[table.second[pairs]] - 1)
    a, b = np.concatenate(lower), np.concatenate(upper)
    total = int(first[-1])
    group = connected_components(coo_matrix((np.ones(len(a)), (a, b)), (total, total)), directed=False)[1]
    return np.stack([np.concatenate([[0], group[first[z] : first[z + 1]] + 1])[stack[z]] for z in range(len(stack))])


def cellpose(stack: Stack) -> Stack:
    """cellpose.utils.stitch3D with its default threshold."""
    from cellpose.utils import stitch3D

    return np.asarray(stitch3D(stack.copy()), np.int32)


def stardist(stack: Stack) -> Stack:
    """stardist.matching.group_matching_labels."""
    from stardist.matching import group_matching_labels

    return np.asarray(group_matching_labels(stack.copy(), thresh=LEAST_IOU), np.int32)


def empanada(stack: Stack) -> Stack:
    """empanada's matching forward and backward, with its default thresholds."""
    from empanada.inference.patterns import apply_matchers, backward_matching, create_matchers
    from empanada.inference.rle import pan_seg_to_rle_seg, rle_seg_to_pan_seg

    divisor = 100_000
    matchers = create_matchers([1], divisor, 0.25, 0.25)
    forward = [
        apply_matchers(pan_seg_to_rle_seg(np.where(image, image + divisor, 0), [1], divisor, [1], False), matchers)
        for image in stack
    ]
    out = np.zeros_like(stack)
    for z, segments in backward_matching(forward, matchers, len(stack)):
        out[z] = rle_seg_to_pan_seg(segments, stack.shape[1:])
    return out


def laptrack_gaps(stack: Stack) -> Stack:
    """laptrack by overlap, gaps of two slices closed."""
    return _laptrack(stack, "track_id")


def laptrack_splits(stack: Stack) -> Stack:
    """laptrack by overlap, gaps of two slices closed, splits and merges allowed."""
    return _laptrack(stack, "tree_id", splitting_cutoff=0.75, merging_cutoff=0.75)


def _laptrack(stack: Stack, column: str, **options: float) -> Stack:
    from laptrack import OverLapTrack

    by_iou = (1.0, 0.0, -1.0, 0.0, 0.0)
    tracker = OverLapTrack(
        cutoff=1 - LEAST_IOU, gap_closing_cutoff=1 - LEAST_IOU, gap_closing_max_frame_count=2,
        metric_coefs=by_iou, gap_closing_metric_coefs=by_iou, **options,
    )  # fmt: skip
    tracks = tracker.predict_overlap_dataframe(stack)[0].reset_index()
    out = np.zeros_like(stack)
    for z, frame in tracks.groupby("frame"):
        table = np.zeros(stack[z].max() + 1, np.int32)
        table[frame["label"].to_numpy()] = frame[column].to_numpy() + 1
        out[z] = table[stack[z]]
    return out


METHODS: dict[str, tuple[str | None, Callable[[Stack], Stack]]] = {
    "plain Hungarian": (None, hungarian),
    "union-find": (None, union_find),
    "cellpose stitch3D": ("cellpose", cellpose),
    "stardist": ("stardist", stardist),
    "empanada": ("empanada", empanada),
    "laptrack, gaps": ("laptrack", laptrack_gaps),
    "laptrack, splits": ("laptrack", laptrack_splits),
}
"""By name: library that is needed, and the function."""


@dataclass(frozen=True)
class Outcome:
    """Labels that a method returned, its seconds, and the bytes by which the memory of its process rose at most."""

    labels: NDArray[np.integer]
    seconds: float
    memory: int


def installed() -> dict[str, Callable[[Stack], Stack]]:
    """Methods that can run here; those that cannot are printed."""
    found = {}
    for name, (library, work) in METHODS.items():
        if library is None or importlib.util.find_spec(library) is not None:
            found[name] = work
        else:
            print(f"{name} is left out: {library} is not installed")
    return found


def alone(work: Callable[[Stack], Stack], stack: Stack) -> Outcome:
    """Run a method in a process of its own, after a first run on a corner of the stack."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_timed, (work, stack))


def _timed(work: Callable[[Stack], Stack], stack: Stack) -> Outcome:
    corner = stack[:6, :120, :120]
    work(np.stack([np.unique(image, return_inverse=True)[1].reshape(image.shape) for image in corner]).astype(np.int32))
    reset_peak_memory()
    before = memory()
    start = time.perf_counter()
    labels = work(stack)
    seconds = time.perf_counter() - start
    return Outcome(_drop_single_slices(labels), seconds, peak_memory() - before)


def _drop_single_slices(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """Drop objects that lie in one slice only, as tomostat does by default, unless it is the first or the last."""
    dense = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
    slices = sum((np.bincount(np.unique(image), minlength=dense.max() + 1) for image in dense), np.int64(0))
    slices[np.unique(dense[[0, -1]])] += 1
    keep = (slices > 1) & (np.arange(len(slices)) > 0)
    return np.where(keep[dense], dense, 0).astype(np.int32)
