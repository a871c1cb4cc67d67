"""Grey levels, noise and blur of a field whose phases are given: one pass over grey values and phases."""

from __future__ import annotations

import itertools
import logging
import math
from pathlib import Path

import dask

from tomostat.blocks import Block, Shape, check_memory
from tomostat.execution import Execution
from tomostat.options import as_dict
from tomostat.phase import Phase, PhaseFit, PhaseLevels
from tomostat.phases.blur import find_blur
from tomostat.phases.first_guess import FirstGuess
from tomostat.phases.grey_range import find_grey_range
from tomostat.phases.kernels import sharpness
from tomostat.phases.kernels.counts import Bins, Counts, decode_sum, encode, quantile
from tomostat.phases.kernels.filters import Thresholds, uniform_voxels
from tomostat.phases.kernels.outside import Outside
from tomostat.phases.kernels.thresholds import noise_of_differences
from tomostat.phases.options import PhasesOptions
from tomostat.phases.plan import DIFFERENCE_BINS, LEAST_PAIRS, PERCENTILES, PhasesPlan, read_block
from tomostat.phases.segment import BYTES_PER_VOXEL, LABEL, find_field_of_view, levels_and_shares, phase_counts
from tomostat.volume import describe, read_box, update_attributes, write_shading

logger = logging.getLogger(__name__)

ROUNDING = 12**-0.5
"""Standard deviation of what rounding adds to whole grey values: the least noise of such an image."""


def describe_phases(
    path: str | Path,
    *,
    options: PhasesOptions | None = None,
    execution: Execution | None = None,
    block: Shape | None = None,
) -> PhaseFit:
    """Find the grey levels, noise and blur of a field whose ``labels/phases`` are given, and store them with those.

    Shading is not looked for: where grey values vary slowly, the phases that are given may be why.

    Parameters
    ----------
    path
        The volume with its labels ``phases``; its shading is removed.
    options
        Stored with the result.
    execution, block
        As in `tomostat.phases.segment_phases`.

    Returns
    -------
    PhaseFit
        With the middles between neighbouring levels as thresholds; `tomostat.volume.read_fit` reads it back.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no volume or no phases, or the volume has one grey value only.
    """
    info, options = describe(path), options or PhasesOptions()
    describe(path, LABEL)
    shape = block or info.shards
    execution = (execution or Execution()).for_stage("phases")
    halo = max(sharpness.LAG, 2)
    outer = [min(b + 2 * halo, n) for b, n in zip(shape, info.shape, strict=True)]
    check_memory(BYTES_PER_VOXEL * math.prod(outer), execution.memory_per_task(), "phases")
    plan = find_field_of_view(PhasesPlan(info, options, shape, execution))
    write_shading(path, None)
    bins = Bins(*find_grey_range(plan), 1024)
    steps = Bins(0.0, bins.high - bins.low, DIFFERENCE_BINS)
    count = dask.delayed(_count_block, pure=False)
    tasks = {b.key: count(plan.path, b, plan.outside, bins, steps) for b in plan.blocks(halo)}
    found = plan.run("levels", tasks)
    counts = decode_sum([part["levels"] for part in found]).reshape(3, len(Phase), bins.number)
    levels, shares = levels_and_shares(counts, bins)
    deep, every = (decode_sum([part[name] for part in found]) for name in ("noise", "noise_all"))
    noise = noise_of_differences(deep if deep.sum() > LEAST_PAIRS else every, steps)
    inside = counts[0, : Phase.OUTSIDE].sum(axis=0)
    low, high = (quantile(inside, bins, fraction) for fraction in PERCENTILES)
    fit = PhaseFit(
        levels=levels,
        shares=shares,
        thresholds=_middles(levels),
        percentiles=(low, max(high, low + bins.width)),
        noise=max(noise, ROUNDING) if info.dtype.kind == "u" else noise,
        blur=_blur(plan, bins, levels),
        circle=plan.outside.circle if plan.outside else None,
        warnings=_warnings(levels, info.rendered),
    )
    update_attributes(path, {**fit.record(), "options": as_dict(options)}, LABEL)
    for warning in fit.warnings:
        logger.warning("%s: %s", path, warning)
    return fit


def _count_block(path: Path, block: Block, outside: Outside | None, bins: Bins, steps: Bins) -> dict[str, str]:
    """Encoded histograms of one block: grey values by phase, and differences of grey values within a phase."""
    grey, _ = read_block(path, block.outer, outside, keep_shading=False)
    phases = read_box(path, block.outer, LABEL)
    masks = {"noise": (phases == Phase.ACTIVE) & uniform_voxels(phases, 5), "noise_all": phases != Phase.OUTSIDE}
    counts: dict[str, Counts] = {
        name: sharpness.difference_counts(grey, mask, block.inner, steps) for name, mask in masks.items()
    }
    counts["levels"] = phase_counts(grey, phases, block.inner, bins)
    return {name: encode(value) for name, value in counts.items()}


def _middles(levels: PhaseLevels) -> tuple[float, ...]:
    """Middles between neighbouring grey levels, ascending."""
    known = sorted(value for value in vars(levels).values() if value is not None)
    return tuple((a + b) / 2 for a, b in itertools.pairwise(known))


def _blur(plan: PhasesPlan, bins: Bins, levels: PhaseLevels) -> float | None:
    """Blur of the edges between dark phases and active material; None where one of them is missing."""
    dark = levels.pore if levels.pore is not None else levels.cbd
    if dark is None or levels.active is None or levels.active <= dark:
        return None
    edge = Thresholds(active=(dark + levels.active) / 2)
    return find_blur(plan, FirstGuess(bins, edge, dark, levels.active))


def _warnings(levels: PhaseLevels, rendered: bool) -> tuple[str, ...]:
    """What the field does not show."""
    found = []
    if rendered:
        found.append("no grey values were given: columns that need them are missing, and edges are as sharp as voxels")
    if levels.cbd is None:
        found.append("no carbon-binder domain among the given phases: detachment is unknown")
    return tuple(found)
