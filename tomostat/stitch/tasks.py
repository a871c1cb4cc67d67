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
from tomostat.options import StitchOptions
from tomostat.stitch.decide import bodies_of, candidates_of
from tomostat.stitch.graph import Edit, as_graph, decide_particles, read_table, write_graph, write_table
from tomostat.stitch.link import Links, link_slices, widest_gap
from tomostat.stitch.masks import Masks, final_masks
from tomostat.stitch.paint import paint_box
from tomostat.stitch.refine import halo, refine_labels
from tomostat.stitch.tracks import LinkRows, Sections, chain, link_rows, sections_of
from tomostat.volume import read_box, write_box

LABEL = "particles"
MOMENTS = ("y", "x", "yy", "yx", "xx")


@dataclass(frozen=True)
class Job:
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


def link_slab(job: Job, slab: range) -> int:
    """Write the sections and forward links of a block of slices."""
    beyond = widest_gap(job.options) + 1
    instances = read_instances(job.folder, range(slab.start, min(slab.stop + beyond, job.shape[0])))
    links = link_slices(instances, slab, job.options)
    write_table(job.table("links", slab), pa.table(vars(links)))
    own = instances.take(instances.slice < slab.stop)
    sections = sections_of(own)
    columns = {"id": own.id, "position": sections.position, "area": sections.area}
    moments = {name: sections.moments[:, i] for i, name in enumerate(MOMENTS)}
    write_table(job.table("sections", slab), pa.table(columns | moments))
    return len(own)


def build_graph(job: Job, edits: Sequence[Edit]) -> int:
    """Decide the merge graph and write it, with the particle of every instance by slab."""
    sections = _read_sections(job)
    links = _read_links(job, sections)
    chains = chain(sections, links, job.options)
    bodies = bodies_of(sections, chains, job.spacing)
    candidates = candidates_of(sections, links, chains, bodies)
    del links  # the largest table, not needed any more
    decision, particle = decide_particles(sections, chains.track, bodies, candidates, job.shape[0], job.options, edits)
    for slab in job.slabs:
        rows = slice(*np.searchsorted(sections.slice, [slab.start, slab.stop]))
        track = chains.track[rows]
        members = {"slice": sections.slice[rows], "track": track + 1, "particle": particle[track]}
        write_table(job.table("members", slab), pa.table(members))
    write_graph(job.graph, as_graph(bodies, candidates, decision, particle, edits))
    return int(particle.max(initial=0))


def _read_sections(job: Job) -> Sections:
    """Sections of all slabs."""
    tables = [read_table(job.table("sections", slab)) for slab in job.slabs]
    table = pa.concat_tables(tables)
    return Sections(
        (table["id"].to_numpy() >> np.uint64(32)).astype(np.int32),
        table["position"].to_numpy(),
        table["area"].to_numpy(),
        np.stack([table[name].to_numpy() for name in MOMENTS], 1),
    )


def _read_links(job: Job, sections: Sections) -> LinkRows:
    """Links of all slabs, as rows: slab by slab, because ids take twice the room."""
    parts = []
    for slab in job.slabs:
        table = read_table(job.table("links", slab))
        columns = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
        parts.append(link_rows(Links(**columns), sections))
    names = LinkRows.__dataclass_fields__
    return LinkRows(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def mask_slab(job: Job, slab: range) -> int:
    """Write the final masks of a block of slices."""
    masks = _masks_of(job, slab)
    write_table(job.table("masks", slab), masks.to_table(), max(len(masks.particle) // 16, 256))
    return len(masks.particle)


def mask_slab_again(job: Job, slab: range) -> list[list[int]]:
    """Write the final masks of a block of slices anew; tells the boxes [z, y0, x0, y1, x1] of masks that changed."""
    before = read_table(job.table("masks", slab)).to_pandas()
    mask_slab(job, slab)
    after = read_table(job.table("masks", slab)).to_pandas()
    rows = pd.concat([before, after])
    for name in ("run_start", "run_length"):
        rows[name] = [runs.tobytes() for runs in rows[name]]
    changed = rows.drop_duplicates(list(rows.columns), keep=False)
    boxes: list[list[int]] = changed[["slice", "y0", "x0", "y1", "x1"]].values.tolist()
    return boxes


def _masks_of(job: Job, slab: range) -> Masks:
    gap = widest_gap(job.options)
    window = range(max(slab.start - gap - 1, 0), min(slab.stop + gap + 1, job.shape[0]))
    instances = read_instances(job.folder, window)
    return final_masks(instances, _members(job, window), slab, gap)


def _near(job: Job, slices: range) -> list[range]:
    """Slabs that hold some of these slices."""
    return [slab for slab in job.slabs if slab.start < slices.stop and slab.stop > slices.start]


def _within(slices: range) -> list[tuple[str, str, int]]:
    """Filter for the rows of these slices."""
    return [("slice", ">=", slices.start), ("slice", "<", slices.stop)]


def _members(job: Job, slices: range) -> NDArray[np.uint32]:
    """Particle of every instance in some slices."""
    tables = [read_table(job.table("members", slab), filters=_within(slices)) for slab in _near(job, slices)]
    particle: NDArray[np.uint32] = pa.concat_tables(tables)["particle"].to_numpy()
    return particle


def paint_block(job: Job, block: Block) -> int:
    """Paint, refine and write one block; tells how many voxels are labelled."""
    labels = block_labels(job, block)
    write_box(job.path, block.start, labels, LABEL)
    return int(np.count_nonzero(labels))


def block_labels(job: Job, block: Block) -> NDArray[np.uint32]:
    """Labels of a block's core, from the masks and the phases."""
    slices = range(block.outer[0].start, block.outer[0].stop)
    tables = [read_table(job.table("masks", slab), filters=_within(slices)) for slab in _near(job, slices)]
    masks = Masks.from_table(pa.concat_tables(tables), (job.shape[1], job.shape[2]))
    labels = paint_box(masks, block.outer)
    phases = read_box(job.path, block.outer, "phases")
    return refine_labels(labels, phases, job.options.margin)[block.inner]
