"""Tracks: instances of neighbouring slices chained by reliable links, and cut at deep constrictions.

Everything is an array over all instances of a volume in the order of their ids; no instance and no link is a Python
object, so ten million fit into memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from tomostat.instances import Instances, split_ids
from tomostat.kernels.matching import assign
from tomostat.stitch.kernels.constrictions import cut_constrictions
from tomostat.stitch.kernels.link import NO_INSTANCE, InstanceLinks, contained, overlap_enough, pair_weight
from tomostat.stitch.options import StitchOptions

GAP_DISCOUNT = 0.85
"""Factor on the evidence of a link for every slice that it bridges."""
BLOCKED = 0.5
"""Share of the common pixels, and of the instance between, from which on a link leads through another particle."""
STRONG = 0.65
"""Evidence from which on a link that is not clean, or crosses a gap, is chained without a decision in the graph."""
MANY = 4
"""Instances of the next slice contained in one mask, from which on it holds several particles, not one in pieces."""
SIMILAR = 0.7
"""IoU from which on two masks show the same, be it one particle or two."""


@dataclass(frozen=True, eq=False)
class Sections:
    """Position, area, moments and score of every instance, in the order of their ids.

    Attributes
    ----------
    slice
        Slice, (n,) int32.
    position
        First pixel of the mask in its slice, (n,) int32.
    area
        Pixels, (n,) int32.
    moments
        Mean y, mean x and variances yy, yx, xx in pixels, (n, 5) float32.
    score
        Confidence of the detection, (n,) float32.
    """

    slice: NDArray[np.int32]
    position: NDArray[np.int32]
    area: NDArray[np.int32]
    moments: NDArray[np.float32]
    score: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.slice)

    def indices(self, ids: NDArray[np.uint64]) -> NDArray[np.int32]:
        """Indices of instances by their ids, (k,) int32; -1 for `NO_INSTANCE`."""
        slices = np.arange(int(self.slice[-1]) + 2) if len(self) else np.zeros(1)
        first = np.searchsorted(self.slice, slices)
        known = ids != NO_INSTANCE
        z, rank = split_ids(np.where(known, ids, np.uint64(0)))
        return np.where(known, first[z] + rank, -1).astype(np.int32)


@dataclass(frozen=True, eq=False)
class IndexedLinks:
    """Links by indices of instances in `Sections`, half the size of `InstanceLinks` and the same otherwise.

    Attributes
    ----------
    first, second, through
        Indices, (p,) int32; `through` is -1 where there is none.
    gap, overlap, iou, containment, clean, blocked
        As in `InstanceLinks`.
    """

    first: NDArray[np.int32]
    second: NDArray[np.int32]
    gap: NDArray[np.int8]
    overlap: NDArray[np.int32]
    iou: NDArray[np.float32]
    containment: NDArray[np.float32]
    clean: NDArray[np.bool_]
    blocked: NDArray[np.float32]
    through: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, eq=False)
class Chains:
    """Instances chained into tracks.

    Attributes
    ----------
    track
        Track of every instance, (n,) int32, numbered from 0 by the first instance.
    count
        Number of tracks.
    open_links
        Indices of links that could join tracks but were not chained, (m,) int64, ascending.
    ambiguous
        Tracks whose masks may hold two particles, so that they must not join others to each other, (count,) bool.
    """

    track: NDArray[np.int32]
    count: int
    open_links: NDArray[np.int64]
    ambiguous: NDArray[np.bool_]


def measure_sections(instances: Instances) -> Sections:
    """Position, area, moments and score of instances."""
    moments = _moments(instances.offset, instances.run_start, instances.run_length, instances.shape[1])
    return Sections(
        instances.slice, instances.run_start[instances.offset[:-1]], instances.area, moments, instances.score
    )


def index_links(links: InstanceLinks, sections: Sections) -> IndexedLinks:
    """Links by indices instead of ids."""
    indices = {name: sections.indices(getattr(links, name)) for name in ("first", "second", "through")}
    return IndexedLinks(**vars(links) | indices)


def chain_instances(sections: Sections, links: IndexedLinks, options: StitchOptions) -> Chains:
    """Chain instances into tracks.

    Clean links are all chained. Instances without a next one are then matched one to one to those without a previous
    one, all at once, over the other links and those across missed slices, but never through another particle; strong
    links among the matched ones are chained too. Finally tracks are cut at constrictions, see `cut_constrictions`.
    """
    following = np.full(len(sections), -1, np.int32)
    via = np.full(len(sections), -1, np.int64)
    clean = np.flatnonzero(links.clean)
    following[links.first[clean]], via[links.first[clean]] = links.second[clean], clean
    is_open = _may_join(sections, links, options)
    chosen = _match_open(following, links, is_open, options)
    following[links.first[chosen]], via[links.first[chosen]] = links.second[chosen], chosen
    for last in cut_constrictions(following, sections.area):
        is_open[via[last]] = True
        following[last] = -1
    chained = via[np.flatnonzero(following >= 0)]
    is_open[chained] = False
    track, count = number_tracks(following)
    return Chains(track, count, np.flatnonzero(is_open), _ambiguous_tracks(sections, links, track, count))


def _may_join(sections: Sections, links: IndexedLinks, options: StitchOptions) -> NDArray[np.bool_]:
    """Links with enough evidence that do not lead through another particle."""
    open_ = ~links.clean & overlap_enough(links.iou, links.containment, options)
    between = np.flatnonzero(open_ & (links.blocked >= BLOCKED))
    covered = links.blocked[between] * links.overlap[between]
    # an instance that lies mostly elsewhere does not block: its mask covers this particle besides its own
    open_[between] = covered < BLOCKED * sections.area[links.through[between]]
    return open_


def _match_open(
    following: NDArray[np.int32], links: IndexedLinks, is_open: NDArray[np.bool_], options: StitchOptions
) -> NDArray[np.int64]:
    """Match instances without a next one to those without a previous one; only the strong links are returned."""
    has_previous = np.zeros(len(following), bool)
    has_previous[following[following >= 0]] = True
    index = np.flatnonzero(is_open & (links.gap <= options.max_gap))
    index = index[(following[links.first[index]] < 0) & ~has_previous[links.second[index]]]
    weight = pair_weight(links.iou[index], links.containment[index]) * GAP_DISCOUNT ** links.gap[index]
    ends, end = np.unique(links.first[index], return_inverse=True)
    starts, start = np.unique(links.second[index], return_inverse=True)
    taken = assign(end, start, weight, (len(ends), len(starts)))
    strong = (weight[taken] >= STRONG) & (links.blocked[index[taken]] < BLOCKED)
    return index[taken[strong]]


def _ambiguous_tracks(
    sections: Sections, links: IndexedLinks, track: NDArray[np.int32], count: int
) -> NDArray[np.bool_]:
    """Tracks that contain several others above and below and resemble none of them, or contain many on one side."""
    near = np.flatnonzero(links.gap == 0)
    first, second = links.first[near], links.second[near]
    forward, backward = contained(links.overlap[near], sections.area[first], sections.area[second])
    n = len(sections)
    above = np.bincount(second[forward], minlength=n)
    below = np.bincount(first[backward], minlength=n)
    top, bottom = np.zeros(count, np.int64), np.zeros(count, np.int64)
    instance = np.arange(n)
    bottom[track] = instance
    top[track[::-1]] = instance[::-1]
    similar = (links.iou >= SIMILAR) & (track[links.first] != track[links.second])
    resembles = np.zeros(n, bool)
    resembles[links.first[similar]] = resembles[links.second[similar]] = True
    several = (above[top] > 1) & (below[bottom] > 1) & ~resembles[top] & ~resembles[bottom]
    ambiguous: NDArray[np.bool_] = several | (np.maximum(above[top], below[bottom]) >= MANY)
    return ambiguous


@numba.njit(cache=True, nogil=True)
def _moments(offset, start, length, nx):  # type: ignore[no-untyped-def]
    """Mean y, x and variances yy, yx, xx of run-length masks, pixels as squares of side 1."""
    out = np.empty((len(offset) - 1, 5), np.float32)
    for i in range(len(out)):
        n = sy = sx = syy = syx = sxx = 0.0
        y0, x0 = start[offset[i]] // nx, start[offset[i]] % nx  # sums about the first pixel keep their digits
        for run in range(offset[i], offset[i + 1]):
            y, x, k = start[run] // nx - y0, start[run] % nx - x0, length[run]
            row_sum = k * x + k * (k - 1) / 2
            n += k
            sy += k * y
            sx += row_sum
            syy += k * y * y
            syx += y * row_sum
            sxx += k * x * x + x * k * (k - 1) + (k - 1) * k * (2 * k - 1) / 6
        my, mx = sy / n, sx / n
        out[i, 0], out[i, 1] = y0 + my, x0 + mx
        out[i, 2], out[i, 3] = syy / n - my * my + 1 / 12, syx / n - my * mx
        out[i, 4] = sxx / n - mx * mx + 1 / 12
    return out


@numba.njit(cache=True, nogil=True)
def number_tracks(following):  # type: ignore[no-untyped-def]
    """Number the chains of instances.

    Parameters
    ----------
    following
        Next instance of every instance, -1 at the end of a chain, (n,) int32.

    Returns
    -------
    tuple
        Track of every instance, (n,) int32, numbered from 0 by the first instance; and the number of tracks.
    """
    track = np.full(len(following), -1, np.int32)
    count = 0
    for i in range(len(following)):
        if track[i] < 0:
            at = i
            while at >= 0:
                track[at] = count
                at = following[at]
            count += 1
    return track, count
