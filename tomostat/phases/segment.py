"""Sorting the voxels of a volume into phases: one pass over its blocks for each question, then the labels."""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import dask
import numpy as np

from tomostat.blocks import Block, Shape, check_memory, check_whole_shards
from tomostat.execution import Execution
from tomostat.options import as_dict
from tomostat.phase import Phase, PhaseFit, PhaseLevels, PhaseShares
from tomostat.phases.context import Context, read_block
from tomostat.phases.estimate import Estimate, find_blur, find_cuts, find_span, remove_shading
from tomostat.phases.kernels import outside
from tomostat.phases.kernels.counts import Bins, Counts, pack, quantile, unpack_sum
from tomostat.phases.kernels.filters import Cuts, classify, reach, uniform
from tomostat.phases.options import PhasesOptions
from tomostat.volume import (
    create_volume,
    describe,
    pyramid_tasks,
    read_box,
    update_attributes,
    write_box,
)

logger = logging.getLogger(__name__)

LABEL = "phases"
SLICES = 9
"""Slices that are looked at to find the field of view."""
BYTES_PER_VOXEL = 60
"""Peak memory of a task for each voxel that it reads."""


def segment_phases(
    path: str | Path,
    *,
    options: PhasesOptions | None = None,
    execution: Execution | None = None,
    block: Shape | None = None,
) -> PhaseFit:
    """Tell pore, carbon-binder domain and active material apart, and write them as ``labels/phases``.

    The field of view is what is left of the volume when one exact grey value that reaches in from the border is taken
    away. Slow additive shading is estimated on a fixed coarse grid and stored with the volume
    (`tomostat.volume.read_flat` subtracts it). Thresholds come from whole-volume histograms by multi-Otsu, of voxels
    away from edges; pore and carbon-binder are told by the mean of the dark voxels beyond the blurred edge of active
    material, since within it every pore has the carbon-binder's grey value. A phase whose level cannot be told from
    noise is not invented: it is left out, with a warning. Nothing depends on the blocks.

    Parameters
    ----------
    path
        The volume; its labels ``phases`` and its shading are replaced.
    options
        Number of phases, thresholds, smoothing, shading.
    execution
        Where to run, who is told, and where finished tasks are marked; threads of this process when not given.
    block
        Voxels (z, y, x) of a block of work, whole shards; one shard when not given.

    Returns
    -------
    PhaseFit
        What was found; it is noted with the labels, and `tomostat.volume.read_fit` reads it back.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such volume, it is constant, blocks split shards, or a worker has too little memory.
    """
    info, options = describe(path), options or PhasesOptions()
    shape = block or info.shards
    check_whole_shards(shape, info.shards, info.shape)
    execution = (execution or Execution()).named("phases")
    halo = reach(options.smoothing, options.collector)
    outer = [min(b + 2 * halo, n) for b, n in zip(shape, info.shape, strict=True)]
    check_memory(BYTES_PER_VOXEL * math.prod(outer), execution.memory_per_task(), "phases")
    context = _find_field(Context(info, options, shape, execution))
    guess, shading = remove_shading(context, find_span(context))
    blur = find_blur(context, guess)
    fit = _write_labels(context, find_cuts(context, guess, blur), blur, shading)
    for warning in fit.warnings:
        logger.warning("%s: %s", path, warning)
    return fit


def _find_field(context: Context) -> Context:
    """Look for a constant outside in some slices."""
    look = dask.delayed(_constant_areas, pure=False)
    chosen = np.unique(np.linspace(0, context.info.shape[0] - 1, SLICES).round().astype(int))
    found = context.run("field", {f"{z:05d}": look(context.path, int(z)) for z in chosen})
    slices = [[outside.ConstantArea(**area) for area in areas] for areas in found]
    return replace(context, outside=outside.choose_outside(slices))


def _constant_areas(path: Path, z: int) -> list[dict[str, Any]]:
    """Constant areas of a slice as they stand in a marker."""
    image = read_box(path, (slice(z, z + 1), slice(None), slice(None)))[0]
    return [asdict(area) for area in outside.constant_areas(image)]


def _write_labels(context: Context, estimate: Estimate, blur: float | None, shading: float) -> PhaseFit:
    """Write the labels and their pyramid; note what was found with them."""
    path, options, cuts, bins = context.path, context.options, estimate.cuts, estimate.bins
    if not context.execution.started("labels"):
        create_volume(path, shape=context.info.shape, dtype=np.uint8, spacing=context.info.spacing, label=LABEL)
    halo = reach(options.smoothing, options.collector) + 2
    label = dask.delayed(_label_block, pure=False)
    tasks = {
        block.key: label(path, block, context.outside, cuts, options.smoothing, bins) for block in context.blocks(halo)
    }
    counts = unpack_sum(context.run("labels", tasks)).reshape(3, len(Phase), bins.number)
    inside = counts[0, : Phase.OUTSIDE].sum(axis=-1)
    materials = [phase for phase in Phase if phase != Phase.OUTSIDE]
    fit = PhaseFit(
        levels=PhaseLevels(**{phase.name.lower(): _level(counts[:, phase], bins) for phase in materials}),
        shares=PhaseShares(**{phase.name.lower(): float(inside[phase] / inside.sum()) for phase in materials}),
        thresholds=tuple(cut for cut in (cuts.cbd, cuts.collector, cuts.active) if cut is not None),
        percentiles=estimate.percentiles,
        noise=estimate.noise,
        blur=blur,
        shading=shading,
        circle=context.outside.circle if context.outside else None,
        warnings=estimate.warnings,
    )
    update_attributes(path, {**fit.record(), "options": as_dict(options)}, LABEL)
    for level, halving in enumerate(pyramid_tasks(path, LABEL), 1):
        context.run(f"level-{level}", halving)
    return fit


def _label_block(
    path: Path, block: Block, beyond: outside.Outside | None, cuts: Cuts, smoothing: float, bins: Bins
) -> str:
    """Write the phases of one block; histograms of each phase: all of it, and where 3 or 5 voxels around are of it."""
    grey, inside = read_block(path, block.outer, beyond, shading=False)
    phases = classify(grey, inside, cuts, smoothing)
    write_box(path, block.start, phases[block.inner], LABEL)
    counts = []
    for size in (1, 3, 5):
        deep = uniform(phases, size)[block.inner]
        chosen, value = phases[block.inner][deep], grey[block.inner][deep]
        key = chosen.astype(np.intp) * bins.number + bins.index(value)
        counts.append(np.bincount(key, minlength=len(Phase) * bins.number))
    return pack(np.array(counts, np.int64))


def _level(counts: Counts, bins: Bins) -> float | None:
    """Median grey value of a phase, as deep inside it as there are voxels enough."""
    if not counts[0].any():
        return None
    deepest = next((c for c in counts[::-1] if c.sum() >= 1000), counts[0])
    return quantile(deepest, bins, 0.5)
