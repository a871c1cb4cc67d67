"""Which tracks are one particle: candidates with evidence, decided best first over the whole volume.

A candidate joins two tracks that overlap in slices near each other. Its score, positive to join, is

    3 IoU + containment + 3 share + 2.5 shape - 2.5 alongside - 4 neck + 1.5

IoU, containment
    of the masks that the best link joins (0 without a link)
share
    of the smaller particle's voxels that lie directly above or below the other track, 0 to 1
shape
    how the smaller part changes the sphere-likeness q of the larger, ``d ln q / m``, between -3 and 1.5, times
    ``m / (m + 0.02)`` and ``v / (v + 200)``: it counts little for small parts, and for particles of few voxels. m is
    the smaller part's share of the v voxels, q the volume over that of a ball with the same second moments. Mass
    inside the ball raises q, mass outside lowers it: a small part at distance d from the centre of a ball of radius R
    gives ``2.5 (1 - d^2 / R^2)``
alongside
    share of the shorter part's slices that the other part crosses too
neck
    1 - sqrt(overlap / lesser of the two largest sections)

The coefficients are those of a logistic fit on dense phantoms with missed, split and fused detections, rounded;
results on other phantoms depend little on them. The best candidate of all is joined first, and every candidate of the
joint particle is scored again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from tomostat.kernels.heap import change, new_heap, pop, push
from tomostat.stitch.kernels.candidates import Candidates, TrackGeometry, link_evidence
from tomostat.stitch.kernels.disjoint_sets import find_root, find_roots

TERMS = ("share", "shape", "alongside", "neck")
"""Evidence that depends on what has been joined before."""
TERM_WEIGHTS = np.array([3.0, 2.5, -2.5, -4.0])
"""Coefficients of `TERMS`; those of IoU and containment, which never change, are `LINK_WEIGHTS`."""
CONSTANT = 1.5
"""Score of a candidate without any evidence."""
SHAPE_LIMITS = (-3.0, 1.5)
"""Least and largest change of shape that counts."""
SMALL = 0.02
"""The smaller part's share of the voxels with which shape counts half, because it can hardly change the joint one."""
COARSE = 200.0
"""Voxels of a particle whose shape counts half, because it is coarsely sampled."""
ROUNDER = 0.05
"""Shape from which on the pieces on both sides of an ambiguous mask are one particle in pieces, not two that touch."""

_SHARE, _SHAPE, _ALONGSIDE, _NECK = range(len(TERMS))


class _Pairs(NamedTuple):
    """Candidates, and the part of their score that never changes."""

    a: NDArray[np.int32]
    b: NDArray[np.int32]
    fixed: NDArray[np.float64]
    overlap: NDArray[np.int32]
    contact: NDArray[np.int32]


class _Parts(NamedTuple):
    """What the score depends on of every track, which the kernel changes: at roots it is that of whole particles."""

    volume: NDArray[np.float64]
    moments: NDArray[np.float64]
    first: NDArray[np.int32]
    last: NDArray[np.int32]
    peak: NDArray[np.int32]


class Reason(IntEnum):
    """Why the tracks of a candidate are one particle (the first three), or two."""

    BEST = 0  # joined as the best candidate left
    IMPLIED = 1  # joined by way of other tracks
    JOIN_EDIT = 2
    SCORE = 3  # the score is not positive
    SHARED_MASK = 4  # one of the two is ambiguous, has joined another particle already, and both would be less round
    CUT_EDIT = 5
    VIEWS = 6  # most views overrule the score


_BEST, _IMPLIED, _SCORE, _SHARED, _CUT = (
    int(Reason[name]) for name in ("BEST", "IMPLIED", "SCORE", "SHARED_MASK", "CUT_EDIT")
)


@dataclass(frozen=True, eq=False)
class Decision:
    """Which tracks are one particle, and why.

    Attributes
    ----------
    root
        Smallest of the tracks of the same particle, (k,) int32.
    joined
        Whether the two tracks of each candidate ended in one particle, (e,) bool.
    score
        Score when the candidate was last scored, (e,) float64.
    terms
        Share, shape, alongside and neck at that time, (e, 4) float64.
    reason
        `Reason` codes, (e,) int8.
    """

    root: NDArray[np.int32]
    joined: NDArray[np.bool_]
    score: NDArray[np.float64]
    terms: NDArray[np.float64]
    reason: NDArray[np.int8]


def decide(
    tracks: TrackGeometry,
    candidates: Candidates,
    cuts: NDArray[np.int64] | None = None,
) -> Decision:
    """Join tracks, best candidate first.

    Candidates of ambiguous tracks wait until all others are decided. An ambiguous track then joins one particle only,
    so that a mask of two particles does not join the two; but where a second one makes the first rounder, they are the
    pieces of a cracked particle, and join.

    Parameters
    ----------
    tracks, candidates
        What is decided on.
    cuts
        Pairs of tracks, counted from 0, that are kept in different particles, (c, 2).
    """
    fixed = link_evidence(candidates.iou, candidates.containment) + CONSTANT
    pairs = _Pairs(candidates.a, candidates.b, fixed, candidates.overlap, candidates.contact)
    parts = _Parts(*(getattr(tracks, name).copy() for name in _Parts._fields))
    no_cuts = np.zeros((0, 2), np.int64)
    root, score, terms, reason = _best_first(pairs, parts, tracks.ambiguous, no_cuts if cuts is None else cuts)
    joined = root[candidates.a] == root[candidates.b]
    reason[joined & (reason != Reason.BEST)] = Reason.IMPLIED
    return Decision(root, joined, score, terms, reason)


@numba.njit(cache=True, nogil=True)
def sphere_likeness(volume, sums):  # type: ignore[no-untyped-def]
    """Logarithm of the voxels over the volume of a ball with the same second moments, up to a constant.

    Parameters
    ----------
    volume
        Voxels.
    sums
        Sums over the voxels of z, y, x and zz + yy + xx, (4,).
    """
    spread = sums[3] / volume - (sums[0] ** 2 + sums[1] ** 2 + sums[2] ** 2) / volume**2
    return np.log(volume) - 1.5 * np.log(spread)


@numba.njit(cache=True, nogil=True)
def _score(e, one, other, parts, pairs, score, terms):  # type: ignore[no-untyped-def]
    """Write the evidence and the score of candidate e, which joins two particles, given by their roots."""
    volume, moments, first, last, peak = parts
    large, small = (other, one) if volume[one] < volume[other] else (one, other)
    joint = volume[large] + volume[small]
    share = volume[small] / joint
    likeness = sphere_likeness(joint, moments[large] + moments[small])
    gain = (likeness - sphere_likeness(volume[large], moments[large])) / share
    gain = min(max(gain, SHAPE_LIMITS[0]), SHAPE_LIMITS[1])
    common = min(last[large], last[small]) - max(first[large], first[small]) + 1
    shorter = min(last[large] - first[large], last[small] - first[small]) + 1
    neck = max(pairs.overlap[e], pairs.contact[e]) / min(peak[large], peak[small])
    terms[e, _SHARE] = min(1.0, pairs.contact[e] / volume[small])
    terms[e, _SHAPE] = gain * share / (share + SMALL) * joint / (joint + COARSE)
    terms[e, _ALONGSIDE] = max(0, common) / shorter
    terms[e, _NECK] = 1 - np.sqrt(min(1.0, neck))
    score[e] = pairs.fixed[e]
    for k in range(len(TERM_WEIGHTS)):
        score[e] += TERM_WEIGHTS[k] * terms[e, k]


@numba.njit(cache=True, nogil=True)
def _merge(root, gone, parent, size, parts):  # type: ignore[no-untyped-def]
    """Join two particles; the lower number stays root."""
    volume, moments, first, last, peak = parts
    parent[gone] = root
    size[root] += size[gone]
    volume[root] += volume[gone]
    moments[root] += moments[gone]
    first[root], last[root] = min(first[root], first[gone]), max(last[root], last[gone])
    peak[root] = max(peak[root], peak[gone])


@numba.njit(cache=True, nogil=True)
def _forbidden(a, b, parent, cuts):  # type: ignore[no-untyped-def]
    """Whether joining the roots a and b would bring together a pair that a person cut."""
    for k in range(len(cuts)):
        c, d = find_root(parent, cuts[k, 0]), find_root(parent, cuts[k, 1])
        if (c == a and d == b) or (c == b and d == a):
            return True
    return False


@numba.njit(cache=True, nogil=True)
def _candidate_lists(a, b, n):  # type: ignore[no-untyped-def]
    """Candidates of every track as linked lists of their ends 2 e and 2 e + 1: first end, last end, next ends."""
    head, tail = np.full(n, -1), np.full(n, -1)
    following = np.full(2 * len(a), -1)
    for end in range(2 * len(a)):
        t = a[end // 2] if end % 2 == 0 else b[end // 2]
        if head[t] < 0:
            head[t] = end
        else:
            following[tail[t]] = end
        tail[t] = end
    return head, tail, following


@numba.njit(cache=True, nogil=True)
def _reason(e, one, other, late, score, terms, parent, size, ambiguous, pairs, cuts):  # type: ignore[no-untyped-def]
    """Whether to join the best candidate left, `_BEST`, or why not."""
    if one == other:
        return _IMPLIED
    if score[e] <= 0:
        return _SCORE
    alone = (ambiguous[pairs.a[e]] and size[one] == 1) or (ambiguous[pairs.b[e]] and size[other] == 1)
    if late and not alone and terms[e, _SHAPE] <= ROUNDER:
        return _SHARED
    return _CUT if _forbidden(one, other, parent, cuts) else _BEST


@numba.njit(cache=True, nogil=True)
def _best_first(pairs, parts, ambiguous, cuts):  # type: ignore[no-untyped-def]
    """Join best first; see `decide`. At the roots, what describes tracks then describes whole particles."""
    a, b = pairs.a, pairs.b
    count, n = len(a), len(ambiguous)
    parent, size = np.arange(n), np.ones(n, np.int64)
    score, terms, reason = np.zeros(count), np.zeros((count, 4)), np.zeros(count, np.int8)
    head, tail, following = _candidate_lists(a, b, n)
    heap = new_heap(count, True)  # the keys are negative scores: the best candidate comes first
    for late in (False, True):
        for e in range(count):
            c, d = find_root(parent, a[e]), find_root(parent, b[e])
            if (ambiguous[a[e]] or ambiguous[b[e]]) == late and c != d:
                _score(e, c, d, parts, pairs, score, terms)
                push(heap, e, -score[e])
        while heap.size[0] > 0:
            e = pop(heap)
            c, d = find_root(parent, a[e]), find_root(parent, b[e])
            reason[e] = _reason(e, c, d, late, score, terms, parent, size, ambiguous, pairs, cuts)
            if reason[e] != _BEST:
                continue
            root, gone = min(c, d), max(c, d)
            _merge(root, gone, parent, size, parts)
            following[tail[root]], tail[root] = head[gone], tail[gone]
            end = head[root]
            while end >= 0:
                f = end // 2
                end = following[end]
                c, d = find_root(parent, a[f]), find_root(parent, b[f])
                if heap.slot[f] >= 0 and c != d:
                    _score(f, c, d, parts, pairs, score, terms)
                    change(heap, f, -score[f])
    return find_roots(parent), score, terms, reason
