"""What slices along several axes agree on: which particles of different views are one, and whose a voxel is.

Every view decides on its particles by itself, from the slices along its own axis. It sees the borders that cross its
slices; a border that lies along them it can only guess. So particles of different views that lie mostly in one another
are one; pieces follow what the other views see whole; and a voxel belongs to the particle that most views give it to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from tomostat.kernels.matching import overlaps_of_labels
from tomostat.stitch.kernels.disjoint_sets import find_root, find_roots

MOST, HARDLY = 0.5, 0.25
"""Shares of its voxels from which on a particle lies mostly in another, and up to which it hardly does."""


@dataclass(frozen=True, eq=False)
class ViewParticles:
    """Particles of all views, view by view; arrays (n,).

    Attributes
    ----------
    view
        Index of the view, int64, ascending.
    size
        Voxels, int64.
    confidence
        Probability that each is right, by the evidence of its own view, float64.
    by_hand
        Whether a person decided on it, so that no other view does, bool.
    """

    view: NDArray[np.int64]
    size: NDArray[np.int64]
    confidence: NDArray[np.float64]
    by_hand: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.view)


@dataclass(frozen=True, eq=False)
class ViewOverlaps:
    """Voxels that particles of different views share; arrays (p,).

    Attributes
    ----------
    first, second
        Particles by their index, int64; `first` is of the earlier view.
    voxels
        How many voxels the two share, int64.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    voxels: NDArray[np.int64]

    def both_ways(self) -> ViewOverlaps:
        """Every pair twice, so that each particle is the first of its pairs; ordered by it."""
        first = np.concatenate([self.first, self.second])
        second = np.concatenate([self.second, self.first])
        order = np.lexsort((second, first))
        return ViewOverlaps(first[order], second[order], np.tile(self.voxels, 2)[order])

    def iou(self, size: NDArray[np.int64]) -> NDArray[np.float64]:
        """Intersection over union of each pair, (p,), for particles of these sizes."""
        return np.asarray(self.voxels / (size[self.first] + size[self.second] - self.voxels))


def count_pairs(first: NDArray[Any], second: NDArray[Any]) -> tuple[NDArray[np.int64], ...]:
    """Pairs of labels of two label images of one shape, 0 for none included, and their voxels; three (p,) arrays.

    Pairs with 0 make the sums over all pairs of a label its size.
    """
    table = overlaps_of_labels(first, second)
    shared = table.first_label[table.first], table.second_label[table.second], table.overlap
    rest_first = table.first_size - np.bincount(table.first, table.overlap, len(table.first_size)).astype(np.int64)
    rest_second = table.second_size - np.bincount(table.second, table.overlap, len(table.second_size)).astype(np.int64)
    alone = table.first_label, np.zeros_like(table.first_label), rest_first
    other = np.zeros_like(table.second_label), table.second_label, rest_second
    columns = tuple(np.concatenate(parts) for parts in zip(shared, alone, other, strict=True))
    return tuple(column[columns[2] > 0] for column in columns)


def agree(found: ViewParticles, overlaps: ViewOverlaps) -> NDArray[np.int64]:
    """Decide which particles of several views are one.

    Two of different views that lie mostly in one another are one, the best pairs first, and at most one particle of a
    view. What is left goes to the particle in which all other views have most of it; or stays by itself, the surest
    first, where other views hardly have any of it in particles; or it is dropped. What lies mostly in a particle that
    a person decided on is dropped.

    Parameters
    ----------
    found
        Particles of all views.
    overlaps
        Of all pairs that share voxels.

    Returns
    -------
    ndarray
        (n,) int64: the smallest index of the particles that are one with each; -1 where it is dropped.
    """
    pairs = overlaps.both_ways()
    open_ = ~found.by_hand & ~_mostly_by_hand(found, pairs) & (found.size > 0)
    one = _match(found, overlaps, open_)
    matched = np.bincount(one, minlength=len(found))[one] > 1
    one = np.where(matched | found.by_hand, one, -1)
    one = np.where((one < 0) & open_, _whole_of(found, pairs, one), one)
    begin = np.searchsorted(pairs.first, np.arange(len(found) + 1))
    surest = np.argsort(-found.confidence, kind="stable")
    _keep_alone(found.size, found.view, open_, surest, begin, pairs.second, pairs.voxels, one)
    return one


def _mostly_by_hand(found: ViewParticles, pairs: ViewOverlaps) -> NDArray[np.bool_]:
    """Particles that lie mostly in those of a person."""
    decided = found.by_hand[pairs.second]
    covered = np.bincount(pairs.first[decided], pairs.voxels[decided], len(found))
    return np.asarray(covered > MOST * found.size)


def _match(found: ViewParticles, overlaps: ViewOverlaps, open_: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Particles that lie mostly in one another, best pairs first."""
    a, b, voxels = overlaps.first, overlaps.second, overlaps.voxels
    mutual = np.flatnonzero(open_[a] & open_[b] & (voxels > MOST * found.size[a]) & (voxels > MOST * found.size[b]))
    best = mutual[np.argsort(-overlaps.iou(found.size)[mutual], kind="stable")]
    parent = np.arange(len(found))
    _unite_best(a[best], b[best], parent, 1 << found.view)
    return find_roots(parent).astype(np.int64)


@numba.njit(cache=True, nogil=True)
def _unite_best(a, b, parent, views):  # type: ignore[no-untyped-def]
    """Unite pairs in their order, unless both sides have a particle of the same view; `views` are bits at the roots."""
    for k in range(len(a)):
        c, d = find_root(parent, a[k]), find_root(parent, b[k])
        if c != d and views[c] & views[d] == 0:
            root, gone = min(c, d), max(c, d)
            parent[gone] = root
            views[root] |= views[gone]


def _whole_of(found: ViewParticles, pairs: ViewOverlaps, one: NDArray[np.int64]) -> NDArray[np.int64]:
    """The particle in which all other views have most of each, -1 for none."""
    known = one[pairs.second] >= 0
    a, b, voxels = pairs.first[known], pairs.second[known], pairs.voxels[known]
    keys, row = np.unique(np.stack([a, one[b], found.view[b]]), axis=1, return_inverse=True)
    share = np.bincount(row.reshape(-1), voxels, keys.shape[1])
    mostly = share > MOST * found.size[keys[0]]
    whole, seen = np.unique(keys[:2, mostly], axis=1, return_counts=True)
    everywhere = seen == len(np.unique(found.view)) - 1
    result = np.full(len(found), -1)
    result[whole[0, everywhere]] = whole[1, everywhere]
    return result


@numba.njit(cache=True, nogil=True)
def _keep_alone(size, view, open_, order, begin, other, voxels, one):  # type: ignore[no-untyped-def]
    """Particles of which other views hardly have any in particles stay by themselves, in this order."""
    for i in order:
        if one[i] >= 0 or not open_[i]:
            continue
        covered = np.zeros(8, np.int64)
        for k in range(begin[i], begin[i + 1]):
            if one[other[k]] >= 0:
                covered[view[other[k]]] += voxels[k]
        if covered.max() <= HARDLY * size[i]:
            one[i] = i


def number_groups(
    one: NDArray[np.int64],
    key: NDArray[np.int64] | None = None,
    known: NDArray[np.int64] | None = None,
    numbers: NDArray[np.uint32] | None = None,
) -> NDArray[np.uint32]:
    """Number what `agree` decides, from 1 in the order of the first particle of each group; 0 where dropped.

    Parameters
    ----------
    one
        (n,), what `agree` returns.
    key
        What tells each particle from all others, (n,) int64; needed with `known`.
    known, numbers
        Keys and numbers of an earlier decision, (m,): a group keeps the smallest number whose first particle it holds,
        and new groups follow after all numbers.

    Returns
    -------
    ndarray
        (n,) uint32.
    """
    unset = np.uint32(2**32 - 1)
    number, last = np.full(len(one), unset), 0
    if key is not None and known is not None and numbers is not None:
        first, place = np.unique(numbers, return_index=True)
        order = np.argsort(key)
        for given, owner in zip(first[first > 0], known[place[first > 0]], strict=True):
            at = np.searchsorted(key, owner, sorter=order)
            if at < len(key) and key[order[at]] == owner and one[order[at]] >= 0:
                group = one[order[at]]
                number[group] = min(number[group], given)
        last = int(numbers.max(initial=0))
    new = np.flatnonzero((one == np.arange(len(one))) & (number == unset))
    number[new] = last + 1 + np.arange(len(new), dtype=np.uint32)
    return np.where(one >= 0, number[one], np.uint32(0))


def agreement(found: ViewParticles, overlaps: ViewOverlaps) -> NDArray[np.float64]:
    """Largest intersection over union of each particle with one of every other view, the mean over these, (n,)."""
    views = int(found.view.max(initial=0)) + 1
    best = np.zeros((len(found), max(views, 2)))
    iou = overlaps.iou(found.size)
    for one, other in ((overlaps.first, overlaps.second), (overlaps.second, overlaps.first)):
        np.maximum.at(best, (one, found.view[other]), iou)
    return np.asarray(best.sum(1) / (best.shape[1] - 1))


def majority(labels: NDArray[np.uint32], by_hand: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The label that most views give each voxel.

    Parameters
    ----------
    labels
        (views, z, y, x) uint32, that of z first; 0 for none.
    by_hand
        Labels that a person decided on, ascending: voxels that z gives them stay theirs.

    Returns
    -------
    ndarray
        (z, y, x) uint32: the label of more than half of the views, or that of the only one that has any; 0 where they
        differ otherwise.
    """
    result = np.empty(labels.shape[1:], np.uint32)
    _majority(labels.reshape(len(labels), -1), by_hand, result.reshape(-1))
    return result


@numba.njit(cache=True, nogil=True)
def _majority(labels, by_hand, result):  # type: ignore[no-untyped-def]
    """Write the label of every voxel."""
    views = len(labels)
    for i in range(labels.shape[1]):
        result[i] = 0
        own = labels[0, i]
        if own > 0 and len(by_hand) > 0:
            at = np.searchsorted(by_hand, own)
            if at < len(by_hand) and by_hand[at] == own:
                result[i] = own
                continue
        for v in range(views):
            label = labels[v, i]
            votes = rivals = 0
            for w in range(views):
                votes += labels[w, i] == label
                rivals += labels[w, i] > 0 and labels[w, i] != label
            if label > 0 and (2 * votes > views or rivals == 0):
                result[i] = label
                break
