"""Overlaps of two sets of labels, and the best one-to-one assignment between them. Shared by `stitch` and `score`.

Overlaps are sparse: only pairs of labels that share a voxel are listed. They are counted in two label images of any
dimension, or in two slices of run-length masks, whose sorted runs are merged without painting an image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Runs = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]
"""Run-length masks of one slice: ``(offset, start, length)``; runs ``offset[i]:offset[i + 1]`` make up mask i."""

DENSE_LABELS = 4
"""Labels above this many times the number of voxels are renumbered before an array is indexed by them."""


@dataclass(frozen=True, eq=False)
class SortedRuns:
    """Run-length masks with their runs in order of position, for use in several tables.

    Attributes
    ----------
    begin, end
        First pixel of every run and the one after its last, (m,) int64, ascending.
    mask
        Index of the mask that a run belongs to, (m,) int32.
    size
        Pixels of every mask, (n,) int64.
    """

    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    mask: NDArray[np.int32]
    size: NDArray[np.int64]


def sort_runs(runs: Runs) -> SortedRuns:
    """Sort the runs of some masks by position."""
    begin, end, mask = _sorted_runs(*runs)
    return SortedRuns(begin, end, mask, _run_sizes(runs[0], runs[2]))


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Which objects of two sets overlap, and by how much.

    The objects of a set are numbered from 0 in the order of their labels.

    Attributes
    ----------
    first, second
        Numbers of the two objects of each overlapping pair, (p,) int32, ordered by `first`, then `second`.
    overlap
        Shared voxels of each pair, (p,) int64.
    first_size, second_size
        Voxels of every object of the two sets, (n,) and (m,) int64, overlapping or not.
    first_label, second_label
        Label of every object, (n,) and (m,) int64; its number for run-length masks.
    """

    first: NDArray[np.int32]
    second: NDArray[np.int32]
    overlap: NDArray[np.int64]
    first_size: NDArray[np.int64]
    second_size: NDArray[np.int64]
    first_label: NDArray[np.int64]
    second_label: NDArray[np.int64]

    @cached_property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each pair, (p,) float64."""
        union = self.first_size[self.first] + self.second_size[self.second] - self.overlap
        return self.overlap / union

    @cached_property
    def containment(self) -> NDArray[np.float64]:
        """Shared voxels over those of the smaller object of each pair, (p,) float64."""
        return self.overlap / np.minimum(self.first_size[self.first], self.second_size[self.second])

    def assign(self, weight: NDArray[np.float64] | None = None) -> NDArray[np.int64]:
        """Pairs of the best one-to-one assignment, (k,) int64; `weight` (p,) is the IoU when not given."""
        weight = self.iou if weight is None else weight
        return assign(self.first, self.second, weight, (len(self.first_size), len(self.second_size)))


def overlaps_of_labels(first: NDArray[Any], second: NDArray[Any]) -> Overlaps:
    """Overlaps of two label images.

    Parameters
    ----------
    first, second
        Integer labels of one shape, any number of dimensions; 0 is background.

    Raises
    ------
    ValueError
        When the shapes differ or labels are negative.
    TypeError
        When the labels are not integers.
    """
    if first.shape != second.shape:
        raise ValueError(f"label images have shapes {first.shape} and {second.shape}; expected the same")
    (a, a_label), (b, b_label) = _dense_labels(first), _dense_labels(second)
    i, j, overlap, a_size, b_size = _image_overlaps(a, b, len(a_label), len(b_label))
    a_number, b_number = np.cumsum(a_size > 0) - 1, np.cumsum(b_size > 0) - 1  # of labels that occur
    order = np.lexsort((j, i))
    return Overlaps(
        first=a_number[i[order]].astype(np.int32),
        second=b_number[j[order]].astype(np.int32),
        overlap=overlap[order],
        first_size=a_size[a_size > 0],
        second_size=b_size[b_size > 0],
        first_label=a_label[a_size > 0],
        second_label=b_label[b_size > 0],
    )


def renumbered(labels: NDArray[Any]) -> NDArray[Any]:
    """Labels that are small enough to index an array with: consecutive ones where they are far apart, 0 stays 0.

    Raises
    ------
    TypeError, ValueError
        When they are not integers, or negative.
    """
    return _dense_labels(labels)[0].reshape(labels.shape)


def _dense_labels(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Flat labels small enough to index an array with, and the original label of each."""
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels have dtype {labels.dtype}; expected integers")
    flat = np.ascontiguousarray(labels).reshape(-1)
    lowest, highest = (int(flat.min()), int(flat.max())) if flat.size else (0, 0)
    if lowest < 0:
        raise ValueError(f"the lowest label is {lowest}; expected 0 for background and positive labels")
    if highest < DENSE_LABELS * flat.size + 256:
        return flat, np.arange(highest + 1, dtype=np.int64)
    values, dense = np.unique(np.append(flat, flat.dtype.type(0)), return_inverse=True)  # 0 stays 0
    return dense[:-1].astype(np.int32), values.astype(np.int64)


def overlaps_of_runs(first: Runs | SortedRuns, second: Runs | SortedRuns) -> Overlaps:
    """Overlaps of two sets of run-length masks of slices of one shape; the masks of a set are disjoint."""
    a, b = (runs if isinstance(runs, SortedRuns) else sort_runs(runs) for runs in (first, second))
    i, j, overlap = _merge_runs(a.begin, a.end, a.mask, b.begin, b.end, b.mask, len(a.size))
    order = np.lexsort((j, i))
    numbers = np.arange(len(a.size)), np.arange(len(b.size))
    return Overlaps(i[order], j[order], overlap[order], a.size, b.size, *numbers)


def assign(
    first: NDArray[np.integer[Any]],
    second: NDArray[np.integer[Any]],
    weight: NDArray[np.float64],
    counts: tuple[int, int],
) -> NDArray[np.int64]:
    """Maximum-weight one-to-one assignment among sparse pairs of objects of two sets.

    A pair that weighs more than the best alternatives of both its objects together belongs to every best assignment.
    Such pairs are taken repeatedly until no such pair is left; the other pairs form small connected components. Where
    one object is in all pairs of a component the heaviest pair is taken; other components are solved by the
    Hungarian method (`scipy.optimize.linear_sum_assignment`). Of equal weights the first pair is taken.

    Parameters
    ----------
    first, second
        Numbers of the two objects of each pair, (p,) integers, each pair once, ordered by first, then second.
    weight
        Gain of each pair, (p,). Pairs of weight 0 or less are never taken.
    counts
        Number of objects in the two sets.

    Returns
    -------
    numpy.ndarray
        Indices of the pairs taken, (k,) int64, ascending.
    """
    weight = np.ascontiguousarray(weight, np.float64)
    first, second = np.asarray(first, np.int32), np.asarray(second, np.int32)
    taken, undecided = _take_dominant(first, second, weight, *counts)
    left = np.flatnonzero(undecided)
    found = [np.flatnonzero(taken)]
    if left.size:
        nodes = counts[0] + counts[1]
        edges = (first[left].astype(np.int64), counts[0] + second[left].astype(np.int64))
        graph = coo_array((np.ones(left.size), edges), (nodes, nodes))
        component = connected_components(graph, directed=False)[1][edges[0]]
        order = np.argsort(component, kind="stable")
        bounds = np.flatnonzero(np.diff(component[order])) + 1
        found += [_assign_component(part, first, second, weight) for part in np.split(left[order], bounds)]
    return np.sort(np.concatenate(found))


def _assign_component(
    pairs: NDArray[np.int64], first: NDArray[Any], second: NDArray[Any], weight: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Best assignment of one connected component, `pairs` ascending."""
    rows, row = np.unique(first[pairs], return_inverse=True)
    columns, column = np.unique(second[pairs], return_inverse=True)
    if len(rows) == 1 or len(columns) == 1:
        return pairs[[np.argmax(weight[pairs])]]
    gain = np.zeros((len(rows), len(columns)))
    # reduced by less than any real difference of weights, so that of equal pairs the first is taken
    gain[row, column] = weight[pairs] * (1 - 1e-12 * np.sqrt(np.arange(len(pairs)) / len(pairs)))
    index = np.full(gain.shape, -1, np.int64)
    index[row, column] = pairs
    chosen = index[linear_sum_assignment(gain, maximize=True)]
    return chosen[chosen >= 0]


@numba.njit(cache=True, nogil=True)
def _take_dominant(first, second, weight, n, m):  # type: ignore[no-untyped-def]
    """Take pairs heavier than both alternatives together, until no such pair is left; returns taken, undecided."""
    taken = np.zeros(len(first), np.bool_)
    undecided = weight > 0
    changed = True
    while changed:
        changed = False
        best = np.zeros((2, max(n, m)))
        second_best = np.zeros((2, max(n, m)))
        for p in range(len(first)):
            if undecided[p]:
                for side, i in ((0, first[p]), (1, second[p])):
                    if weight[p] > best[side, i]:
                        second_best[side, i] = best[side, i]
                        best[side, i] = weight[p]
                    elif weight[p] > second_best[side, i]:
                        second_best[side, i] = weight[p]
        used = np.zeros((2, max(n, m)), np.bool_)
        for p in range(len(first)):
            i, j, w = first[p], second[p], weight[p]
            if undecided[p] and w == best[0, i] and w == best[1, j] and w > second_best[0, i] + second_best[1, j]:
                taken[p] = used[0, i] = used[1, j] = changed = True
        for p in range(len(first)):
            if used[0, first[p]] or used[1, second[p]]:
                undecided[p] = False
    return taken, undecided


@numba.njit(cache=True, nogil=True)
def _run_sizes(offset, length):  # type: ignore[no-untyped-def]
    """Pixels of each run-length mask."""
    sizes = np.zeros(len(offset) - 1, np.int64)
    for i in range(len(sizes)):
        for run in range(offset[i], offset[i + 1]):
            sizes[i] += length[run]
    return sizes


@numba.njit(cache=True, nogil=True)
def _sorted_runs(offset, start, length):  # type: ignore[no-untyped-def]
    """Runs sorted by start, as (start, stop, mask): a bucket sort, because starts are distributed evenly."""
    n = len(start)
    if n == 0:
        none = np.zeros(0, np.int64)
        return none, none, np.zeros(0, np.int32)
    scale = n / (start.max() + 1)
    bucket_start = np.zeros(n + 1, np.int64)
    for run in range(n):
        bucket_start[int(start[run] * scale) + 1] += 1
    bucket_start = np.cumsum(bucket_start)
    begin, end, mask = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int32)
    filled = bucket_start.copy()
    for i in range(len(offset) - 1):
        for run in range(offset[i], offset[i + 1]):
            bucket = int(start[run] * scale)
            at = filled[bucket]
            filled[bucket] += 1
            while at > bucket_start[bucket] and begin[at - 1] > start[run]:
                begin[at], end[at], mask[at] = begin[at - 1], end[at - 1], mask[at - 1]
                at -= 1
            begin[at], end[at], mask[at] = start[run], start[run] + length[run], i
    return begin, end, mask


@numba.njit(cache=True, nogil=True)
def _add(head, next_entry, partner, overlap, used, i, j, amount):  # type: ignore[no-untyped-def]
    """Add to the overlap of the pair (i, j), in the linked list of i's few partners; returns the entries in use."""
    entry = head[i]
    while entry >= 0:
        if partner[entry] == j:
            overlap[entry] += amount
            return used
        entry = next_entry[entry]
    partner[used], overlap[used], next_entry[used] = j, amount, head[i]
    head[i] = used
    return used + 1


@numba.njit(cache=True, nogil=True)
def _pairs(head, next_entry, partner, overlap, used):  # type: ignore[no-untyped-def]
    """The linked lists of `_add` as pairs (first, second, overlap)."""
    first = np.empty(used, np.int32)
    for i in range(len(head)):
        entry = head[i]
        while entry >= 0:
            first[entry] = i
            entry = next_entry[entry]
    return first, partner[:used].copy(), overlap[:used].copy()


@numba.njit(cache=True, nogil=True)
def _merge_runs(a_start, a_stop, a_mask, b_start, b_stop, b_mask, n):  # type: ignore[no-untyped-def]
    """Sparse overlaps of two sorted sets of disjoint runs; the first has n masks."""
    capacity = len(a_start) + len(b_start) + 1  # every step of the loop ends one run
    head = np.full(n, -1, np.int64)
    next_entry, partner, overlap = (
        np.empty(capacity, np.int64),
        np.empty(capacity, np.int32),
        np.empty(capacity, np.int64),
    )
    used = i = j = 0
    while i < len(a_start) and j < len(b_start):
        shared = min(a_stop[i], b_stop[j]) - max(a_start[i], b_start[j])
        if shared > 0:
            used = _add(head, next_entry, partner, overlap, used, a_mask[i], b_mask[j], shared)
        if a_stop[i] <= b_stop[j]:
            i += 1
        else:
            j += 1
    return _pairs(head, next_entry, partner, overlap, used)


@numba.njit(cache=True, nogil=True)
def _image_overlaps(a, b, n, m):  # type: ignore[no-untyped-def]
    """Sparse overlaps and sizes of two flat label images with labels below n and m, 0 for background."""
    capacity = 1024
    head = np.full(n, -1, np.int64)
    next_entry, partner, overlap = (
        np.empty(capacity, np.int64),
        np.empty(capacity, np.int32),
        np.empty(capacity, np.int64),
    )
    a_size, b_size = np.zeros(n, np.int64), np.zeros(m, np.int64)
    used = begin = 0
    for at in range(1, len(a) + 1):
        if at < len(a) and a[at] == a[begin] and b[at] == b[begin]:
            continue
        i, j, amount = a[begin], b[begin], at - begin
        if i > 0:
            a_size[i] += amount
        if j > 0:
            b_size[j] += amount
        if i > 0 and j > 0:
            used = _add(head, next_entry, partner, overlap, used, i, j, amount)
            if used == capacity:
                capacity *= 2
                next_entry = np.append(next_entry, np.empty(used, np.int64))
                partner = np.append(partner, np.empty(used, np.int32))
                overlap = np.append(overlap, np.empty(used, np.int64))
        begin = at
    return *_pairs(head, next_entry, partner, overlap, used), a_size, b_size
