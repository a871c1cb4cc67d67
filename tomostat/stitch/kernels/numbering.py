"""Which particle every track belongs to: decisions with the corrections of a person, small particles dropped, numbers.

Particles are numbered from 1 in the order of their first pixel, so that no number depends on how the volume is cut
into blocks. Particles that no correction changes keep the numbers that they have without corrections.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numba
import numpy as np
from numpy.typing import NDArray

from tomostat.stitch.kernels.candidates import Candidates, TrackGeometry
from tomostat.stitch.kernels.disjoint_sets import find_roots, unite
from tomostat.stitch.kernels.merging import Decision, Reason, decide
from tomostat.stitch.kernels.tracks import Sections
from tomostat.stitch.options import StitchOptions


def _no_pairs() -> NDArray[np.int64]:
    return np.zeros((0, 2), np.int64)


@dataclass(frozen=True, eq=False)
class Corrections:
    """Pairs of tracks that a person keeps in different particles or brings into one.

    Attributes
    ----------
    cuts, joins
        Tracks, counted from 0, (k, 2) int64.
    """

    cuts: NDArray[np.int64] = field(default_factory=_no_pairs)
    joins: NDArray[np.int64] = field(default_factory=_no_pairs)


NO_CORRECTIONS = Corrections()


def decide_particles(
    sections: Sections,
    track: NDArray[np.int32],
    tracks: TrackGeometry,
    candidates: Candidates,
    slices: int,
    options: StitchOptions,
    corrections: Corrections = NO_CORRECTIONS,
) -> tuple[Decision, NDArray[np.uint32]]:
    """Decide all candidates and number the particles.

    Parameters
    ----------
    sections
        All instances.
    track
        Track of every instance, (n,) int32.
    tracks, candidates
        What is decided on.
    slices
        Slices of the volume.
    options
        Smallest number of slices in which a particle is seen.
    corrections
        Pairs of tracks to cut or to join.

    Returns
    -------
    Decision
        What became of the candidates.
    ndarray
        Particle of every track, (k,) uint32: dense, ordered by first pixel; 0 where dropped. With corrections,
        particles that none of them changes keep their numbers, and new ones are numbered after them.

    Raises
    ------
    ValueError
        When joins bring together, by way of other tracks, two that are cut.
    """
    plain = decide(tracks, candidates)
    kept = _kept(plain.root, sections, track, tracks, slices, options)
    particle = _number(plain.root, kept)
    cuts, joins = corrections.cuts, corrections.joins
    if not (len(cuts) or len(joins)):
        return plain, particle
    decision = _join(decide(tracks, candidates, _extend_cuts(cuts, joins, len(tracks))), candidates, joins)
    for a, b in cuts:
        if decision.root[a] == decision.root[b]:
            raise ValueError(
                f"cut {a + 1} {b + 1}: a join brings these two tracks together by way of others; cut those as well"
            )
    kept = _kept(decision.root, sections, track, tracks, slices, options)
    return decision, _renumber(decision.root, kept, plain.root, particle)


def _extend_cuts(cuts: NDArray[np.int64], joins: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Cuts between all tracks that joins put into one particle with those that were cut."""
    parent = np.arange(count)
    for a, b in joins:
        unite(parent, a, b)
    group = find_roots(parent)
    pairs = [
        (x, y) for a, b in cuts for x in np.flatnonzero(group == group[a]) for y in np.flatnonzero(group == group[b])
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _join(decision: Decision, candidates: Candidates, joins: NDArray[np.int64]) -> Decision:
    """Join the particles of pairs of tracks."""
    parent = decision.root.astype(np.int64)
    for a, b in joins:
        unite(parent, a, b)
    root = find_roots(parent)
    joined = root[candidates.a] == root[candidates.b]
    reason = np.where(joined & ~decision.joined, np.int8(Reason.JOIN_EDIT), decision.reason)
    return replace(decision, root=root, joined=joined, reason=reason)


def _kept(
    root: NDArray[np.int32],
    sections: Sections,
    track: NDArray[np.int32],
    tracks: TrackGeometry,
    slices: int,
    options: StitchOptions,
) -> NDArray[np.bool_]:
    """Tracks whose particle is seen in enough slices, or cut by the first or last one."""
    seen = _slices_seen(root, sections.slice, track)
    border = np.zeros(len(tracks), bool)
    border[root[(tracks.first == 0) | (tracks.last == slices - 1)]] = True
    kept: NDArray[np.bool_] = ((seen >= min(options.min_slices, slices)) | border)[root]
    return kept


@numba.njit(cache=True, nogil=True)
def _slices_seen(root, slices, track):  # type: ignore[no-untyped-def]
    """Number of slices in which each root is seen; instances are ordered by slice."""
    seen = np.zeros(len(root), np.int32)
    latest = np.full(len(root), -1, np.int32)
    for i in range(len(track)):
        r = root[track[i]]
        if latest[r] != slices[i]:
            latest[r] = slices[i]
            seen[r] += 1
    return seen


def _number(root: NDArray[np.int32], kept: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Dense numbers from 1 in the order of roots, 0 where not kept."""
    is_root = kept & (root == np.arange(len(root)))
    numbers = np.cumsum(is_root).astype(np.uint32)
    return np.where(kept, numbers[root], np.uint32(0)) if len(root) else numbers


def _renumber(
    root: NDArray[np.int32], kept: NDArray[np.bool_], old_root: NDArray[np.int32], old: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """Numbers after corrections: a particle keeps the smallest number whose first track it holds, new ones follow."""
    count = len(root)
    unset = np.uint32(2**32 - 1)
    number = np.full(count, unset, np.uint32)
    firsts = np.flatnonzero((old_root == np.arange(count)) & (old > 0))
    np.minimum.at(number, root[firsts], old[firsts])
    new = np.flatnonzero(kept & (root == np.arange(count)) & (number == unset))
    number[new] = int(old.max(initial=0)) + 1 + np.arange(len(new), dtype=np.uint32)
    return np.where(kept, number[root], np.uint32(0))
