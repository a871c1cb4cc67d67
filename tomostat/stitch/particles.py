"""Stitching a volume: links by blocks of slices, one merge graph, masks by blocks of slices, voxels by blocks.

No result depends on how the volume is cut into blocks: links depend on slices alone, the merge graph is decided on all
links at once, masks depend on slices and the graph, and voxels are painted and refined with an exact halo.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import dask
from dask.delayed import Delayed

from tomostat.blocks import Block, Shape, check_whole_shards
from tomostat.execution import Execution
from tomostat.instances import InstanceMetadata, read_metadata
from tomostat.options import as_dict
from tomostat.stitch.agreement import agree_on_particles, overlap_block
from tomostat.stitch.edits import Edit
from tomostat.stitch.graph import MergeGraph, open_graph
from tomostat.stitch.kernels.edges import EdgeModel
from tomostat.stitch.options import StitchOptions
from tomostat.stitch.painting import LABEL, paint_block
from tomostat.stitch.plan import StitchPlan
from tomostat.stitch.tasks import build_graph, link_slab, mask_slab
from tomostat.views import VIEWS, ViewName
from tomostat.volume import VolumeInfo, create_volume, describe, pyramid_tasks, read_fit

DETECT_AGAIN = "run `tomostat detect` again"
BYTES_PER_VOXEL = 56
"""Peak memory of painting a block, in bytes for each of its voxels with the halo."""


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
        Folder of the volume's instance tables, as `detect_instances` writes them.
    graph
        Folder for links, merge graph and final masks. It is replaced, unless markers of `execution` show that an
        interrupted run is to be continued.
    options
        Evidence that links need, gaps, smallest particles, reach of the refinement.
    edits
        Corrections by hand; `edit_particles` changes them later.
    execution
        Where tasks run, the listener to their events, and markers of finished ones; threads of this process when not
        given.
    block
        Voxels (z, y, x) of a block of work, whole shards; one shard when not given. Labels do not depend on it.

    Returns
    -------
    MergeGraph
        Tracks, candidates and decisions; `open_graph` opens it again.

    Raises
    ------
    FileNotFoundError, ValueError
        When volume, phases or instance tables are missing, damaged, or do not belong together. This is checked before
        work starts.
    """
    info = describe(path)
    describe(path, "phases")
    check_tables(Path(folder), info.shape)
    plan = make_plan(info, Path(folder), Path(graph), options or StitchOptions(), block)
    _check_other_views(plan)
    execution = (execution or Execution()).for_stage("stitch")
    if execution.markers is None or not execution.markers.exists():
        shutil.rmtree(plan.graph, ignore_errors=True)
        create_volume(
            path, shape=plan.shape, dtype="uint32", spacing=plan.spacing, label=LABEL,
            attributes={"options": as_dict(plan.options), "block": list(plan.block)},
        )  # fmt: skip
    execution.run("link", _tasks_of_views(link_slab, plan, plan.views))
    if plan.others:
        _compare_views(plan, execution)
    execution.run_here("merge graph", dask.delayed(decide)(plan, tuple(edits)))
    return _paint_particles(plan, execution)


def decide(plan: StitchPlan, edits: Sequence[Edit]) -> int:
    """Decide and write the merge graph of z, and what the views agree on; errors are those of `build_graph`."""
    return agree_on_particles(plan, edits) if plan.others else build_graph(plan, edits)


def _compare_views(plan: StitchPlan, execution: Execution) -> None:
    """Particles of every view by itself, and the voxels that they share."""
    for name in plan.views:
        execution.run_here(f"merge graph of {name}", dask.delayed(build_graph)(plan.of_view(name), ()))
    execution.run("masks of views", _tasks_of_views(mask_slab, plan, plan.others))
    overlap = dask.delayed(overlap_block, pure=False)
    tasks = {block.key: overlap(plan, block) for block in plan.blocks}
    execution.run("overlaps of views", tasks, need=BYTES_PER_VOXEL * math.prod(plan.block))


def _tasks_of_views(
    work: Callable[[StitchPlan, range], object], plan: StitchPlan, views: Sequence[ViewName]
) -> dict[str, Delayed]:
    """One task per block of slices of some views."""
    return {
        key if name == "z" else f"{name}-{key}": task
        for name in views
        for key, task in slab_tasks(work, plan.of_view(name)).items()
    }


def _paint_particles(plan: StitchPlan, execution: Execution) -> MergeGraph:
    """Masks and voxels of a decided merge graph."""
    execution.run("masks", slab_tasks(mask_slab, plan.of_view("z")))
    paint(plan, plan.blocks, execution)
    return open_graph(plan.graph)


def paint(plan: StitchPlan, blocks: Sequence[Block], execution: Execution) -> None:
    """Write the particles' voxels in some blocks, and all coarser levels."""
    tasks = {block.key: dask.delayed(paint_block, pure=False)(plan, block) for block in blocks}
    outer = math.prod(s + 2 * plan.halo for s in plan.block)
    execution.run("paint", tasks, need=BYTES_PER_VOXEL * outer)
    execution.run_levels(pyramid_tasks(plan.path, LABEL))


def make_plan(info: VolumeInfo, folder: Path, graph: Path, options: StitchOptions, block: Shape | None) -> StitchPlan:
    """Plan the tasks.

    Raises
    ------
    ValueError
        When a block is not made of whole shards.
    """
    block = block or info.shards
    check_whole_shards(block, info.shards, info.shape)
    block = tuple(min(b, n) for b, n in zip(block, info.shape, strict=True))  # type: ignore[assignment]
    edges = EdgeModel.of(read_fit(info.path))
    return StitchPlan(info.path, folder, graph, info.shape, info.spacing, block, options, edges, _other_views(folder))


def _other_views(folder: Path) -> tuple[ViewName, ...]:
    """Views beside z that the instance tables of z were made with."""
    table = next(iter(sorted(folder.glob("*.parquet"))), None)
    names = () if table is None else read_metadata(table).options.get("views", ())
    return tuple(name for name in VIEWS[1:] if name in names)


def _check_other_views(plan: StitchPlan) -> None:
    """Refuse instance tables of other views that are incomplete or of another run."""
    for name in plan.others:
        view = plan.of_view(name)
        (z, *_), (other, *_) = check_tables(plan.folder, plan.shape), check_tables(view.folder, view.shape)
        if (z.options, z.version) != (other.options, other.version):
            raise ValueError(f"{plan.folder} and {view.folder} are from runs with different options; {DETECT_AGAIN}")


def plan_of_run(path: str | Path, folder: Path, graph: Path) -> StitchPlan:
    """The plan with which a volume has been stitched.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no finished run.
    """
    run = describe(path, LABEL).attributes
    return make_plan(describe(path), folder, graph, StitchOptions(**run["options"]), tuple(run["block"]))


def check_tables(folder: Path, shape: Sequence[int]) -> list[InstanceMetadata]:
    """Refuse instance tables that are incomplete or belong to another volume or to several runs.

    Returns
    -------
    list of InstanceMetadata
        The metadata of the tables, in the order of their slices.

    Raises
    ------
    FileNotFoundError, ValueError
        With the file that is wrong and what to do.
    """
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise FileNotFoundError(f"there are no instance tables in {folder}; run `tomostat detect` first")
    tables = [(file, read_metadata(file)) for file in files]
    tables.sort(key=lambda table: table[1].slices.start if table[1].slices else 0)
    _check_slices(folder, tables, shape)
    _check_one_run(tables)
    return [metadata for _, metadata in tables]


def _check_slices(folder: Path, tables: Sequence[tuple[Path, InstanceMetadata]], shape: Sequence[int]) -> None:
    """Every slice of the volume must be in one table, with the size that the volume has."""
    covered = 0
    for file, metadata in tables:
        if metadata.shape != tuple(shape[1:]):
            sizes = f"slices of {list(metadata.shape)} pixels, the volume has {list(shape[1:])}"
            raise ValueError(f"{file} has {sizes}; {DETECT_AGAIN}")
        slices = range(shape[0]) if metadata.slices is None else metadata.slices
        if slices.start > covered:
            raise ValueError(f"{folder} has no table for slices {covered} to {slices.start - 1}; {DETECT_AGAIN}")
        if slices.start < covered:
            raise ValueError(f"{file} contains slices that another table in {folder} contains as well; {DETECT_AGAIN}")
        covered = slices.stop
    if covered != shape[0]:
        raise ValueError(f"tables in {folder} end at slice {covered}, the volume has {shape[0]} slices; {DETECT_AGAIN}")


def _check_one_run(tables: Sequence[tuple[Path, InstanceMetadata]]) -> None:
    """All tables must come from runs with the same options and the same version."""
    runs: dict[str, Path] = {}
    for file, metadata in tables:
        runs.setdefault(json.dumps([metadata.options, metadata.version], sort_keys=True), file)
    if len(runs) > 1:
        one, other = list(runs.values())[:2]
        raise ValueError(f"{one} and {other.name} are from runs with different options; {DETECT_AGAIN}")


def slab_tasks(work: Callable[[StitchPlan, range], object], plan: StitchPlan) -> dict[str, Delayed]:
    """One task per block of slices."""
    return {plan.key(slab): dask.delayed(work, pure=False)(plan, slab) for slab in plan.slabs}
