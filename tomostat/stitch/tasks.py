"""The tasks of the stitch stage: read tables, run kernels, write tables or voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from tomostat.blocks import Block, Shape, block_grid
from tomostat.instances import read_instances, split_ids
from tomostat.stitch.edits import Edit, as_corrections, check_edits
from tomostat.stitch.graph import merge_graph, write_graph
from tomostat.stitch.kernels.candidates import find_candidates, measure_tracks
from tomostat.stitch.kernels.confidence import particle_evidence
from tomostat.stitch.kernels.edges import EdgeModel, move_edges
from tomostat.stitch.kernels.link import InstanceLinks, link_slices, widest_gap
from tomostat.stitch.kernels.masks import Masks, final_masks
from tomostat.stitch.kernels.numbering import decide_particles
from tomostat.stitch.kernels.other_views import ViewOverlaps, support
from tomostat.stitch.kernels.paint import paint_box
from tomostat.stitch.kernels.refine import refine_halo, refine_labels
from tomostat.stitch.kernels.tracks import IndexedLinks, Sections, chain_instances, index_links, measure_sections
from tomostat.stitch.options import StitchOptions
from tomostat.stitch.tables import read_table, write_table
from tomostat.views import View, ViewName
from tomostat.volume import read_box, read_flat, write_box

LABEL = "particles"
"""Name of the label image."""
OVERLAPS = "overlaps"
"""Folder of the tables of voxels that tracks share with particles of other views."""
MOMENTS = ("y", "x", "yy", "yx", "xx")
"""Columns of `Sections.moments` in the tables ``sections``."""


@dataclass(frozen=True)
class StitchPlan:
    """What all tasks need to know; small, because it is sent with each of them.

    Attributes
    ----------
    path, folder, graph
        The volume, the folder of instance tables, the folder of the merge graph.
    shape, spacing
        Voxels (z, y, x) of the volume, and their size in micrometers.
    block
        Voxels (z, y, x) of a block of work.
    options
        How to stitch.
    edges
        What the edges of active material look like; None where there is none, and boundaries stay where the phases
        are.
    others
        Views beside z that are evidence.
    """

    path: Path
    folder: Path
    graph: Path
    shape: Shape
    spacing: tuple[float, float, float]
    block: Shape
    options: StitchOptions
    edges: EdgeModel | None
    others: tuple[ViewName, ...] = ()

    def of_view(self, name: ViewName) -> StitchPlan:
        """The plan of one view by itself: slices along its axis, its instance tables, a merge graph of its own."""
        view = View(name)
        return replace(
            self, folder=self.folder / view.folder, graph=self.graph / view.folder, shape=view.turned(self.shape),
            spacing=view.turned(self.spacing), block=view.turned(self.block), others=(),
        )  # fmt: skip

    @property
    def slabs(self) -> list[range]:
        """Blocks of slices."""
        step = self.block[0]
        return [range(z, min(z + step, self.shape[0])) for z in range(0, self.shape[0], step)]

    @property
    def blocks(self) -> list[Block]:
        """Blocks of voxels, with the halo on which refined labels depend."""
        return block_grid(self.shape, self.block, (self.halo,) * 3)

    @property
    def halo(self) -> int:
        """Voxels around a block that its labels depend on."""
        moved = self.edges.halo if self.edges and self.options.margin else 0
        return refine_halo(self.options.margin) + moved

    @staticmethod
    def key(slab: range) -> str:
        """Name of a block of slices; names sort in the order of the slices."""
        return f"{slab.start:05d}-{slab.stop:05d}"

    def table(self, kind: str, slab: range) -> Path:
        """Path of the part of a table for a block of slices."""
        return self.graph / kind / f"{self.key(slab)}.parquet"


def link_slab(plan: StitchPlan, slab: range) -> int:
    """Write the sections of a block of slices and their links to later slices; returns the number of sections."""
    beyond = widest_gap(plan.options) + 1
    instances = read_instances(plan.folder, range(slab.start, min(slab.stop + beyond, plan.shape[0])))
    links = link_slices(instances, slab, plan.options)
    write_table(plan.table("links", slab), pa.table(vars(links)))
    own = instances.take(instances.slice < slab.stop)
    sections = measure_sections(own)
    columns = {"id": own.id, "position": sections.position, "area": sections.area, "score": own.score}
    moments = {name: sections.moments[:, i] for i, name in enumerate(MOMENTS)}
    write_table(plan.table("sections", slab), pa.table(columns | moments))
    return len(own)


def overlap_block(plan: StitchPlan, block: Block) -> int:
    """Write the voxels of a block that the tracks share with the particles of other views; returns their pairs."""
    slices = range(block.core[0].start, block.core[0].stop)
    tracks = _read_slices(plan, "members", slices)["track"].to_numpy().astype(np.uint32)
    instances = read_instances(plan.folder, slices)
    own = paint_box(Masks(instances, tracks, np.zeros(len(tracks), np.uint8)), block.core)
    tables = []
    for name in plan.others:
        view, other = View(name), plan.of_view(name)
        box = view.turned(block.core)
        masks = _read_slices(other, "masks", range(box[0].start, box[0].stop))
        found = view.turn_back(paint_box(Masks.from_table(masks, other.shape[1:]), box))
        columns = vars(ViewOverlaps.of_labels(own, found))
        tables.append(pa.table({"view": pa.repeat(name, len(columns["track"])), **columns}))
    table = pa.concat_tables(tables)
    write_table(plan.graph / OVERLAPS / f"{block.key}.parquet", table)
    return len(table)


def _read_overlaps(plan: StitchPlan) -> list[ViewOverlaps]:
    """Overlaps with the other views of the whole volume."""
    if not plan.others:
        return []
    table = pa.concat_tables([read_table(plan.graph / OVERLAPS / f"{block.key}.parquet") for block in plan.blocks])
    views = table["view"].to_numpy(zero_copy_only=False)
    columns = {name: table[name].to_numpy() for name in ViewOverlaps.__dataclass_fields__}
    return [
        ViewOverlaps(**{name: values[views == view] for name, values in columns.items()}).summed()
        for view in plan.others
    ]


def build_graph(plan: StitchPlan, edits: Sequence[Edit]) -> int:
    """Decide the merge graph and write it, with the particle of every instance; returns the number of particles.

    Raises
    ------
    ValueError
        When edits name unknown tracks or contradict each other; nothing was written then.
    """
    sections = _read_sections(plan)
    links = _read_links(plan, sections)
    chains = chain_instances(sections, links, plan.options)
    tracks = measure_tracks(sections, chains, plan.spacing)
    candidates = find_candidates(links, chains, tracks)
    del links  # the largest table, not needed any more
    overlaps = _read_overlaps(plan)
    for one in overlaps:
        more = candidates.support + support(candidates.a, candidates.b, tracks.volume, one)
        candidates = replace(candidates, support=more)
    check_edits(edits, len(tracks))
    decision, particle = decide_particles(
        sections, chains.track, tracks, candidates, plan.shape[0], plan.options, as_corrections(edits)
    )
    for slab in plan.slabs:
        own = slice(*np.searchsorted(sections.slice, [slab.start, slab.stop]))
        track = chains.track[own]
        members = {"slice": sections.slice[own], "track": track + 1, "particle": particle[track]}
        write_table(plan.table("members", slab), pa.table(members))
    evidence = particle_evidence(sections, chains.track, tracks, candidates, decision, particle, plan.spacing, overlaps)
    write_graph(plan.graph, merge_graph(tracks, candidates, decision, particle, evidence, edits))
    return int(particle.max(initial=0))


def _read_sections(plan: StitchPlan) -> Sections:
    """Sections of the whole volume."""
    table = pa.concat_tables([read_table(plan.table("sections", slab)) for slab in plan.slabs])
    slices, _ = split_ids(table["id"].to_numpy())
    return Sections(
        slices.astype(np.int32),
        table["position"].to_numpy(),
        table["area"].to_numpy(),
        np.stack([table[name].to_numpy() for name in MOMENTS], 1),
        table["score"].to_numpy(),
    )


def _read_links(plan: StitchPlan, sections: Sections) -> IndexedLinks:
    """Links of the whole volume by indices, converted block by block, because ids take twice the memory."""
    parts = []
    for slab in plan.slabs:
        table = read_table(plan.table("links", slab))
        columns = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
        parts.append(index_links(InstanceLinks(**columns), sections))
    names = IndexedLinks.__dataclass_fields__
    return IndexedLinks(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def mask_slab(plan: StitchPlan, slab: range) -> int:
    """Write the final masks of a block of slices; returns their number."""
    return len(_write_masks(plan, slab))


def update_masks(plan: StitchPlan, slab: range) -> list[list[int]]:
    """Write the final masks of a block of slices again; returns the boxes [z, y0, x0, y1, x1] of changed masks."""
    before = read_table(plan.table("masks", slab)).to_pandas()
    after = _write_masks(plan, slab).to_pandas()
    both = pd.concat([before, after])
    for name in ("run_start", "run_length"):
        both[name] = [runs.tobytes() for runs in both[name]]  # arrays cannot be compared
    changed = both.drop_duplicates(list(both.columns), keep=False)
    boxes: list[list[int]] = changed[["slice", "y0", "x0", "y1", "x1"]].values.tolist()
    return boxes


def _write_masks(plan: StitchPlan, slab: range) -> pa.Table:
    """Write the final masks of a block of slices; returns the table."""
    gap = widest_gap(plan.options)
    window = range(max(slab.start - gap - 1, 0), min(slab.stop + gap + 1, plan.shape[0]))
    instances = read_instances(plan.folder, window)
    table = final_masks(instances, _members(plan, window), slab, gap).to_table()
    write_table(plan.table("masks", slab), table, max(len(table) // 16, 256))
    return table


def _read_slices(plan: StitchPlan, kind: str, slices: range) -> pa.Table:
    """Rows of a table that belong to some slices."""
    slabs = [slab for slab in plan.slabs if slab.start < slices.stop and slab.stop > slices.start]
    return pa.concat_tables([read_table(plan.table(kind, slab), slices) for slab in slabs])


def _members(plan: StitchPlan, slices: range) -> NDArray[np.uint32]:
    """Particle of every instance in some slices."""
    particle: NDArray[np.uint32] = _read_slices(plan, "members", slices)["particle"].to_numpy()
    return particle


def paint_block(plan: StitchPlan, block: Block) -> int:
    """Paint, refine and write one block; returns the number of labelled voxels."""
    labels = block_labels(plan, block)
    write_box(plan.path, block.start, labels, LABEL)
    return int(np.count_nonzero(labels))


def block_labels(plan: StitchPlan, block: Block) -> NDArray[np.uint32]:
    """Labels of a block's core, from the masks, the phases and the grey values."""
    slices = range(block.outer[0].start, block.outer[0].stop)
    masks = Masks.from_table(_read_slices(plan, "masks", slices), (plan.shape[1], plan.shape[2]))
    labels = paint_box(masks, block.outer)
    phases = read_box(plan.path, block.outer, "phases")
    labels = refine_labels(labels, phases, plan.options.margin)
    if plan.edges is not None and plan.options.margin:
        first = tuple(s.start for s in block.outer)
        labels = move_edges(labels, phases, read_flat(plan.path, block.outer), plan.edges, first)
    return labels[block.inner]
