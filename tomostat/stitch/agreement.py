"""What several views agree on: their particles compared block by block, decided on at once, and painted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from tomostat.blocks import Block, Box
from tomostat.instances import read_instances
from tomostat.stitch.edits import Edit
from tomostat.stitch.graph import MergeGraph, open_graph, particle_table, write_graph
from tomostat.stitch.kernels.confidence import ParticleEvidence
from tomostat.stitch.kernels.consensus import (
    ViewOverlaps,
    ViewParticles,
    agree,
    agreement,
    count_pairs,
    majority,
    number_groups,
)
from tomostat.stitch.kernels.masks import Masks
from tomostat.stitch.kernels.merging import Reason
from tomostat.stitch.kernels.paint import paint_box
from tomostat.stitch.plan import StitchPlan, paint_masks, read_slices
from tomostat.stitch.tables import read_table, write_table
from tomostat.stitch.tasks import boxes_of, build_graph, decide_tracks
from tomostat.views import View, ViewName

OVERLAPS = "overlaps"
"""Folder of the tables of voxels that particles of different views share."""
AGREEMENT = "agreement.parquet"
"""Table of what became of the particles of every view; columns view, seen (its number in this view), particle (0 where
dropped), by_hand (whether a person decided on it)."""


def overlap_block(plan: StitchPlan, block: Block) -> int:
    """Write the voxels of a block that the views share: tracks of z, particles of the others; returns their pairs."""
    z = plan.of_view("z")
    slices = range(block.core[0].start, block.core[0].stop)
    instances = read_instances(z.folder, slices)
    tracks = read_slices(z, "members", slices)["track"].to_numpy().astype(np.uint32)
    seen = [paint_box(Masks(instances, tracks, np.zeros(len(tracks), np.uint8)), block.core)]
    seen += [_paint_view(plan, name, block.core) for name in plan.others]
    tables = []
    for (a, first), (b, second) in combinations(enumerate(seen), 2):
        one, other, voxels = count_pairs(first, second)
        views = {"a": np.full(len(one), a, np.int8), "b": np.full(len(one), b, np.int8)}
        tables.append(pa.table({**views, "first": one, "second": other, "voxels": voxels}))
    table = pa.concat_tables(tables)
    write_table(plan.graph / OVERLAPS / f"{block.key}.parquet", table)
    return len(table)


def agree_on_particles(plan: StitchPlan, edits: Sequence[Edit]) -> int:
    """Decide which particles of the views are one, with corrections of those of z; returns the number of particles.

    Raises
    ------
    ValueError
        When edits name unknown tracks or contradict each other; nothing was written then.
    """
    z = plan.of_view("z")
    build_graph(z, edits)
    pairs = pd.concat([read_table(plan.graph / OVERLAPS / f"{b.key}.parquet").to_pandas() for b in plan.blocks])
    others = [open_graph(plan.of_view(name).graph) for name in plan.others]
    agreed = _Agreed.of([open_graph(z.graph), *others], pairs)
    earlier = _Agreed.of([decide_tracks(z, ()).graph, *others], pairs) if edits else None
    number = agreed.numbers(earlier)
    views = np.array(plan.views)
    table = {"view": views[agreed.found.view], "seen": agreed.seen, "particle": number, "by_hand": agreed.found.by_hand}
    write_table(plan.graph / AGREEMENT, pa.table(table))
    write_graph(plan.graph, agreed.graph(number, edits))
    return int(np.unique(number[number > 0]).size)


@dataclass(frozen=True, eq=False)
class _Agreed:
    """Particles of all views, and which of them are one; arrays (n,) view by view.

    Attributes
    ----------
    graphs
        Merge graph of every view.
    found, overlaps
        Particles, and the voxels that they share.
    seen
        Number of each in its view.
    one
        What `agree` decides.
    """

    graphs: list[MergeGraph]
    found: ViewParticles
    overlaps: ViewOverlaps
    seen: NDArray[np.int64]
    one: NDArray[np.int64]

    @classmethod
    def of(cls, graphs: list[MergeGraph], pairs: pd.DataFrame) -> _Agreed:
        """Decide, from the merge graph of every view and the pairs of all blocks."""
        numbers = [graph.particles.index.to_numpy(np.int64) for graph in graphs]
        pairs = _pairs_of_particles(pairs, graphs[0].tracks["particle"].to_numpy(np.int64))
        first, second = (_indices(pairs[view], pairs[end], numbers) for view, end in (("a", "first"), ("b", "second")))
        voxels = pairs["voxels"].to_numpy(np.int64)
        count = sum(map(len, numbers))
        # pairs with none included: those of z with the next view add up to its sizes, and those with z to all others
        size = np.zeros(count, np.int64)
        for end, rows in ((first, (pairs["a"] == 0) & (pairs["b"] == 1)), (second, pairs["a"] == 0)):
            known = rows.to_numpy() & (end >= 0)
            np.add.at(size, end[known], voxels[known])
        found = ViewParticles(
            view=np.repeat(np.arange(len(graphs)), [len(known) for known in numbers]),
            size=size,
            confidence=np.concatenate([graph.particles["confidence"].to_numpy() for graph in graphs]),
            by_hand=_by_hand(graphs[0], count),
        )
        shared = (first >= 0) & (second >= 0)
        overlaps = ViewOverlaps(first[shared], second[shared], voxels[shared])
        return cls(graphs, found, overlaps, np.concatenate(numbers), agree(found, overlaps))

    def numbers(self, earlier: _Agreed | None) -> NDArray[np.uint32]:
        """Number of the particle that each is; those that corrections leave alone keep the number that they had."""
        if earlier is None:
            return number_groups(self.one)
        key, known = (one.found.view << 32 | one.seen for one in (self, earlier))
        return number_groups(self.one, key, known, number_groups(earlier.one))

    def graph(self, number: NDArray[np.uint32], edits: Sequence[Edit]) -> MergeGraph:
        """Tracks and candidates of z as the views have them, and the evidence of what they agree on."""
        z = self.graphs[0]
        into = np.zeros(int(z.particles.index.max() if len(z.particles) else 0) + 1, np.uint32)
        own = self.found.view == 0
        into[self.seen[own]] = number[own]
        tracks = z.tracks.assign(particle=into[z.tracks["particle"]])
        a, b = (tracks["particle"].loc[z.candidates[end]].to_numpy() for end in ("a", "b"))
        joined = np.where((a > 0) & (b > 0), a == b, z.candidates["joined"])
        reason = z.candidates["reason"].mask(joined != z.candidates["joined"], Reason.VIEWS.name.lower())
        candidates = z.candidates.assign(joined=joined, reason=reason)
        return MergeGraph(tracks, candidates, particle_table(self._evidence(number)), tuple(edits))

    def _evidence(self, number: NDArray[np.uint32]) -> ParticleEvidence:
        """Evidence of each particle: that of the view whose particle resembles those of the others most."""
        table = pd.concat([graph.particles for graph in self.graphs]).drop(columns="confidence")
        agreed = agreement(self.found, self.overlaps)
        best = np.lexsort((-agreed, number))
        known, place = np.unique(number[best], return_index=True)
        chosen = best[place[known > 0]]
        columns = {str(name): column.to_numpy()[chosen] for name, column in table.items()}
        return ParticleEvidence(number[chosen], **columns | {"agreement": agreed[chosen]})


def _pairs_of_particles(pairs: pd.DataFrame, particle: NDArray[np.int64]) -> pd.DataFrame:
    """Pairs of all blocks summed, those of tracks of z as pairs of its particles; `particle` is that of every track."""
    into = np.append(0, particle)
    of_z = pairs["a"] == 0
    first = np.where(of_z, into[pairs["first"].where(of_z, 0)], pairs["first"])
    return pairs.assign(first=first).groupby(["a", "b", "first", "second"])["voxels"].sum().reset_index()


def _indices(view: pd.Series, number: pd.Series, numbers: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Indices among the particles of all views, by view and number; -1 for the number 0, which is none."""
    index, begin = np.full(len(view), -1), 0
    for k, known in enumerate(numbers):
        own = ((view == k) & (number > 0)).to_numpy()
        index[own] = begin + np.searchsorted(known, number[own])
        begin += len(known)
    return index


def _by_hand(graph: MergeGraph, count: int) -> NDArray[np.bool_]:
    """Whether a person decided on each particle of z, the first of `count`."""
    edited = [track for edit in graph.edits for track in (edit.a, edit.b)]
    result = np.zeros(count, bool)
    result[: len(graph.particles)] = graph.particles.index.isin(graph.tracks["particle"].loc[edited])
    return result


def read_agreement(plan: StitchPlan) -> pd.DataFrame:
    """The table `AGREEMENT` of a decided run."""
    return read_table(plan.graph / AGREEMENT).to_pandas()


def labels_of_views(plan: StitchPlan, box: Box) -> NDArray[np.uint32]:
    """Labels of a box of the volume as most views have them."""
    table = read_agreement(plan)
    labels = []
    for name in plan.views:
        own = table[table["view"] == name]
        into = np.zeros(int(own["seen"].max() if len(own) else 0) + 1, np.uint32)
        into[own["seen"]] = own["particle"]
        labels.append(into[_paint_view(plan, name, box)])
    return majority(np.stack(labels), np.sort(table["particle"][table["by_hand"]].to_numpy(np.uint32)))


def boxes_of_particles(plan: StitchPlan, view: ViewName, slab: range, particles: Sequence[int]) -> list[list[int]]:
    """Boxes of the masks of some particles of a view in a block of its slices, see `boxes_of`."""
    masks = read_table(plan.of_view(view).table("masks", slab)).to_pandas()
    return boxes_of(masks[masks["particle"].isin(particles)], view)


def _paint_view(plan: StitchPlan, name: ViewName, box: Box) -> NDArray[np.uint32]:
    """Particles of one view by itself in a box of the volume."""
    view = View(name)
    return view.turn_back(paint_masks(plan.of_view(name), view.turned(box)))
