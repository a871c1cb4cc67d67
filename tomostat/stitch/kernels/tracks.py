"""Tracks: instances chained along z by links that stand in no doubt, cut at waists.

Everything is an array over all instances of a volume in the order of their ids; no instance and no link is a Python
object, so ten million fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from tomostat.instances import Instances
from tomostat.kernels.matching import assign
from tomostat.stitch.kernels.link import NOTHING, Links, claims, pair_weight
from tomostat.stitch.options import StitchOptions

GAP_DISCOUNT = 0.85
"""Factor on the evidence of a link for every slice that it bridges."""
BLOCKED = 0.5
"""Share of the common pixels, and of the instance in between, from which on a bridge leads through a particle."""
FIRM = 0.65
"""Evidence from which on a link across a gap, or one in doubt, is chained without a decision in the graph."""
MANY = 4
"""Instances of the next slice that lie in one mask, from which on it holds several particles, not one in pieces."""
LIKE = 0.7
"""IoU from which on two masks show the same, be it one particle or two."""
WAIST = 0.35
"""Depth of a minimum along z of the square root of the area from which on a track is cut, and the graph decides."""


@dataclass(frozen=True, eq=False)
class Sections:
    """What the graph knows of every instance, in the order of ids.

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
    """

    slice: NDArray[np.int32]
    position: NDArray[np.int32]
    area: NDArray[np.int32]
    moments: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.slice)

    def rows(self, ids: NDArray[np.uint64]) -> NDArray[np.int32]:
        """Rows of instances, (k,) int32; -1 for `NOTHING`."""
        slices = np.arange(int(self.slice[-1]) + 2) if len(self) else np.zeros(1)
        first = np.searchsorted(self.slice, slices)
        known = ids != NOTHING
        z = np.where(known, ids >> np.uint64(32), 0).astype(np.int64)
        rank = (ids & np.uint64(0xFFFFFFFF)).astype(np.int64)
        return np.where(known, first[z] + rank, -1).astype(np.int32)


@dataclass(frozen=True, eq=False)
class LinkRows:
    """Links between rows of `Sections`; fields as in `Links`, ids replaced by rows (int32, -1 for none)."""

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
        Track of every instance, (n,) int32, numbered by the first instance.
    count
        Number of tracks.
    open_links
        Links (indices) that could join tracks but were not chained, ascending.
    doubtful
        Tracks that may hold two particles in one mask and so must not join others, (count,) bool.
    """

    track: NDArray[np.int32]
    count: int
    open_links: NDArray[np.int64]
    doubtful: NDArray[np.bool_]


def sections_of(instances: Instances) -> Sections:
    """Area, place and moments of instances."""
    moments = _moments(instances.offset, instances.run_start, instances.run_length, instances.shape[1])
    return Sections(instances.slice, instances.run_start[instances.offset[:-1]], instances.area, moments)


def link_rows(links: Links, sections: Sections) -> LinkRows:
    """Links with rows instead of ids."""
    rows = {name: sections.rows(getattr(links, name)) for name in ("first", "second", "through")}
    return LinkRows(**vars(links) | rows)


def chain(sections: Sections, links: LinkRows, options: StitchOptions) -> Chains:
    """Chain instances into tracks.

    Clean links stand. Open ends and starts are matched one to one, all at once, over doubtful links and those across
    missed slices, never through another particle; what of that is strong is chained too. Tracks are cut at waists.
    """
    following = np.full(len(sections), -1, np.int32)
    via = np.full(len(sections), -1, np.int64)
    clean = np.flatnonzero(links.clean)
    following[links.first[clean]], via[links.first[clean]] = links.second[clean], clean
    is_open = _may_join(sections, links, options)
    chosen = _match_ends(following, links, is_open, options)
    following[links.first[chosen]], via[links.first[chosen]] = links.second[chosen], chosen
    for row in cut_waists(following, sections.area):
        is_open[via[row]] = True
        following[row] = -1
    chained = via[np.flatnonzero(following >= 0)]
    is_open[chained] = False
    track, count = number_chains(following)
    return Chains(track, count, np.flatnonzero(is_open), _doubtful_tracks(sections, links, track, count))


def _may_join(sections: Sections, links: LinkRows, options: StitchOptions) -> NDArray[np.bool_]:
    """Links with enough evidence that do not lead through another particle."""
    open_ = ~links.clean & ((links.iou >= options.min_iou) | (links.containment >= options.min_containment))
    between = np.flatnonzero(open_ & (links.blocked >= BLOCKED))
    covered = links.blocked[between] * links.overlap[between]
    # an instance that lies mostly elsewhere is no obstacle: it holds this particle besides its own
    open_[between] = covered < BLOCKED * sections.area[links.through[between]]
    return open_


def _match_ends(
    following: NDArray[np.int32], links: LinkRows, is_open: NDArray[np.bool_], options: StitchOptions
) -> NDArray[np.int64]:
    """Links chosen one to one between open ends and starts; only the firm ones are returned."""
    started = np.zeros(len(following), bool)
    started[following[following >= 0]] = True
    rows = np.flatnonzero(is_open & (links.gap <= options.max_gap))
    rows = rows[(following[links.first[rows]] < 0) & ~started[links.second[rows]]]
    weight = pair_weight(links.iou[rows], links.containment[rows]) * GAP_DISCOUNT ** links.gap[rows]
    ends, end = np.unique(links.first[rows], return_inverse=True)
    starts, start = np.unique(links.second[rows], return_inverse=True)
    taken = assign(end, start, weight, (len(ends), len(starts)))
    firm = (weight[taken] >= FIRM) & (links.blocked[rows[taken]] < BLOCKED)
    return rows[taken[firm]]


def _doubtful_tracks(sections: Sections, links: LinkRows, track: NDArray[np.int32], count: int) -> NDArray[np.bool_]:
    """Tracks that cover several others above and below and are like none of them, or many on one side."""
    near = np.flatnonzero(links.gap == 0)
    first, second = links.first[near], links.second[near]
    forward, backward = claims(links.overlap[near], sections.area[first], sections.area[second])
    n = len(sections)
    above = np.bincount(second[forward], minlength=n)
    below = np.bincount(first[backward], minlength=n)
    top, bottom = np.zeros(count, np.int64), np.zeros(count, np.int64)
    rows = np.arange(n)
    bottom[track] = rows
    top[track[::-1]] = rows[::-1]
    like = (links.iou >= LIKE) & (track[links.first] != track[links.second])
    alike = np.zeros(n, bool)
    alike[links.first[like]] = alike[links.second[like]] = True
    several = (above[top] > 1) & (below[bottom] > 1) & ~alike[top] & ~alike[bottom]
    doubtful: NDArray[np.bool_] = several | (np.maximum(above[top], below[bottom]) >= MANY)
    return doubtful


@numba.njit(cache=True, nogil=True)
def _moments(offset, start, length, nx):  # type: ignore[no-untyped-def]
    """Mean y, x and variances yy, yx, xx of run-length masks, pixels as squares of side 1."""
    out = np.empty((len(offset) - 1, 5), np.float32)
    for i in range(len(out)):
        n = sy = sx = syy = syx = sxx = 0.0
        y0, x0 = start[offset[i]] // nx, start[offset[i]] % nx  # sums about the first pixel keep their digits
        for run in range(offset[i], offset[i + 1]):
            y, x, k = start[run] // nx - y0, start[run] % nx - x0, length[run]
            along = k * x + k * (k - 1) / 2
            n += k
            sy += k * y
            sx += along
            syy += k * y * y
            syx += y * along
            sxx += k * x * x + x * k * (k - 1) + (k - 1) * k * (2 * k - 1) / 6
        my, mx = sy / n, sx / n
        out[i, 0], out[i, 1] = y0 + my, x0 + mx
        out[i, 2], out[i, 3] = syy / n - my * my + 1 / 12, syx / n - my * mx
        out[i, 4] = sxx / n - mx * mx + 1 / 12
    return out


@numba.njit(cache=True, nogil=True)
def cut_waists(following, area):  # type: ignore[no-untyped-def]
    """Rows after which a chain is cut: its area has a deep minimum there.

    For convex bodies the square root of the section's area is concave along z (Brunn and Minkowski), so that a minimum
    between two maxima tells of two bodies. Its depth is ``1 - sqrt(least / lesser of the two maxima)``.

    Parameters
    ----------
    following
        Next row of every row, -1 at ends, (n,) int32.
    area
        Pixels of every row, (n,) int32.

    Returns
    -------
    ndarray
        Last rows of the upper parts, (k,) int64.
    """
    n = len(following)
    started = np.zeros(n, np.bool_)
    for i in range(n):
        if following[i] >= 0:
            started[following[i]] = True
    longest = _longest(following, started)
    chain_, above = np.empty(longest, np.int64), np.empty(longest, np.int64)
    stack = np.empty((longest + 1, 2), np.int64)
    cuts = np.empty(n, np.int64)
    count = 0
    for i in range(n):
        if started[i]:
            continue
        length, row = 0, i
        while row >= 0:
            chain_[length] = row
            length += 1
            row = following[row]
        stack[0] = 0, length
        depth = 1
        while depth > 0:
            depth -= 1
            low, high = stack[depth]
            at = _waist(chain_, low, high, area, above)
            if at > low:
                cuts[count] = chain_[at - 1]
                count += 1
                stack[depth] = low, at
                stack[depth + 1] = at, high
                depth += 2
    return cuts[:count].copy()


@numba.njit(cache=True, nogil=True)
def _longest(following, started):  # type: ignore[no-untyped-def]
    """Rows of the longest chain."""
    longest = 0
    for i in range(len(following)):
        if not started[i]:
            length, row = 0, i
            while row >= 0:
                length += 1
                row = following[row]
            longest = max(longest, length)
    return longest


@numba.njit(cache=True, nogil=True)
def _waist(chain_, low, high, area, above):  # type: ignore[no-untyped-def]
    """First place of the lower part when the chain from `low` to `high` is cut at its waist; -1 for no waist."""
    if high - low < 3:
        return -1
    largest = 0
    for k in range(low, high):
        largest = max(largest, area[chain_[k]])
        above[k] = largest
    largest, deepest, least = 0, WAIST, -1
    for k in range(high - 1, low - 1, -1):
        largest = max(largest, area[chain_[k]])
        depth = 1 - np.sqrt(area[chain_[k]] / min(largest, above[k]))
        if depth >= deepest:
            deepest, least = depth, k
    if least <= low or least >= high - 1:
        return -1
    # the least section goes to the side that its area continues
    here = area[chain_[least]]
    up = down = 2.0**60
    if least - 2 >= low:
        up = abs(here - 2.0 * area[chain_[least - 1]] + area[chain_[least - 2]])
    if least + 2 < high:
        down = abs(here - 2.0 * area[chain_[least + 1]] + area[chain_[least + 2]])
    return least + 1 if up < down else least


@numba.njit(cache=True, nogil=True)
def number_chains(following):  # type: ignore[no-untyped-def]
    """Track of every row, numbered by the first row, and the number of tracks."""
    track = np.full(len(following), -1, np.int32)
    count = 0
    for i in range(len(following)):
        if track[i] < 0:
            row = i
            while row >= 0:
                track[row] = count
                row = following[row]
            count += 1
    return track, count
