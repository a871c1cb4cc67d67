"""What the tasks of the stitch stage do: read tables, run kernels, write tables or voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from tomostat.blocks import Block, Shape, block_grid
from tomostat.instances import read_instances
from tomostat.stitch.graph import Edit, as_graph, decide_particles, read_table, write_graph, write_table
from tomostat.stitch.kernels.link import Links, link_slices, widest_gap
from tomostat.stitch.kernels.masks import Masks, final_masks
from tomostat.stitch.kernels.merging import bodies_of, candidates_of
from tomostat.stitch.kernels.paint import paint_box
from tomostat.stitch.kernels.refine import halo, refine_labels
from tomostat.stitch.kernels.tracks import LinkRows, Sections, chain, link_rows, sections_of
from tomostat.stitch.options import StitchOptions
from tomostat.volume import read_box, write_box

LABEL = "particles"
MOMENTS = ("y", "x", "yy", "yx", "xx")


@dataclass(frozen=True)
class Plan:
    """What the steps share; small, so that it travels with every task.

    Attributes
    ----------
    path, folder, graph
        The volume, the folder of instance tables, the folder of the merge graph.
    shape, spacing
        Of the volume.
    block
        Voxels of a block of work.
    options
        How to stitch.
    """

    path: Path
    folder: Path
    graph: Path
    shape: Shape
    spacing: tuple[float, float, float]
    block: Shape
    options: StitchOptions

    @property
    def slabs(self) -> list[range]:
        """Blocks of slices."""
        step = self.block[0]
        return [range(z, min(z + step, self.shape[0])) for z in range(0, self.shape[0], step)]

    @property
    def blocks(self) -> list[Block]:
        """Blocks of voxels with the halo that refinement looks at."""
        return block_grid(self.shape, self.block, (halo(self.options.margin),) * 3)

    @staticmethod
    def key(slab: range) -> str:
        """Name of a slab, sortable."""
        return f"{slab.start:05d}-{slab.stop:05d}"

    def table(self, kind: str, slab: range) -> Path:
        """Where the part of a table for a slab lies."""
        return self.graph / kind / f"{self.key(slab)}.parquet"


def link_slab(plan: Plan, slab: range) -> int:
    """Write the sections and forward links of a block of slices."""
    beyond = widest_gap(plan.options) + 1
    instances = read_instances(plan.folder, range(slab.start, min(slab.stop + beyond, plan.shape[0])))
    links = link_slices(instances, slab, plan.options)
    write_table(plan.table("links", slab), pa.table(vars(links)))
    own = instances.take(instances.slice < slab.stop)
    sections = sections_of(own)
    columns = {"id": own.id, "position": sections.position, "area": sections.area}
    moments = {name: sections.moments[:, i] for i, name in enumerate(MOMENTS)}
    write_table(plan.table("sections", slab), pa.table(columns | moments))
    return len(own)


def build_graph(plan: Plan, edits: Sequence[Edit]) -> int:
    """Decide the merge graph and write it, with the particle of every instance by slab."""
    sections = _read_sections(plan)
    links = _read_links(plan, sections)
    chains = chain(sections, links, plan.options)
    bodies = bodies_of(sections, chains, plan.spacing)
    candidates = candidates_of(sections, links, chains, bodies)
    del links  # the largest table, not needed any more
    decision, particle = decide_particles(
        sections, chains.track, bodies, candidates, plan.shape[0], plan.options, edits
    )
    for slab in plan.slabs:
        rows = slice(*np.searchsorted(sections.slice, [slab.start, slab.stop]))
        track = chains.track[rows]
        members = {"slice": sections.slice[rows], "track": track + 1, "particle": particle[track]}
        write_table(plan.table("members", slab), pa.table(members))
    write_graph(plan.graph, as_graph(bodies, candidates, decision, particle, edits))
    return int(particle.max(initial=0))


def _read_sections(plan: Plan) -> Sections:
    """Sections of all slabs."""
    tables = [read_table(plan.table("sections", slab)) for slab in plan.slabs]
    table = pa.concat_tables(tables)
    return Sections(
        (table["id"].to_numpy() >> np.uint64(32)).astype(np.int32),
        table["position"].to_numpy(),
        table["area"].to_numpy(),
        np.stack([table[name].to_numpy() for name in MOMENTS], 1),
    )


def _read_links(plan: Plan, sections: Sections) -> LinkRows:
    """Links of all slabs, as rows: slab by slab, because ids take twice the room."""
    parts = []
    for slab in plan.slabs:
        table = read_table(plan.table("links", slab))
        columns = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
        parts.append(link_rows(Links(**columns), sections))
    names = LinkRows.__dataclass_fields__
    return LinkRows(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def mask_slab(plan: Plan, slab: range) -> int:
    """Write the final masks of a block of slices."""
    masks = _masks_of(plan, slab)
    write_table(plan.table("masks", slab), masks.to_table(), max(len(masks.particle) // 16, 256))
    return len(masks.particle)


def mask_slab_again(plan: Plan, slab: range) -> list[list[int]]:
    """Write the final masks of a block of slices anew; tells the boxes [z, y0, x0, y1, x1] of masks that changed."""
    before = read_table(plan.table("masks", slab)).to_pandas()
    mask_slab(plan, slab)
    after = read_table(plan.table("masks", slab)).to_pandas()
    rows = pd.concat([before, after])
    for name in ("run_start", "run_length"):
        rows[name] = [runs.tobytes() for runs in rows[name]]
    changed = rows.drop_duplicates(list(rows.columns), keep=False)
    boxes: list[list[int]] = changed[["slice", "y0", "x0", "y1", "x1"]].values.tolist()
    return boxes


def _masks_of(plan: Plan, slab: range) -> Masks:
    gap = widest_gap(plan.options)
    window = range(max(slab.start - gap - 1, 0), min(slab.stop + gap + 1, plan.shape[0]))
    instances = read_instances(plan.folder, window)
    return final_masks(instances, _members(plan, window), slab, gap)


def _near(plan: Plan, slices: range) -> list[range]:
    """Slabs that hold some of these slices."""
    return [slab for slab in plan.slabs if slab.start < slices.stop and slab.stop > slices.start]


def _within(slices: range) -> list[tuple[str, str, int]]:
    """Filter for the rows of these slices."""
    return [("slice", ">=", slices.start), ("slice", "<", slices.stop)]


def _members(plan: Plan, slices: range) -> NDArray[np.uint32]:
    """Particle of every instance in some slices."""
    tables = [read_table(plan.table("members", slab), filters=_within(slices)) for slab in _near(plan, slices)]
    particle: NDArray[np.uint32] = pa.concat_tables(tables)["particle"].to_numpy()
    return particle


def paint_block(plan: Plan, block: Block) -> int:
    """Paint, refine and write one block; tells how many voxels are labelled."""
    labels = block_labels(plan, block)
    write_box(plan.path, block.start, labels, LABEL)
    return int(np.count_nonzero(labels))


def block_labels(plan: Plan, block: Block) -> NDArray[np.uint32]:
    """Labels of a block's core, from the masks and the phases."""
    slices = range(block.outer[0].start, block.outer[0].stop)
    tables = [read_table(plan.table("masks", slab), filters=_within(slices)) for slab in _near(plan, slices)]
    masks = Masks.from_table(pa.concat_tables(tables), (plan.shape[1], plan.shape[2]))
    labels = paint_box(masks, block.outer)
    phases = read_box(plan.path, block.outer, "phases")
    return refine_labels(labels, phases, plan.options.margin)[block.inner]
