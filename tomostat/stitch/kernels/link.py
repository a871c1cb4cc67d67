"""Links between instances of different slices.

A link depends on the slices that it joins and those between them, never on how the volume is cut into blocks.

Two neighbouring slices are linked one to one by the Hungarian method on their overlaps. Where masks split or merge, or
overlap little, the link is kept as evidence but is not `clean`. Instances without a clean link on one side are open
there, and are matched again together with those that a missed slice leaves open.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from tomostat.instances import Instances, join_ids, split_ids
from tomostat.kernels.matching import Overlaps, Runs, SortedRuns, overlaps_of_runs, sort_runs
from tomostat.stitch.options import StitchOptions

CLEAN_IOU = 0.5
"""IoU below which a link is not clean: one of the two masks may be a part of a particle, or hold two particles."""
CONTAINED = 0.5
"""Share of an instance within one of the other slice from which on it counts as contained in that one."""
SIGNIFICANT = 0.05
"""Share of the larger instance below which one contained in it does not make its links ambiguous."""
LEAST_CONTAINMENT = 0.25
"""Containment below which an overlap is no evidence and is not written."""
NO_INSTANCE = np.uint64(2**64 - 1)
"""In place of the id of an instance where there is none."""


@dataclass(frozen=True, eq=False)
class InstanceLinks:
    """Pairs of instances of different slices that overlap, by their ids.

    Attributes
    ----------
    first, second
        Instance ids, (p,) uint64, `first` in the lower slice; ordered by first, then second.
    gap
        Slices between the two, (p,) int8.
    overlap
        Shared pixels, (p,) int32.
    iou, containment
        Intersection over union, and over the smaller of the two, (p,) float32.
    clean
        Whether the link joins neighbouring slices, was chosen one to one, and is not ambiguous, (p,) bool.
    blocked
        Largest share of the common pixels that one instance of a slice between covers, (p,) float32.
    through
        That instance, (p,) uint64; `NO_INSTANCE` where there is none.
    """

    first: NDArray[np.uint64]
    second: NDArray[np.uint64]
    gap: NDArray[np.int8]
    overlap: NDArray[np.int32]
    iou: NDArray[np.float32]
    containment: NDArray[np.float32]
    clean: NDArray[np.bool_]
    blocked: NDArray[np.float32]
    through: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.first)


def widest_gap(options: StitchOptions) -> int:
    """Largest gap in slices over which links are searched; the merge graph decides on those wider than `max_gap`."""
    return 2 * options.max_gap + 1 if options.max_gap else 0


def link_slices(instances: Instances, slices: range, options: StitchOptions) -> InstanceLinks:
    """Link the instances of some slices to those of the slices after them.

    Parameters
    ----------
    instances
        All instances from the first of `slices` up to ``widest_gap + 1`` slices after the last.
    slices
        Slices whose links to later slices are wanted.

    Returns
    -------
    InstanceLinks
        Links whose first instance lies in `slices`.
    """
    far = widest_gap(options) + 1
    last = int(instances.slice[-1]) if len(instances) else slices.start
    window = range(slices.start, min(slices.stop + far, last + 1))
    masks = {z: _SliceMasks(instances.of_slice(z)) for z in window}
    neighbours = {z: _link_neighbours(masks[z], masks[z + 1], z, options) for z in window[:-1]}
    parts = [neighbours[z] for z in slices if z in neighbours]
    for z in slices:
        for gap in range(1, far):
            if z + gap + 1 in masks:
                parts.append(_link_across(masks, neighbours, z, gap, options))
    return concatenate_links(parts)


@dataclass(frozen=True, eq=False)
class _SliceMasks:
    """Masks of a slice."""

    instances: Instances

    @cached_property
    def sorted(self) -> SortedRuns:
        """The runs in order of position, sorted once for all slices that are compared with this one."""
        return sort_runs(_runs(self.instances))


def concatenate_links(parts: list[InstanceLinks]) -> InstanceLinks:
    """Join tables of links and order them."""
    names = list(InstanceLinks.__dataclass_fields__)
    columns = [np.concatenate([getattr(part, name) for part in [_no_links(), *parts]]) for name in names]
    order = np.lexsort((columns[1], columns[0]))
    return InstanceLinks(*(column[order] for column in columns))


def pair_weight(iou: NDArray[Any], containment: NDArray[Any]) -> NDArray[np.float64]:
    """How well masks of two slices fit, for their assignment: ``(2 IoU + containment) / 3``, (p,), 0 to 1."""
    weight: NDArray[np.float64] = (iou.astype(float) + containment.astype(float) / 2) / 1.5
    return weight


def overlap_enough(iou: NDArray[Any], containment: NDArray[Any], options: StitchOptions) -> NDArray[np.bool_]:
    """Whether each pair of masks overlaps enough to be linked, (p,)."""
    linked: NDArray[np.bool_] = (iou >= options.min_iou) | (containment >= options.min_containment)
    return linked


def _no_links() -> InstanceLinks:
    ids, shares = np.zeros(0, np.uint64), np.zeros(0, np.float32)
    gaps = np.zeros(0, np.int8)
    return InstanceLinks(ids, ids, gaps, gaps.astype(np.int32), shares, shares, gaps.astype(bool), shares, ids)


def _runs(instances: Instances) -> Runs:
    return instances.offset, instances.run_start, instances.run_length


def _link_neighbours(first: _SliceMasks, second: _SliceMasks, z: int, options: StitchOptions) -> InstanceLinks:
    """All overlaps of two neighbouring slices worth keeping; the clean ones are chosen one to one."""
    table = overlaps_of_runs(first.sorted, second.sorted)
    linked = overlap_enough(table.iou, table.containment, options)
    clean = np.zeros(len(linked), bool)
    clean[table.assign(np.where(linked, pair_weight(table.iou, table.containment), 0))] = True
    clean &= ~_ambiguous(table) & (table.iou >= CLEAN_IOU)
    return _as_links(table, z, 0, linked | (table.containment >= LEAST_CONTAINMENT), clean)


def _ambiguous(table: Overlaps) -> NDArray[np.bool_]:
    """Pairs of which one side contains two instances of the other side."""
    forward, backward = contained(table.overlap, table.first_size[table.first], table.second_size[table.second])
    merged = np.bincount(table.second[forward], minlength=len(table.second_size)) > 1
    split = np.bincount(table.first[backward], minlength=len(table.first_size)) > 1
    ambiguous: NDArray[np.bool_] = merged[table.second] | split[table.first]
    return ambiguous


def contained(
    overlap: NDArray[Any], first_size: NDArray[Any], second_size: NDArray[Any]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether at least half of the first of each pair lies in the second, and the other way round.

    Parameters
    ----------
    overlap, first_size, second_size
        Pixels of the overlap and of the two instances, (p,).

    Returns
    -------
    tuple of ndarray
        Whether the first is contained in the second, and the second in the first, (p,) bool. An instance that covers
        less than `SIGNIFICANT` of the other does not count.
    """
    forward = (overlap >= CONTAINED * first_size) & (overlap >= SIGNIFICANT * second_size)
    backward = (overlap >= CONTAINED * second_size) & (overlap >= SIGNIFICANT * first_size)
    return forward, backward


def _as_links(table: Overlaps, z: int, gap: int, keep: NDArray[np.bool_], clean: NDArray[np.bool_]) -> InstanceLinks:
    n = int(keep.sum())
    return InstanceLinks(
        first=join_ids(z, table.first[keep]),
        second=join_ids(z + gap + 1, table.second[keep]),
        gap=np.full(n, gap, np.int8),
        overlap=table.overlap[keep].astype(np.int32),
        iou=table.iou[keep].astype(np.float32),
        containment=table.containment[keep].astype(np.float32),
        clean=clean[keep],
        blocked=np.zeros(n, np.float32),
        through=np.full(n, NO_INSTANCE),
    )


def _link_across(
    masks: dict[int, _SliceMasks], neighbours: dict[int, InstanceLinks], z: int, gap: int, options: StitchOptions
) -> InstanceLinks:
    """Links over a gap, from instances of slice z that are open above to those of a later slice that are open below."""
    far = z + gap + 1
    ends = _open_ranks(neighbours[z].first, neighbours[z].clean, len(masks[z].instances))
    starts = _open_ranks(neighbours[far - 1].second, neighbours[far - 1].clean, len(masks[far].instances))
    if not (len(ends) and len(starts)):
        return _no_links()
    first, second = _runs(masks[z].instances.take(ends)), _runs(masks[far].instances.take(starts))
    table = overlaps_of_runs(first, second)
    keep = overlap_enough(table.iou, table.containment, options)
    blocked, through = _between(first, second, table, {m: masks[m].sorted for m in range(z + 1, far)})
    columns = vars(_as_links(table, z, gap, keep, np.zeros(len(keep), bool)))
    columns["first"] = join_ids(z, ends[table.first[keep]])
    columns["second"] = join_ids(far, starts[table.second[keep]])
    return InstanceLinks(**columns | {"blocked": blocked[keep], "through": through[keep]})


def _open_ranks(ids: NDArray[np.uint64], clean: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """Ranks of the instances of a slice that no clean link joins."""
    taken = np.zeros(count, bool)
    _, ranks = split_ids(ids[clean])
    taken[ranks] = True
    return np.flatnonzero(~taken)


def _between(
    first: Runs, second: Runs, table: Overlaps, between: dict[int, SortedRuns]
) -> tuple[NDArray[np.float32], NDArray[np.uint64]]:
    """Largest share of each pair's common pixels that one instance of the slices between covers, and its id."""
    blocked = np.zeros(len(table.overlap), np.float32)
    through = np.full(len(table.overlap), NO_INSTANCE)
    common = sort_runs(_common_runs(*first, *second, table.first, table.second))
    for z, masks in between.items():
        cover = overlaps_of_runs(common, masks)
        share = (cover.overlap / table.overlap[cover.first]).astype(np.float32)
        order = np.argsort(-share, kind="stable")
        pairs, largest = np.unique(cover.first[order], return_index=True)
        best = order[largest]
        more = share[best] > blocked[pairs]
        blocked[pairs[more]] = share[best[more]]
        through[pairs[more]] = join_ids(z, cover.second[best[more]])
    return blocked, through


@numba.njit(cache=True, nogil=True)
def _common_runs(a_offset, a_start, a_length, b_offset, b_start, b_length, first, second):  # type: ignore[no-untyped-def]
    """Runs that the two masks of each pair share."""
    offset = np.zeros(len(first) + 1, np.int64)
    start = np.empty(0, np.int32)
    length = np.empty(0, np.int32)
    for fill in range(2):  # count, then write
        used = 0
        for p in range(len(first)):
            i, j = a_offset[first[p]], b_offset[second[p]]
            while i < a_offset[first[p] + 1] and j < b_offset[second[p] + 1]:
                a_stop, b_stop = a_start[i] + a_length[i], b_start[j] + b_length[j]
                low, high = max(a_start[i], b_start[j]), min(a_stop, b_stop)
                if low < high:
                    if fill:
                        start[used], length[used] = low, high - low
                    used += 1
                if a_stop <= b_stop:
                    i += 1
                else:
                    j += 1
            offset[p + 1] = used
        if not fill:
            start, length = np.empty(used, np.int32), np.empty(used, np.int32)
    return offset, start, length
