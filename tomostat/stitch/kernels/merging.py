"""Which tracks are one particle: candidates with evidence, decided best first over the whole volume.

A candidate joins two tracks that overlap in slices near each other. Its score, positive to join, is

    3 IoU + containment + 3 share + 2.5 shape - 2.5 alongside - 4 neck + 1.5

IoU, containment
    of the masks that a link joins (0 without one)
share
    of the smaller particle's voxels that lie directly above or below the other track, 0 to 1
shape
    what the smaller part does to the sphere-likeness q of the larger, ``d ln q / m``, between -3 and 1.5, times
    ``m / (m + 0.02)`` and ``v / (v + 200)``: it counts little for small parts, and for particles of few voxels. m is
    the smaller part's share of the v voxels, q the volume over that of a ball with the same second moments. Mass
    inside the ball raises q, mass outside lowers it: a small part at distance d from the centre of a ball of radius R
    gives ``2.5 (1 - d^2 / R^2)``
alongside
    share of the shorter part's slices in which the other runs too
neck
    1 - sqrt(overlap / lesser of the two largest sections)

The coefficients come from a logistic fit on dense phantoms with missed, split and fused detections, rounded; results
on others change little with them. The best candidate of all joins first, and every candidate of the joint particle is
scored anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from tomostat.stitch.kernels.tracks import Chains, LinkRows, Sections

WEIGHTS = np.array([3.0, 1.0, 3.0, 2.5, -2.5, -4.0, 1.5])
"""Coefficients of IoU, containment, share, shape, alongside, neck, and the constant."""
COARSE = 200.0
"""Voxels of a particle whose shape counts half, because its voxels are coarse."""
TERMS = ("share", "shape", "alongside", "neck")
"""Evidence that depends on what has been joined before."""


class Reason(IntEnum):
    """Why the tracks of a candidate are one particle (the first three), or two."""

    BEST = 0  # joined as the best candidate left
    IMPLIED = 1  # joined by way of other tracks
    JOIN_EDIT = 2
    SCORE = 3  # the score is not positive
    SHARED_MASK = 4  # one of the two may hold two particles and has joined the other
    CUT_EDIT = 5


_BEST, _IMPLIED, _SCORE, _SHARED, _CUT = (
    int(Reason[name]) for name in ("BEST", "IMPLIED", "SCORE", "SHARED_MASK", "CUT_EDIT")
)


@dataclass(frozen=True, eq=False)
class Bodies:
    """Tracks as bodies.

    Attributes
    ----------
    volume
        Voxels, (k,) float64.
    moments
        Sums over the voxels of z, y, x, zz + yy + xx in micrometers, (k, 4) float64.
    first, last
        First and last slice, (k,) int32.
    sections
        Number of instances, (k,) int32.
    peak
        Pixels of the largest section, (k,) int32.
    doubtful
        Tracks that may hold two particles in one mask, (k,) bool.
    """

    volume: NDArray[np.float64]
    moments: NDArray[np.float64]
    first: NDArray[np.int32]
    last: NDArray[np.int32]
    sections: NDArray[np.int32]
    peak: NDArray[np.int32]
    doubtful: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.volume)


@dataclass(frozen=True, eq=False)
class Candidates:
    """Pairs of tracks that may be one particle; all (e,), ordered by a, then b.

    Attributes
    ----------
    a, b
        Tracks, a < b, int32.
    iou, containment, gap, blocked
        Of the best link between the two; gap is -1 where there is none.
    overlap
        Pixels that this link's masks share.
    contact
        Pixels of the smaller track directly above or below the other.
    """

    a: NDArray[np.int32]
    b: NDArray[np.int32]
    iou: NDArray[np.float32]
    containment: NDArray[np.float32]
    gap: NDArray[np.int8]
    blocked: NDArray[np.float32]
    overlap: NDArray[np.int32]
    contact: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.a)


@dataclass(frozen=True, eq=False)
class Decision:
    """What became of tracks and candidates.

    Attributes
    ----------
    root
        Track of the smallest number in the same particle, (k,) int32.
    joined
        Whether the two tracks of each candidate ended in one particle, (e,) bool.
    score
        Score when the candidate was last looked at, (e,) float64.
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


def bodies_of(sections: Sections, chains: Chains, spacing: tuple[float, float, float]) -> Bodies:
    """Volume, moments and extent of every track."""
    count = chains.count
    volume, moments = np.zeros(count), np.zeros((count, 4))
    first, last = np.full(count, 2**31 - 1, np.int32), np.full(count, -1, np.int32)
    number, peak = np.zeros(count, np.int32), np.zeros(count, np.int32)
    _gather(
        chains.track, sections.slice, sections.area, sections.moments, np.array(spacing, float),
        volume, moments, first, last, number, peak,
    )  # fmt: skip
    return Bodies(volume, moments, first, last, number, peak, chains.doubtful)


def candidates_of(sections: Sections, links: LinkRows, chains: Chains, bodies: Bodies) -> Candidates:
    """Pairs of tracks with an open link or with instances directly above one another."""
    track = chains.track
    small, large, contact = _contacts(sections, links, track, bodies)
    rows = chains.open_links
    a, b = track[links.first[rows]], track[links.second[rows]]
    rows, a, b = rows[a != b], a[a != b], b[a != b]
    keys = np.concatenate([_pair_key(small, large, len(bodies)), _pair_key(a, b, len(bodies))])
    pairs, pair = np.unique(keys, return_inverse=True)
    touch = np.bincount(pair[: len(small)], contact, len(pairs)).astype(np.int32)
    evidence = WEIGHTS[0] * links.iou[rows] + WEIGHTS[1] * links.containment[rows]
    order = np.argsort(-evidence, kind="stable")
    linked, best = np.unique(pair[len(small) :][order], return_index=True)
    link = np.full(len(pairs), -1, np.int64)
    link[linked] = rows[order[best]]

    def of_link(name: str, missing: float) -> NDArray[Any]:
        values = getattr(links, name)
        padded = np.append(values, np.array(missing, values.dtype))
        return padded[link]

    return Candidates(
        a=(pairs // len(bodies)).astype(np.int32),
        b=(pairs % len(bodies)).astype(np.int32),
        contact=touch,
        gap=of_link("gap", -1),
        **{name: of_link(name, 0) for name in ("iou", "containment", "blocked", "overlap")},
    )


def _pair_key(a: NDArray[Any], b: NDArray[Any], count: int) -> NDArray[np.int64]:
    return np.minimum(a, b).astype(np.int64) * count + np.maximum(a, b)


def _contacts(
    sections: Sections, links: LinkRows, track: NDArray[np.int32], bodies: Bodies
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Smaller and larger track, and pixels of an instance of the smaller above or below the larger."""
    near = np.flatnonzero((links.gap == 0) & (track[links.first] != track[links.second]))
    row = np.concatenate([links.first[near], links.second[near]])
    other = track[np.concatenate([links.second[near], links.first[near]])]
    pixels = np.tile(links.overlap[near], 2)
    own = track[row]
    smaller = (bodies.volume[own] < bodies.volume[other]) | (
        (bodies.volume[own] == bodies.volume[other]) & (own < other)
    )
    row, other, pixels = row[smaller], other[smaller], pixels[smaller]
    order = np.lexsort((-pixels, other, row))  # above and below counts once: the larger of the two
    row, other, pixels = row[order], other[order], pixels[order]
    leads = np.ones(len(row), bool)
    leads[1:] = (row[1:] != row[:-1]) | (other[1:] != other[:-1])
    return track[row[leads]], other[leads], pixels[leads]


def decide(
    bodies: Bodies,
    candidates: Candidates,
    cuts: NDArray[np.int64] | None = None,
) -> Decision:
    """Join tracks, best candidate first.

    Doubtful tracks are left to the end and then join one particle each, so that a mask of two particles never joins
    the two.

    Parameters
    ----------
    cuts
        Pairs of tracks (c, 2) that are kept in different particles.
    """
    fixed = WEIGHTS[0] * candidates.iou + WEIGHTS[1] * candidates.containment + WEIGHTS[6]
    pairs = (candidates.a, candidates.b, fixed.astype(float), candidates.overlap, candidates.contact)
    # the kernel joins these in place
    parts = tuple(getattr(bodies, name).copy() for name in ("volume", "moments", "first", "last", "peak"))
    apart = np.zeros((0, 2), np.int64) if cuts is None else cuts
    root, score, terms, reason = _best_first(pairs, parts, bodies.doubtful, apart)
    joined = root[candidates.a] == root[candidates.b]
    reason[joined & (reason != Reason.BEST)] = Reason.IMPLIED
    return Decision(root, joined, score, terms, reason)


@numba.njit(cache=True, nogil=True)
def _gather(track, slices, area, moments, spacing, volume, sums, first, last, number, peak):  # type: ignore[no-untyped-def]
    """Add every instance to its track, in the order of instances."""
    dz, dy, dx = spacing
    for i in range(len(track)):
        t = track[i]
        z, y, x = slices[i] * dz, moments[i, 0] * dy, moments[i, 1] * dx
        spread = dz * dz / 12 + moments[i, 2] * dy * dy + moments[i, 4] * dx * dx
        volume[t] += area[i]
        sums[t, 0] += area[i] * z
        sums[t, 1] += area[i] * y
        sums[t, 2] += area[i] * x
        sums[t, 3] += area[i] * (z * z + y * y + x * x + spread)
        first[t], last[t] = min(first[t], slices[i]), max(last[t], slices[i])
        number[t] += 1
        peak[t] = max(peak[t], area[i])


@numba.njit(cache=True, nogil=True)
def find(parent, i):  # type: ignore[no-untyped-def]
    """Root of i in a union-find forest."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@numba.njit(cache=True, nogil=True)
def sphere_likeness(volume, sums):  # type: ignore[no-untyped-def]
    """Ln of the voxels over the volume of a ball with the same second moments, up to a constant."""
    spread = sums[3] / volume - (sums[0] ** 2 + sums[1] ** 2 + sums[2] ** 2) / volume**2
    return np.log(volume) - 1.5 * np.log(spread)


@numba.njit(cache=True, nogil=True)
def _rate(e, c, d, bodies, candidates, score, terms):  # type: ignore[no-untyped-def]
    """Write the evidence and the score of candidate e, which joins the particles c and d."""
    volume, sums, first, last, peak = bodies
    _, _, fixed, overlap, contact = candidates
    if volume[c] < volume[d]:
        c, d = d, c
    joint = volume[c] + volume[d]
    m = volume[d] / joint
    gain = (sphere_likeness(joint, sums[c] + sums[d]) - sphere_likeness(volume[c], sums[c])) / m
    common = min(last[c], last[d]) - max(first[c], first[d]) + 1
    terms[e, 0] = min(1.0, contact[e] / volume[d])
    terms[e, 1] = min(max(gain, -3.0), 1.5) * m / (m + 0.02) * joint / (joint + COARSE)
    terms[e, 2] = max(0, common) / (min(last[c] - first[c], last[d] - first[d]) + 1)
    terms[e, 3] = 1 - np.sqrt(min(1.0, max(overlap[e], contact[e]) / min(peak[c], peak[d])))
    score[e] = fixed[e]
    for k in range(4):
        score[e] += WEIGHTS[2 + k] * terms[e, k]


@numba.njit(cache=True, nogil=True)
def _merge(root, gone, parent, size, bodies):  # type: ignore[no-untyped-def]
    """Join two particles; the lower number stays root."""
    volume, sums, first, last, peak = bodies
    parent[gone] = root
    size[root] += size[gone]
    volume[root] += volume[gone]
    sums[root] += sums[gone]
    first[root], last[root] = min(first[root], first[gone]), max(last[root], last[gone])
    peak[root] = max(peak[root], peak[gone])


@numba.njit(cache=True, nogil=True)
def _forbidden(a, b, parent, cuts):  # type: ignore[no-untyped-def]
    """Whether joining the roots a and b would bring together a pair that a person cut."""
    for k in range(len(cuts)):
        c, d = find(parent, cuts[k, 0]), find(parent, cuts[k, 1])
        if (c == a and d == b) or (c == b and d == a):
            return True
    return False


@numba.njit(cache=True, nogil=True)
def _ahead(score, e, f):  # type: ignore[no-untyped-def]
    """Whether candidate e is to be looked at before f."""
    return score[e] > score[f] or (score[e] == score[f] and e < f)


@numba.njit(cache=True, nogil=True)
def _swap(heap, place, i, j):  # type: ignore[no-untyped-def]
    """Exchange two places of the heap."""
    heap[i], heap[j] = heap[j], heap[i]
    place[heap[i]], place[heap[j]] = i, j


@numba.njit(cache=True, nogil=True)
def _settle(heap, size, place, at, score):  # type: ignore[no-untyped-def]
    """Move the candidate at a place of a binary heap up or down to where it belongs."""
    while at > 0 and _ahead(score, heap[at], heap[(at - 1) // 2]):
        _swap(heap, place, at, (at - 1) // 2)
        at = (at - 1) // 2
    while True:
        first = at
        for child in (2 * at + 1, 2 * at + 2):
            if child < size and _ahead(score, heap[child], heap[first]):
                first = child
        if first == at:
            return
        _swap(heap, place, at, first)
        at = first


@numba.njit(cache=True, nogil=True)
def _candidate_chains(a, b, n):  # type: ignore[no-untyped-def]
    """Candidates of every track as chains of their ends, 2 e and 2 e + 1: heads, tails, followers."""
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
def _verdict(e, c, d, late, score, parent, size, doubtful, candidates, cuts):  # type: ignore[no-untyped-def]
    """What is to become of the best candidate left."""
    a, b = candidates[0], candidates[1]
    if c == d:
        return _IMPLIED
    if score[e] <= 0:
        return _SCORE
    if late and not ((doubtful[a[e]] and size[c] == 1) or (doubtful[b[e]] and size[d] == 1)):
        return _SHARED
    return _CUT if _forbidden(c, d, parent, cuts) else _BEST


@numba.njit(cache=True, nogil=True)
def _best_first(candidates, bodies, doubtful, cuts):  # type: ignore[no-untyped-def]
    """Join best first; see `decide`. The bodies become those of the particles, at their roots."""
    a, b = candidates[0], candidates[1]
    count, n = len(a), len(doubtful)
    parent, size = np.arange(n), np.ones(n, np.int64)
    score, terms, reason = np.zeros(count), np.zeros((count, 4)), np.zeros(count, np.int8)
    head, tail, following = _candidate_chains(a, b, n)
    heap, place = np.empty(count, np.int64), np.full(count, -1)
    for late in (False, True):
        waiting = 0
        for e in range(count):
            c, d = find(parent, a[e]), find(parent, b[e])
            if (doubtful[a[e]] or doubtful[b[e]]) == late and c != d:
                _rate(e, c, d, bodies, candidates, score, terms)
                heap[waiting], place[e] = e, waiting
                waiting += 1
                _settle(heap, waiting, place, waiting - 1, score)
        while waiting > 0:
            e = heap[0]
            waiting -= 1
            _swap(heap, place, 0, waiting)
            place[e] = -1
            _settle(heap, waiting, place, 0, score)
            c, d = find(parent, a[e]), find(parent, b[e])
            reason[e] = _verdict(e, c, d, late, score, parent, size, doubtful, candidates, cuts)
            if reason[e] != _BEST:
                continue
            root, gone = min(c, d), max(c, d)
            _merge(root, gone, parent, size, bodies)
            following[tail[root]], tail[root] = head[gone], tail[gone]
            end = head[root]
            while end >= 0:
                f = end // 2
                end = following[end]
                c, d = find(parent, a[f]), find(parent, b[f])
                if place[f] >= 0 and c != d:
                    _rate(f, c, d, bodies, candidates, score, terms)
                    _settle(heap, waiting, place, place[f], score)
    roots = np.empty(n, np.int32)
    for i in range(n):
        roots[i] = find(parent, i)
    return roots, score, terms, reason
