"""Candidates of the merge graph: pairs of tracks that may be one particle, with the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from tomostat.stitch.kernels.tracks import Chains, IndexedLinks, Sections

LINK_WEIGHTS: NDArray[np.float64] = np.array([3.0, 1.0])
"""Coefficients of IoU and containment in the score of a candidate, see `tomostat.stitch.kernels.merging`."""


@dataclass(frozen=True, eq=False)
class TrackGeometry:
    """Size, position and extent of every track.

    Attributes
    ----------
    volume
        Voxels, (k,) float64.
    moments
        Sums over the voxels of z, y and x in micrometers and of zz + yy + xx in micrometers squared, (k, 4) float64.
    first, last
        First and last slice, (k,) int32.
    sections
        Number of instances, (k,) int32.
    peak
        Pixels of the largest section, (k,) int32.
    ambiguous
        Tracks whose masks may hold two particles, (k,) bool.
    """

    volume: NDArray[np.float64]
    moments: NDArray[np.float64]
    first: NDArray[np.int32]
    last: NDArray[np.int32]
    sections: NDArray[np.int32]
    peak: NDArray[np.int32]
    ambiguous: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.volume)


@dataclass(frozen=True, eq=False)
class Candidates:
    """Pairs of tracks that may be one particle; all (e,), ordered by a, then b.

    Attributes
    ----------
    a, b
        Tracks, counted from 0, a < b, int32.
    iou, containment, gap, blocked
        Of the best link between the two, float32, float32, int8, float32; gap is -1 where there is no link.
    overlap
        Pixels that the masks of this link share, int32.
    contact
        Pixels of the smaller track directly above or below the other, int32.
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


def measure_tracks(sections: Sections, chains: Chains, spacing: tuple[float, float, float]) -> TrackGeometry:
    """Volume, moments and extent of every track; `spacing` is the voxel size z, y, x in micrometers."""
    count = chains.count
    volume, moments = np.zeros(count), np.zeros((count, 4))
    first, last = np.full(count, 2**31 - 1, np.int32), np.full(count, -1, np.int32)
    number, peak = np.zeros(count, np.int32), np.zeros(count, np.int32)
    _gather(
        chains.track, sections.slice, sections.area, sections.moments, np.array(spacing, float),
        volume, moments, first, last, number, peak,
    )  # fmt: skip
    return TrackGeometry(volume, moments, first, last, number, peak, chains.ambiguous)


def find_candidates(links: IndexedLinks, chains: Chains, tracks: TrackGeometry) -> Candidates:
    """Pairs of tracks with an open link, or with instances directly above one another."""
    track = chains.track
    small, large, pixels = _contacts(links, track, tracks)
    open_ = chains.open_links
    a, b = track[links.first[open_]], track[links.second[open_]]
    open_, a, b = open_[a != b], a[a != b], b[a != b]
    keys = np.concatenate([_pair_key(small, large, len(tracks)), _pair_key(a, b, len(tracks))])
    pairs, pair = np.unique(keys, return_inverse=True)
    contact = np.bincount(pair[: len(small)], pixels, len(pairs)).astype(np.int32)
    order = np.argsort(-link_evidence(links.iou[open_], links.containment[open_]), kind="stable")
    linked, best = np.unique(pair[len(small) :][order], return_index=True)
    link = np.full(len(pairs), -1, np.int64)
    link[linked] = open_[order[best]]

    def of_best_link(name: str, missing: float) -> NDArray[Any]:
        values = getattr(links, name)
        padded = np.append(values, np.array(missing, values.dtype))
        return padded[link]

    return Candidates(
        a=(pairs // len(tracks)).astype(np.int32),
        b=(pairs % len(tracks)).astype(np.int32),
        contact=contact,
        gap=of_best_link("gap", -1),
        **{name: of_best_link(name, 0) for name in ("iou", "containment", "blocked", "overlap")},
    )


def link_evidence(iou: NDArray[np.float32], containment: NDArray[np.float32]) -> NDArray[np.float64]:
    """The part of a candidate's score that its best link gives, (e,)."""
    evidence: NDArray[np.float64] = LINK_WEIGHTS[0] * iou + LINK_WEIGHTS[1] * containment
    return evidence


def _pair_key(a: NDArray[Any], b: NDArray[Any], count: int) -> NDArray[np.int64]:
    """One number for each pair of tracks, in the order of the pairs."""
    return np.minimum(a, b).astype(np.int64) * count + np.maximum(a, b)


def _contacts(
    links: IndexedLinks, track: NDArray[np.int32], tracks: TrackGeometry
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Smaller and larger track, and pixels of an instance of the smaller directly above or below the larger."""
    near = np.flatnonzero((links.gap == 0) & (track[links.first] != track[links.second]))
    instance = np.concatenate([links.first[near], links.second[near]])
    other = track[np.concatenate([links.second[near], links.first[near]])]
    pixels = np.tile(links.overlap[near], 2)
    own = track[instance]
    smaller = (tracks.volume[own] < tracks.volume[other]) | (
        (tracks.volume[own] == tracks.volume[other]) & (own < other)
    )
    instance, other, pixels = instance[smaller], other[smaller], pixels[smaller]
    order = np.lexsort((-pixels, other, instance))  # above and below counts once: the larger of the two
    instance, other, pixels = instance[order], other[order], pixels[order]
    largest = np.ones(len(instance), bool)
    largest[1:] = (instance[1:] != instance[:-1]) | (other[1:] != other[:-1])
    return track[instance[largest]], other[largest], pixels[largest]


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
