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
"""Shares of its voxels above which a particle lies mostly in another, and up to which it hardly does."""


@dataclass(frozen=True, eq=False)
class ViewParticles:
    """Particles of all views, view by view; arrays (n,).

    Attributes
    ----------
    views
        Number of views, those without a particle included.
    view
        Index of the view of each, int64, ascending.
    size
        Voxels, int64.
    confidence
        Probability that each is right, by the evidence of its own view, float64.
    by_hand
        Whether a person decided on it, other than the views see it, bool.
    """

    views: int
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
    first, where other views hardly have any of it in particles; or it is dropped.

    What lies mostly in particles that a person decided on goes to the only one of them that has much of it, and is
    dropped where several have.

    Parameters
    ----------
    found
        Particles of all views.
    overlaps
        Of all pairs that share voxels.

    Returns
    -------
    ndarray
        (n,) int64: the index of the particle that stands for all that are one with each; -1 where it is dropped.
    """
    pairs = overlaps.both_ways()
    decided, owner = _owners_by_hand(found, pairs)
    open_ = ~found.by_hand & ~decided & (found.size > 0)
    root = _match(found, overlaps, open_)
    matched = np.bincount(root, minlength=len(found))[root] > 1
    root = np.where(matched | found.by_hand, root, owner)
    root = np.where((root < 0) & open_, _wholes(found, pairs, root), root)
    begin = np.searchsorted(pairs.first, np.arange(len(found) + 1))
    surest = np.argsort(-found.confidence, kind="stable")
    _keep_alone(found.views, found.view, found.size, open_, surest, begin, pairs.second, pairs.voxels, root)
    return root


def _owners_by_hand(found: ViewParticles, pairs: ViewOverlaps) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which particles lie mostly in those of a person, and the only one that has much of each; -1 for none."""
    decided = found.by_hand[pairs.second] & ~found.by_hand[pairs.first]
    a, b, voxels = pairs.first[decided], pairs.second[decided], pairs.voxels[decided]
    mostly = np.bincount(a, voxels, len(found)) > MOST * found.size
    much = voxels > HARDLY * found.size[a]
    only = np.bincount(a[much], minlength=len(found)) == 1
    owner = np.full(len(found), -1)
    chosen = much & only[a] & mostly[a]
    owner[a[chosen]] = b[chosen]
    return mostly, owner


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


def _wholes(found: ViewParticles, pairs: ViewOverlaps, root: NDArray[np.int64]) -> NDArray[np.int64]:
    """What stands for the particle in which all other views have most of each, -1 for none."""
    kept = root[pairs.second] >= 0
    a, b, voxels = pairs.first[kept], pairs.second[kept], pairs.voxels[kept]
    order = np.lexsort((found.view[b], root[b], a))
    a, whole, view, voxels = a[order], root[b][order], found.view[b][order], voxels[order]
    new_view = np.ones(len(a), bool)
    new_view[1:] = (a[1:] != a[:-1]) | (whole[1:] != whole[:-1]) | (view[1:] != view[:-1])
    begin = np.flatnonzero(new_view)
    a, whole = a[begin], whole[begin]
    mostly = np.add.reduceat(voxels, begin) > MOST * found.size[a] if len(begin) else new_view
    # a view has most of a particle in one other only, so that rows of one pair are those of different views
    a, whole = a[mostly], whole[mostly]
    new_pair = np.ones(len(a), bool)
    new_pair[1:] = (a[1:] != a[:-1]) | (whole[1:] != whole[:-1])
    begin = np.flatnonzero(new_pair)
    everywhere = begin[np.diff(np.append(begin, len(a))) == found.views - 1]
    result = np.full(len(found), -1)
    result[a[everywhere]] = whole[everywhere]
    return result


@numba.njit(cache=True, nogil=True)
def _keep_alone(views, view, size, open_, order, begin, other, voxels, root):  # type: ignore[no-untyped-def]
    """Particles of which other views hardly have any in particles stay by themselves, in this order."""
    covered = np.zeros(views, np.int64)
    for i in order:
        if root[i] >= 0 or not open_[i]:
            continue
        covered[:] = 0
        for k in range(begin[i], begin[i + 1]):
            if root[other[k]] >= 0:
                covered[view[other[k]]] += voxels[k]
        if covered.max() <= HARDLY * size[i]:
            root[i] = i


@dataclass(frozen=True, eq=False)
class Agreed:
    """A decision of `agree` on particles that have keys; arrays (n,).

    Attributes
    ----------
    key
        What tells each particle from all others, also in another decision, int64.
    root
        What `agree` returns.
    """

    key: NDArray[np.int64]
    root: NDArray[np.int64]


def number_groups(agreed: Agreed, earlier: Agreed | None = None) -> NDArray[np.uint32]:
    """Number what views agree on, from 1 in the order of the particles that stand for it.

    Parameters
    ----------
    agreed
        The decision.
    earlier
        One before corrections: what has a particle that stood for something then keeps its number, the smallest of
        several, and all else is numbered after these.

    Returns
    -------
    ndarray
        (n,) uint32; 0 where dropped.
    """
    root, count = agreed.root, len(agreed.root)
    unset = np.uint32(2**32 - 1)
    number, last = np.full(count, unset), 0
    if earlier is not None:
        owner = np.flatnonzero(earlier.root == np.arange(len(earlier.root)))
        last = len(owner)
        _, here, there = np.intersect1d(agreed.key, earlier.key[owner], return_indices=True)
        known = root[here] >= 0
        np.minimum.at(number, root[here[known]], (there[known] + 1).astype(np.uint32))
    new = np.flatnonzero((root == np.arange(count)) & (number == unset))
    number[new] = last + 1 + np.arange(len(new), dtype=np.uint32)
    return np.where(root >= 0, number[root], np.uint32(0))


def agreement(found: ViewParticles, overlaps: ViewOverlaps) -> NDArray[np.float64]:
    """Largest intersection over union of each particle with one of every other view, the mean over these, (n,)."""
    best = np.zeros((len(found), found.views))
    iou = overlaps.iou(found.size)
    for end, other in ((overlaps.first, overlaps.second), (overlaps.second, overlaps.first)):
        np.maximum.at(best, (end, found.view[other]), iou)
    return np.asarray(best.sum(1) / (found.views - 1))


def majority(labels: NDArray[np.uint32], by_hand: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The label that most views give each voxel.

    Parameters
    ----------
    labels
        (views, z, y, x) uint32, that of z first; 0 for none.
    by_hand
        Labels that a person decided on, ascending: between two of these, z decides.

    Returns
    -------
    ndarray
        (z, y, x) uint32: the label of more than half of the views, of half of them that of z, or the only one that any
        has; 0 where they differ otherwise.
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
        for v in range(views):
            label = labels[v, i]
            votes = rivals = 0
            for w in range(views):
                votes += labels[w, i] == label
                rivals += labels[w, i] > 0 and labels[w, i] != label
            if label > 0 and (2 * votes >= views or rivals == 0):
                result[i] = label
                break
        own = labels[0, i]
        if own != result[i] and _holds(by_hand, own) and _holds(by_hand, result[i]):
            result[i] = own


@numba.njit(cache=True, nogil=True)
def _holds(ascending, value):  # type: ignore[no-untyped-def]
    """Whether a value is among ascending ones."""
    at = np.searchsorted(ascending, value)
    return at < len(ascending) and ascending[at] == value
