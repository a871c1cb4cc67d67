"""What several views agree on: their particles compared block by block, decided on at once, as labels of a box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

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
    Agreed,
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
from tomostat.stitch.tasks import decide_tracks, write_tracks
from tomostat.views import View, ViewName

OVERLAPS = "overlaps"
"""Folder of the tables of voxels that particles of different views share."""
AGREEMENT = "agreement.parquet"
"""Table of what became of the particles of every view, with `COLUMNS`."""
COLUMNS = ["view", "seen", "particle", "by_hand"]
"""Name of the view, number in it, particle (0 where dropped), whether a person decided other than the views see it."""
PAIR = ["a", "b", "first", "second"]
"""Columns of `OVERLAPS` that tell what shares its voxels: the indices of two views, and a number in each of them."""


def overlap_block(plan: StitchPlan, block: Block) -> int:
    """Write the voxels of a block that the views share: tracks of z, particles of the others; returns their pairs.

    Sizes of tracks are those of the detections: masks that are filled in or divided later do not count.
    """
    z = plan.of_view("z")
    slices = range(block.core[0].start, block.core[0].stop)
    instances = read_instances(z.folder, slices)
    tracks = read_slices(z, "members", slices)["track"].to_numpy().astype(np.uint32)
    images = [paint_box(Masks(instances, tracks, np.zeros(len(tracks), np.uint8)), block.core)]
    images += [_paint_view(plan, name, block.core) for name in plan.others]
    tables = []
    for (a, first), (b, second) in combinations(enumerate(images), 2):
        numbers, others, voxels = count_pairs(first, second)
        views = {"a": np.full(len(voxels), a, np.int8), "b": np.full(len(voxels), b, np.int8)}
        tables.append(pa.table({**views, "first": numbers, "second": others, "voxels": voxels}))
    table = pa.concat_tables(tables)
    write_table(plan.graph / OVERLAPS / f"{block.key}.parquet", table)
    return len(table)


def agree_on_particles(plan: StitchPlan, edits: Sequence[Edit]) -> int:
    """Decide which particles of the views are one, with corrections of those of z; returns the number of particles.

    Raises
    ------
    ValueError
        When edits name unknown tracks or contradict each other, or a table is damaged; nothing was written then.
    """
    z = plan.of_view("z")
    decided = decide_tracks(z, edits)
    plain = decide_tracks(z, ()) if edits else decided
    pairs = _read_pairs(plan)
    others = [open_graph(plan.of_view(name).graph) for name in plan.others]
    views = _Views.of([plain.graph, *others], pairs)
    number = number_groups(views.agreed)
    if edits:
        earlier, tracks = views.agreed, _tracks_to_decide(edits, views.tracks(number)["particle"])
        views = _Views.of([decided.graph, *others], pairs, tracks)
        number = number_groups(views.agreed, earlier)
    write_tracks(z, decided)
    found = views.found
    columns = [np.array(plan.views)[found.view], views.seen, number, found.by_hand]
    write_table(plan.graph / AGREEMENT, pa.table(dict(zip(COLUMNS, columns, strict=True))))
    write_graph(plan.graph, views.graph(number, edits))
    return int(np.unique(number[number > 0]).size)


def _read_pairs(plan: StitchPlan) -> pd.DataFrame:
    """Voxels that the views share in the whole volume, a row for each `PAIR`."""
    tables = pa.concat_tables([read_table(plan.graph / OVERLAPS / f"{block.key}.parquet") for block in plan.blocks])
    return tables.group_by(PAIR).aggregate([("voxels", "sum")]).rename_columns([*PAIR, "voxels"]).to_pandas()


def _tracks_to_decide(edits: Sequence[Edit], particle: pd.Series) -> list[int]:
    """Tracks of the edits that the views do not fulfil by themselves; `particle` is what they make of every track."""
    tracks = []
    for edit in edits:
        a, b = particle[edit.a], particle[edit.b]
        if (a == b > 0) if edit.action == "cut" else (a != b or a == 0):
            tracks += [edit.a, edit.b]
    return tracks


def _sizes(pairs: pd.DataFrame, first: NDArray[np.int64], second: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Voxels of every particle, from the pairs that it is in, those with background included.

    Pairs of z with the next view add up to the sizes of z, and pairs with z to those of all other views.
    """
    size = np.zeros(count, np.int64)
    with_z, voxels = pairs["a"] == 0, pairs["voxels"].to_numpy(np.int64)
    for end, rows in ((first, with_z & (pairs["b"] == 1)), (second, with_z)):
        counted = rows.to_numpy() & (end >= 0)
        np.add.at(size, end[counted], voxels[counted])
    return size


@dataclass(frozen=True, eq=False)
class _Views:
    """Particles of all views, and which of them are one; arrays (n,) view by view.

    Attributes
    ----------
    graphs
        Merge graph of every view.
    found, overlaps
        Particles, and the voxels that they share.
    seen
        Number of each in its view.
    agreed
        What `agree` decides.
    """

    graphs: list[MergeGraph]
    found: ViewParticles
    overlaps: ViewOverlaps
    seen: NDArray[np.int64]
    agreed: Agreed

    @classmethod
    def of(cls, graphs: list[MergeGraph], pairs: pd.DataFrame, by_hand: Sequence[int] = ()) -> _Views:
        """Decide, from the merge graph of every view, the pairs of the volume, and tracks that a person decided on."""
        numbers = [graph.particles.index.to_numpy(np.int64) for graph in graphs]
        view, seen = np.repeat(np.arange(len(graphs)), [len(known) for known in numbers]), np.concatenate(numbers)
        pairs = _pairs_of_particles(pairs, graphs[0].tracks["particle"].to_numpy(np.int64))
        first, second = (_indices(pairs[of], pairs[end], numbers) for of, end in (("a", "first"), ("b", "second")))
        voxels = pairs["voxels"].to_numpy(np.int64)
        size = _sizes(pairs, first, second, len(seen))
        confidence = np.concatenate([graph.particles["confidence"].to_numpy() for graph in graphs])
        decided = (view == 0) & np.isin(seen, graphs[0].tracks["particle"].loc[list(by_hand)])
        found = ViewParticles(len(graphs), view, size, confidence, decided)
        shared = (first >= 0) & (second >= 0)
        overlaps = ViewOverlaps(first[shared], second[shared], voxels[shared])
        return cls(graphs, found, overlaps, seen, Agreed(view << 32 | seen, agree(found, overlaps)))

    def tracks(self, number: NDArray[np.uint32]) -> pd.DataFrame:
        """Tracks of z with the particle that the views make of each."""
        tracks, of_z = self.graphs[0].tracks, self.found.view == 0
        particle = np.zeros(int(self.seen[of_z].max(initial=0)) + 1, np.uint32)
        particle[self.seen[of_z]] = number[of_z]
        return tracks.assign(particle=particle[tracks["particle"]])

    def graph(self, number: NDArray[np.uint32], edits: Sequence[Edit]) -> MergeGraph:
        """Tracks and candidates of z as the views have them, and the evidence of what they agree on."""
        z, tracks = self.graphs[0], self.tracks(number)
        a, b = (tracks["particle"].loc[z.candidates[end]].to_numpy() for end in ("a", "b"))
        joined = np.where((a > 0) & (b > 0), a == b, z.candidates["joined"])
        reason = z.candidates["reason"].mask(joined != z.candidates["joined"], Reason.VIEWS.name.lower())
        candidates = z.candidates.assign(joined=joined, reason=reason)
        return MergeGraph(tracks, candidates, particle_table(self._evidence(number)), tuple(edits))

    def _evidence(self, number: NDArray[np.uint32]) -> ParticleEvidence:
        """Evidence of each particle: that of the view whose particle resembles those of the others most."""
        table = pd.concat([graph.particles for graph in self.graphs]).drop(columns="confidence")
        resembling = agreement(self.found, self.overlaps)
        best = np.lexsort((-resembling, number))
        numbers, place = np.unique(number[best], return_index=True)
        chosen = best[place[numbers > 0]]
        columns = {str(name): column.to_numpy()[chosen] for name, column in table.items()}
        return ParticleEvidence(number[chosen], **columns | {"agreement": resembling[chosen]})


def _pairs_of_particles(pairs: pd.DataFrame, particle: NDArray[np.int64]) -> pd.DataFrame:
    """Pairs with particles of z in place of its tracks; `particle` is that of every track."""
    of_track = np.append(0, particle)
    of_z = pairs["a"] == 0
    first = np.where(of_z, of_track[pairs["first"].where(of_z, 0)], pairs["first"])
    return pairs.assign(first=first).groupby(PAIR)["voxels"].sum().reset_index()


def _indices(view: pd.Series, number: pd.Series, numbers: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Indices among the particles of all views, by view and number; -1 for the number 0, which is none."""
    index, begin = np.full(len(view), -1), 0
    for k, known in enumerate(numbers):
        own = ((view == k) & (number > 0)).to_numpy()
        index[own] = begin + np.searchsorted(known, number[own])
        begin += len(known)
    return index


def read_agreement(graph: Path) -> pd.DataFrame:
    """The table `AGREEMENT` of a merge graph; without rows where z alone decided."""
    path = graph / AGREEMENT
    return read_table(path).to_pandas() if path.exists() else pd.DataFrame(columns=COLUMNS)


def labels_of_views(plan: StitchPlan, box: Box) -> NDArray[np.uint32]:
    """Labels of a box of the volume as most views have them."""
    table = read_agreement(plan.graph)
    labels = []
    for name in plan.views:
        own = table[table["view"] == name]
        particle = np.zeros(int(own["seen"].max() if len(own) else 0) + 1, np.uint32)
        particle[own["seen"]] = own["particle"]
        labels.append(particle[_paint_view(plan, name, box)])
    return majority(np.stack(labels), np.unique(table["particle"][table["by_hand"]].to_numpy(np.uint32)))


def _paint_view(plan: StitchPlan, name: ViewName, box: Box) -> NDArray[np.uint32]:
    """Particles of one view by itself in a box of the volume."""
    view = View(name)
    return view.turn_back(paint_masks(plan.of_view(name), view.turned(box)))
