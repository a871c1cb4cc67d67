"""Segmentation of a volume into phases: one pass over its blocks for each estimate, then one that writes the labels."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Block, Box, Shape, check_memory, check_whole_shards
from tomostat.execution import Execution
from tomostat.messages import spans
from tomostat.options import as_dict
from tomostat.phase import Phase, PhaseFit, PhaseLevels, PhaseShares
from tomostat.phases.estimate import Estimate, find_phases, widest_halo
from tomostat.phases.first_guess import estimate_shading
from tomostat.phases.grey_range import find_grey_range
from tomostat.phases.kernels.counts import Bins, Counts, decode_sum, encode, quantile
from tomostat.phases.kernels.filters import Thresholds, classify, halo_width, uniform_voxels
from tomostat.phases.kernels.outside import ConstantArea, Outside, choose_outside, constant_areas
from tomostat.phases.options import PhasesOptions
from tomostat.phases.plan import PhasesPlan, read_block
from tomostat.volume import (
    create_volume,
    describe,
    pyramid_tasks,
    read_box,
    update_attributes,
    write_box,
)

LABEL = "phases"
"""Name of the label image."""
SLICES = 9
"""Slices from which the field of view is found."""
BYTES_PER_VOXEL = 60
"""Peak memory of a task for each voxel that it reads."""


def segment_phases(
    path: str | Path,
    *,
    options: PhasesOptions | None = None,
    execution: Execution | None = None,
    block: Shape | None = None,
) -> PhaseFit:
    """Segment pore, carbon-binder domain and active material, and write them as ``labels/phases``.

    Large areas of one exact grey value at the border lie outside the field of view. Slow additive shading is estimated
    on a fixed coarse grid and stored with the volume (`tomostat.volume.read_flat` subtracts it). Thresholds come from
    histograms by multi-Otsu, of voxels away from edges, in all of the volume or, where it is large, in parts that are
    drawn at random. Pore and carbon-binder are distinguished by the mean of the dark voxels beyond the blurred edge of
    active material, since within that edge every pore has the grey value of carbon-binder. A phase whose grey level
    does not differ from another by more than noise is left out, and active material where the brighter of two levels is
    a web or a skin and not particles; the fit says so in its warnings. The result does not depend on the blocks.

    Parameters
    ----------
    path
        The volume; its labels ``phases`` and its shading are replaced.
    options
        Number of phases, thresholds, smoothing, shading.
    execution
        Where tasks run, where finished ones are marked, and who listens; threads of this process when not given.
    block
        Voxels (z, y, x) of the core of a block, whole shards; one shard when not given.

    Returns
    -------
    PhaseFit
        Grey levels, thresholds, noise and blur; stored with the labels, `tomostat.volume.read_fit` reads it back.

    Raises
    ------
    FileNotFoundError
        When there is no volume at `path`.
    ValueError
        When the volume has one grey value only, blocks split shards, or a worker has too little memory.
    """
    info, options = describe(path), options or PhasesOptions()
    shape = block or info.shards
    check_whole_shards(shape, info.shards, info.shape)
    execution = (execution or Execution()).for_stage("phases")
    outer = [min(b + 2 * widest_halo(options), n) for b, n in zip(shape, info.shape, strict=True)]
    check_memory(BYTES_PER_VOXEL * math.prod(outer), execution.memory_per_task(), "phases")
    plan = find_field_of_view(PhasesPlan(info, options, shape, execution))
    guesses, shading = estimate_shading(plan, find_grey_range(plan))
    return _write_labels(plan, find_phases(plan, guesses), shading)


def find_field_of_view(plan: PhasesPlan) -> PhasesPlan:
    """Recognise what lies outside the field of view from some slices."""
    find = dask.delayed(_constant_areas, pure=False)
    blank = plan.info.blank_slices
    shown = np.setdiff1d(np.arange(plan.info.shape[0]), blank)
    chosen = shown[np.unique(np.linspace(0, len(shown) - 1, SLICES).round().astype(int))]
    found = plan.run("field", {f"{z:05d}": find(plan.path, int(z)) for z in chosen})
    slices = [[ConstantArea(**area) for area in areas] for areas in found]
    return replace(plan, outside=choose_outside(slices, blank))


def _constant_areas(path: Path, z: int) -> list[dict[str, Any]]:
    """Constant areas of a slice as JSON values, as a marker stores them."""
    image = read_box(path, (slice(z, z + 1), slice(None), slice(None)))[0]
    return [asdict(area) for area in constant_areas(image)]


def _write_labels(plan: PhasesPlan, estimate: Estimate, shading: float) -> PhaseFit:
    """Write the labels and their pyramid, and store the fit with them."""
    path, options, thresholds, bins = plan.path, plan.options, estimate.thresholds, estimate.bins
    if not plan.execution.has_finished_tasks("labels"):
        create_volume(path, shape=plan.info.shape, dtype=np.uint8, spacing=plan.info.spacing, label=LABEL)
    halo = halo_width(options.smoothing, options.collector, thresholds.dark_smoothing) + 2
    label = dask.delayed(_label_block, pure=False)
    tasks = {
        block.key: label(path, block, plan.outside, thresholds, options.smoothing, bins) for block in plan.blocks(halo)
    }
    counts = decode_sum(plan.run("labels", tasks)).reshape(3, len(Phase), bins.number)
    levels, shares = levels_and_shares(counts, bins)
    fit = PhaseFit(
        levels=levels,
        shares=shares,
        thresholds=thresholds.values(),
        percentiles=estimate.percentiles,
        noise=estimate.noise,
        blur=estimate.blur,
        shading=shading,
        circle=plan.outside.circle if plan.outside else None,
        warnings=(*estimate.warnings, *_warning_of_blank(plan.outside)),
    )
    update_attributes(path, {**fit.record(), "options": as_dict(options)}, LABEL)
    plan.execution.run_levels(pyramid_tasks(path, LABEL))
    return fit


def _warning_of_blank(outside: Outside | None) -> list[str]:
    """That slices without an image count as outside the field of view."""
    if outside is None or not outside.blank:
        return []
    return [
        f"slices of one grey value only, taken as outside the field of view: {spans(outside.blank)}; particles that "
        "reach them count as cut by the border (a few dropped slices are better interpolated before ingest)"
    ]


def _label_block(
    path: Path, block: Block, outside: Outside | None, thresholds: Thresholds, smoothing: float, bins: Bins
) -> str:
    """Write the phases of one block and return its encoded `phase_counts`."""
    grey, in_field = read_block(path, block.outer, outside, keep_shading=False)
    phases = classify(grey, in_field, thresholds, smoothing)
    write_box(path, block.start, phases[block.inner], LABEL)
    return encode(phase_counts(grey, phases, block.inner, bins))


def phase_counts(grey: NDArray[np.float32], phases: NDArray[np.uint8], inner: Box, bins: Bins) -> Counts:
    """Histograms of the grey values of each phase in the inner box of a block.

    The first counts all voxels of a phase, the others those whose cube of 3 or 5 voxels is all of that phase.
    """
    groups = [np.where(uniform_voxels(phases, size), phases + np.uint8(1), np.uint8(0))[inner] for size in (1, 3, 5)]
    return np.stack([bins.count_groups(grey[inner], group, len(Phase)) for group in groups])


def levels_and_shares(counts: Counts, bins: Bins) -> tuple[PhaseLevels, PhaseShares]:
    """Grey levels and volume fractions of the phases, from the sum (3, phases, bins) of `phase_counts`."""
    voxels = counts[0, : Phase.OUTSIDE].sum(axis=-1)
    materials = [phase for phase in Phase if phase != Phase.OUTSIDE]
    return (
        PhaseLevels(**{phase.name.lower(): _grey_level(counts[:, phase], bins) for phase in materials}),
        PhaseShares(**{phase.name.lower(): float(voxels[phase] / voxels.sum()) for phase in materials}),
    )


def _grey_level(counts: Counts, bins: Bins) -> float | None:
    """Median grey value of a phase, of the voxels furthest from other phases if there are enough of them."""
    if not counts[0].any():
        return None
    deepest = next((c for c in counts[::-1] if c.sum() >= 1000), counts[0])
    return quantile(deepest, bins, 0.5)
