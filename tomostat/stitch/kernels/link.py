"""Links between slices: pure functions of the slices that they join, so that no block can change them.

Two neighbouring slices are linked one to one by the Hungarian method on their overlaps. Where masks part or merge, or
overlap little, the link is kept as evidence but stands in doubt: `clean` is false, and both sides count as open, to be
matched again together with those that a missed slice leaves open.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from tomostat.instances import Instances
from tomostat.kernels.matching import Overlaps, Runs, SortedRuns, overlaps_of_runs, sort_runs
from tomostat.stitch.options import StitchOptions

CLEAN = 0.5
"""IoU below which a link stands in doubt: one of the two may be a part, or two particles in one mask."""
CLAIM = 0.5
"""Share of an instance inside one of the next slice from which on it can have no other successor."""
SIGNIFICANT = 0.05
"""Share of the larger instance below which a claim on it does not put its links in doubt."""
WORTH_KEEPING = 0.25
"""Containment below which an overlap is no evidence and is not written."""
NOTHING = np.uint64(2**64 - 1)
"""Stands for no instance."""


@dataclass(frozen=True, eq=False)
class Links:
    """Pairs of instances of different slices that overlap.

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
        Chosen one to one between neighbouring slices with nothing in doubt, (p,) bool.
    blocked
        Largest share of the common pixels under one instance of a slice between, (p,) float32.
    through
        That instance, (p,) uint64; `NOTHING` where there is none.
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
    """Largest gap that is looked across: those wider than `max_gap` are not chained but left to the graph."""
    return 2 * options.max_gap + 1 if options.max_gap else 0


def link_slices(instances: Instances, slices: range, options: StitchOptions) -> Links:
    """Link the instances of some slices to those of the slices after them.

    Parameters
    ----------
    instances
        All instances from the first of `slices` up to ``widest_gap + 1`` slices after the last.
    slices
        Slices whose forward links are asked for.

    Returns
    -------
    Links
        Links whose first instance lies in `slices`.
    """
    far = widest_gap(options) + 1
    last = int(instances.slice[-1]) if len(instances) else slices.start
    window = range(slices.start, min(slices.stop + far, last + 1))
    layers = {z: _Layer(_runs(instances.of_slice(z))) for z in window}
    steps = {z: _link_neighbours(layers[z], layers[z + 1], z, options) for z in window[:-1]}
    parts = [steps[z] for z in slices if z in steps]
    for z in slices:
        for gap in range(1, far):
            if z + gap + 1 in layers:
                parts.append(_link_across(layers, steps, z, gap, options))
    return concatenate_links(parts)


@dataclass(frozen=True, eq=False)
class _Layer:
    """Masks of a slice."""

    runs: Runs

    @cached_property
    def in_order(self) -> SortedRuns:
        return sort_runs(self.runs)


def concatenate_links(parts: list[Links]) -> Links:
    """Join tables of links and order them."""
    names = list(Links.__dataclass_fields__)
    columns = [np.concatenate([getattr(part, name) for part in [_no_links(), *parts]]) for name in names]
    order = np.lexsort((columns[1], columns[0]))
    return Links(*(column[order] for column in columns))


def pair_weight(iou: NDArray[Any], containment: NDArray[Any]) -> NDArray[np.float64]:
    """Evidence that two overlapping masks are one particle, 0 to 1: IoU first, containment second."""
    weight: NDArray[np.float64] = (iou.astype(float) + containment.astype(float) / 2) / 1.5
    return weight


def _no_links() -> Links:
    ids, numbers = np.zeros(0, np.uint64), np.zeros(0, np.float32)
    none = np.zeros(0, np.int8)
    return Links(ids, ids, none, none.astype(np.int32), numbers, numbers, none.astype(bool), numbers, ids)


def _runs(layer: Instances) -> Runs:
    return layer.offset, layer.run_start, layer.run_length


def _ids(z: int, rows: NDArray[Any]) -> NDArray[np.uint64]:
    ids: NDArray[np.uint64] = np.uint64(z) << np.uint64(32) | rows.astype(np.uint64)
    return ids


def _enough(table: Overlaps, options: StitchOptions) -> NDArray[np.bool_]:
    enough: NDArray[np.bool_] = (table.iou >= options.min_iou) | (table.containment >= options.min_containment)
    return enough


def _link_neighbours(first: _Layer, second: _Layer, z: int, options: StitchOptions) -> Links:
    """All overlaps of two neighbouring slices worth keeping; the clean ones are chosen one to one."""
    table = overlaps_of_runs(first.in_order, second.in_order)
    enough = _enough(table, options)
    clean = np.zeros(len(enough), bool)
    clean[table.assign(np.where(enough, pair_weight(table.iou, table.containment), 0))] = True
    clean &= ~_doubtful(table) & (table.iou >= CLEAN)
    return _as_links(table, z, 0, enough | (table.containment >= WORTH_KEEPING), clean)


def _doubtful(table: Overlaps) -> NDArray[np.bool_]:
    """Pairs of which one side is claimed by two instances of the other side."""
    forward, backward = claims(table.overlap, table.first_size[table.first], table.second_size[table.second])
    merged = np.bincount(table.second[forward], minlength=len(table.second_size)) > 1
    parted = np.bincount(table.first[backward], minlength=len(table.first_size)) > 1
    doubtful: NDArray[np.bool_] = merged[table.second] | parted[table.first]
    return doubtful


def claims(
    overlap: NDArray[Any], first_size: NDArray[Any], second_size: NDArray[Any]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether the first of each pair lies mostly in the second, and the other way round, all (p,)."""
    forward = (overlap >= CLAIM * first_size) & (overlap >= SIGNIFICANT * second_size)
    backward = (overlap >= CLAIM * second_size) & (overlap >= SIGNIFICANT * first_size)
    return forward, backward


def _as_links(table: Overlaps, z: int, gap: int, keep: NDArray[np.bool_], clean: NDArray[np.bool_]) -> Links:
    n = int(keep.sum())
    return Links(
        first=_ids(z, table.first[keep]),
        second=_ids(z + gap + 1, table.second[keep]),
        gap=np.full(n, gap, np.int8),
        overlap=table.overlap[keep].astype(np.int32),
        iou=table.iou[keep].astype(np.float32),
        containment=table.containment[keep].astype(np.float32),
        clean=clean[keep],
        blocked=np.zeros(n, np.float32),
        through=np.full(n, NOTHING),
    )


def _link_across(layers: dict[int, _Layer], steps: dict[int, Links], z: int, gap: int, options: StitchOptions) -> Links:
    """Overlaps of open ends in slice z with open starts some slices on, and what lies between."""
    far = z + gap + 1
    ends = _open_rows(steps[z].first, steps[z].clean, len(layers[z].runs[0]) - 1)
    starts = _open_rows(steps[far - 1].second, steps[far - 1].clean, len(layers[far].runs[0]) - 1)
    if not (len(ends) and len(starts)):
        return _no_links()
    first, second = _take(layers[z].runs, ends), _take(layers[far].runs, starts)
    table = overlaps_of_runs(first, second)
    keep = _enough(table, options)
    blocked, through = _between(first, second, table, {m: layers[m].in_order for m in range(z + 1, far)})
    found = vars(_as_links(table, z, gap, keep, np.zeros(len(keep), bool)))
    found["first"] = _ids(z, ends[table.first[keep]])
    found["second"] = _ids(far, starts[table.second[keep]])
    return Links(**found | {"blocked": blocked[keep], "through": through[keep]})


def _open_rows(ids: NDArray[np.uint64], clean: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """Rows of a slice that no clean link takes."""
    taken = np.zeros(count, bool)
    taken[(ids[clean] & np.uint64(0xFFFFFFFF)).astype(np.int64)] = True
    return np.flatnonzero(~taken)


def _take(runs: Runs, rows: NDArray[np.int64]) -> Runs:
    """Masks of some rows."""
    offset, start, length = runs
    counts = np.diff(offset)[rows]
    new = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    index = np.repeat(offset[rows] - new[:-1], counts) + np.arange(new[-1])
    return new, start[index], length[index]


def _between(
    first: Runs, second: Runs, table: Overlaps, layers: dict[int, SortedRuns]
) -> tuple[NDArray[np.float32], NDArray[np.uint64]]:
    """Largest share of each pair's common pixels under one instance of the slices between, and its id."""
    blocked = np.zeros(len(table.overlap), np.float32)
    through = np.full(len(table.overlap), NOTHING)
    if not len(table.overlap):
        return blocked, through
    common = sort_runs(_common_runs(*first, *second, table.first, table.second))
    for z, layer in layers.items():
        cover = overlaps_of_runs(common, layer)
        share = (cover.overlap / table.overlap[cover.first]).astype(np.float32)
        order = np.argsort(-share, kind="stable")
        pairs, largest = np.unique(cover.first[order], return_index=True)
        best = order[largest]
        more = share[best] > blocked[pairs]
        blocked[pairs[more]] = share[best[more]]
        through[pairs[more]] = _ids(z, cover.second[best[more]])
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
