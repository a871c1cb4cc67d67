"""The stitch stage: links by blocks of slices, one merge graph, masks by blocks of slices, voxels by blocks.

Nothing a task computes depends on how the volume is cut: links are functions of slices, the graph sees all of them at
once, masks are functions of slices and the graph, and voxels are painted and refined with an exact halo.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
from dask.delayed import Delayed

from tomostat.blocks import Block, Shape, check_whole_shards
from tomostat.execution import Execution
from tomostat.instances import read_metadata
from tomostat.options import as_dict
from tomostat.stitch.graph import Edit, MergeGraph, open_graph
from tomostat.stitch.kernels.refine import halo
from tomostat.stitch.options import StitchOptions
from tomostat.stitch.tasks import LABEL, Plan, build_graph, link_slab, mask_slab, paint_block
from tomostat.volume import VolumeInfo, create_volume, describe, pyramid_tasks

if TYPE_CHECKING:
    pass

BYTES_PER_VOXEL = 24
"""Peak memory of painting for each voxel that a task reads."""


def stitch_particles(
    path: str | Path,
    folder: str | Path,
    graph: str | Path,
    *,
    options: StitchOptions | None = None,
    edits: Sequence[Edit] = (),
    execution: Execution | None = None,
    block: Shape | None = None,
) -> MergeGraph:
    """Turn detections in slices into labelled particles.

    Parameters
    ----------
    path
        The volume with its ``labels/phases``; ``labels/particles`` (uint32) is written.
    folder
        Instance tables of the volume, as `detect_instances` writes them.
    graph
        Folder for links, merge graph and final masks; replaced unless `markers` tell of an interrupted start.
    options
        Evidence asked of links, gaps, smallest particles, reach of the refinement.
    edits
        Corrections by hand that hold from the start; `edit_particles` changes them later.
    execution
        Where to run, who is told, and where finished tasks are marked; threads of this process when not given.
    block
        Voxels (z, y, x) of a block of work, whole shards; one shard when not given. Labels do not depend on it.

    Returns
    -------
    MergeGraph
        Tracks and candidates with their verdicts; `open_graph` opens it again.

    Raises
    ------
    FileNotFoundError, ValueError
        When volume, phases or instance tables are missing, damaged, or do not belong together; before work starts.
    """
    info = describe(path)
    describe(path, "phases")
    plan = make_plan(info, Path(folder), Path(graph), options or StitchOptions(), block)
    check_tables(plan.folder, plan.shape)
    execution = (execution or Execution()).named("stitch")
    if execution.markers is None or not execution.markers.exists():
        shutil.rmtree(plan.graph, ignore_errors=True)
        create_volume(
            path, shape=plan.shape, dtype="uint32", spacing=plan.spacing, label=LABEL,
            attributes={"options": as_dict(plan.options), "block": list(plan.block)},
        )  # fmt: skip
    execution.run("link", slab_tasks(link_slab, plan))
    execution.run_here("merge graph", dask.delayed(build_graph)(plan, tuple(edits)))
    return _finish(plan, execution)


def _finish(plan: Plan, execution: Execution) -> MergeGraph:
    """From the graph to voxels."""
    execution.run("masks", slab_tasks(mask_slab, plan))
    outer = math.prod(s + 2 * halo(plan.options.margin) for s in plan.block)
    execution.run("paint", paint_tasks(plan, plan.blocks), need=BYTES_PER_VOXEL * outer)
    refresh_pyramid(plan, execution)
    return open_graph(plan.graph)


def refresh_pyramid(plan: Plan, execution: Execution) -> None:
    """Write the lower resolution levels of the labels."""
    for level, tasks in enumerate(pyramid_tasks(plan.path, LABEL), 1):
        execution.run(f"level {level}", tasks)


def make_plan(info: VolumeInfo, folder: Path, graph: Path, options: StitchOptions, block: Shape | None) -> Plan:
    """What the steps share, with blocks of whole shards."""
    block = block or info.shards
    check_whole_shards(block, info.shards, info.shape)
    block = tuple(min(b, n) for b, n in zip(block, info.shape, strict=True))  # type: ignore[assignment]
    return Plan(info.path, folder, graph, info.shape, info.spacing, block, options)


def check_tables(folder: Path, shape: Sequence[int]) -> None:
    """Refuse instance tables that are incomplete or belong to another volume or to several runs.

    Raises
    ------
    FileNotFoundError, ValueError
        With the file at fault and what to do.
    """
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise FileNotFoundError(f"no instance tables in {folder}; run `tomostat detect` first")
    again = "run `tomostat detect` anew"
    runs: dict[str, Path] = {}
    covered = 0
    for file, about in sorted(((f, read_metadata(f)) for f in files), key=lambda pair: pair[1].get("slices", [0, 0])):
        if tuple(about["shape"]) != tuple(shape[1:]):
            raise ValueError(
                f"{file} holds slices of {about['shape']} pixels, the volume has {list(shape[1:])}; {again}"
            )
        first, last = about.get("slices", (0, shape[0]))
        if first > covered:
            raise ValueError(f"{folder} holds no table for slices {covered} to {first - 1}; {again}")
        if first < covered:
            raise ValueError(f"{file} holds slices that another table of {folder} holds as well; {again}")
        covered = last
        made = {key: value for key, value in about.items() if key not in ("shape", "slices")}
        runs.setdefault(json.dumps(made, sort_keys=True), file)
    if covered != shape[0]:
        raise ValueError(f"tables in {folder} end at slice {covered}, the volume has {shape[0]} slices; {again}")
    if len(runs) > 1:
        one, other = list(runs.values())[:2]
        raise ValueError(f"{one} and {other.name} come from runs with different options; {again}")


def slab_tasks(work: Any, plan: Plan) -> dict[str, Delayed]:
    """One task per block of slices."""
    return {plan.key(slab): dask.delayed(work, pure=False)(plan, slab) for slab in plan.slabs}


def paint_tasks(plan: Plan, blocks: Sequence[Block]) -> dict[str, Delayed]:
    """One task per block of voxels."""
    return {block.key: dask.delayed(paint_block, pure=False)(plan, block) for block in blocks}
