"""The tasks of the stitch stage: read tables, run kernels, write tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from tomostat.instances import read_instances, split_ids
from tomostat.stitch.edits import Edit, as_corrections, check_edits
from tomostat.stitch.graph import MergeGraph, merge_graph, write_graph
from tomostat.stitch.kernels.candidates import find_candidates, measure_tracks
from tomostat.stitch.kernels.confidence import particle_evidence
from tomostat.stitch.kernels.link import InstanceLinks, link_slices, widest_gap
from tomostat.stitch.kernels.masks import final_masks
from tomostat.stitch.kernels.numbering import decide_particles
from tomostat.stitch.kernels.tracks import IndexedLinks, Sections, chain_instances, index_links, measure_sections
from tomostat.stitch.plan import StitchPlan, read_slices
from tomostat.stitch.tables import read_table, write_table
from tomostat.views import View, ViewName

MOMENTS = ("y", "x", "yy", "yx", "xx")
"""Columns of `Sections.moments` in the tables ``sections``."""


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


@dataclass(frozen=True, eq=False)
class DecidedTracks:
    """A decided merge graph of one view, with what it was decided on.

    Attributes
    ----------
    graph
        Tracks, candidates and particles.
    sections
        All instances.
    track
        Track of every instance, counted from 0, (n,) int32.
    """

    graph: MergeGraph
    sections: Sections
    track: NDArray[np.int32]


def build_graph(plan: StitchPlan, edits: Sequence[Edit]) -> int:
    """Decide the merge graph of one view and write it, with the particle of every instance; returns their number.

    Raises
    ------
    ValueError
        When edits name unknown tracks or contradict each other; nothing was written then.
    """
    return write_tracks(plan, decide_tracks(plan, edits))


def write_tracks(plan: StitchPlan, decided: DecidedTracks) -> int:
    """Write a decided merge graph, with the particle of every instance; returns the number of particles."""
    particle = decided.graph.tracks["particle"].to_numpy(np.uint32)
    for slab in plan.slabs:
        own = slice(*np.searchsorted(decided.sections.slice, [slab.start, slab.stop]))
        track = decided.track[own]
        members = {"slice": decided.sections.slice[own], "track": track + 1, "particle": particle[track]}
        write_table(plan.table("members", slab), pa.table(members))
    write_graph(plan.graph, decided.graph)
    return len(decided.graph.particles)


def decide_tracks(plan: StitchPlan, edits: Sequence[Edit]) -> DecidedTracks:
    """Decide the merge graph of one view; errors are those of `build_graph`."""
    sections = _read_sections(plan)
    links = _read_links(plan, sections)
    chains = chain_instances(sections, links, plan.options)
    tracks = measure_tracks(sections, chains, plan.spacing)
    candidates = find_candidates(links, chains, tracks)
    del links  # the largest table, not needed any more
    check_edits(edits, len(tracks))
    decision, particle = decide_particles(
        sections, chains.track, tracks, candidates, plan.shape[0], plan.options, as_corrections(edits)
    )
    evidence = particle_evidence(sections, chains.track, tracks, candidates, decision, particle, plan.spacing)
    graph = merge_graph(tracks, candidates, decision, particle, evidence, edits)
    return DecidedTracks(graph, sections, chains.track)


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
    """Write the final masks of a block of slices again; returns the boxes of changed masks."""
    before = read_table(plan.table("masks", slab)).to_pandas()
    after = _write_masks(plan, slab).to_pandas()
    both = pd.concat([before, after])
    for name in ("run_start", "run_length"):
        both[name] = [runs.tobytes() for runs in both[name]]  # arrays cannot be compared
    return boxes_of(both.drop_duplicates(list(both.columns), keep=False))


def boxes_of_particles(plan: StitchPlan, view: ViewName, slab: range, particles: Sequence[int]) -> list[list[int]]:
    """Boxes of the masks of some particles in a block of slices of a view, whose plan this is, see `boxes_of`."""
    columns = ["slice", "y0", "x0", "y1", "x1", "particle"]
    masks = read_table(plan.table("masks", slab), columns=columns).to_pandas()
    return boxes_of(masks[masks["particle"].isin(particles)], view)


def boxes_of(masks: pd.DataFrame, view: ViewName = "z") -> list[list[int]]:
    """Boxes [z0, y0, x0, z1, y1, x1] in the volume of the masks of a view."""
    low = View(view).in_volume([masks[name] for name in ("slice", "y0", "x0")])
    high = View(view).in_volume([masks["slice"] + 1, masks["y1"], masks["x1"]])
    boxes: list[list[int]] = np.stack([*low, *high], axis=1).tolist()
    return boxes


def _write_masks(plan: StitchPlan, slab: range) -> pa.Table:
    """Write the final masks of a block of slices; returns the table."""
    gap = widest_gap(plan.options)
    window = range(max(slab.start - gap - 1, 0), min(slab.stop + gap + 1, plan.shape[0]))
    instances = read_instances(plan.folder, window)
    table = final_masks(instances, _members(plan, window), slab, gap).to_table()
    write_table(plan.table("masks", slab), table, max(len(table) // 16, 256))
    return table


def _members(plan: StitchPlan, slices: range) -> NDArray[np.uint32]:
    """Particle of every instance in some slices."""
    particle: NDArray[np.uint32] = read_slices(plan, "members", slices)["particle"].to_numpy()
    return particle
