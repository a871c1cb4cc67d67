"""The phases stage: lazy blocks for each question, answered one after the other."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
from dask.delayed import Delayed
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.blocks import Block, Shape, check_memory, check_whole_shards
from tomostat.options import PhasesOptions, as_dict
from tomostat.phases import outside
from tomostat.phases.counts import Bins, Counts, pack, quantile, unpack_sum
from tomostat.phases.estimate import find_blur, find_cuts, find_span, remove_shading
from tomostat.phases.filters import Cuts, classify, reach
from tomostat.phases.job import Job, lazy
from tomostat.runner import Progress, memory_per_task
from tomostat.volume import (
    Phase,
    create_volume,
    describe,
    pyramid_tasks,
    read_box,
    update_attributes,
    write_box,
)

if TYPE_CHECKING:
    from distributed import Client

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
    markers: Path | None = None,
    client: Client | None = None,
    progress: Progress | None = None,
    block: Shape | None = None,
) -> dict[str, Any]:
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
    markers
        Folder of markers: with it, an interrupted call goes on where it stopped.
    client
        Where to run; threads of this process when not given.
    progress
        Called as blocks are finished.
    block
        Voxels (z, y, x) of a block of work, whole shards; one shard when not given.

    Returns
    -------
    dict
        What is noted with the labels: ``levels`` and ``thresholds`` (grey values without shading), ``percentiles`` 0.5
        and 99.5 of the field of view, ``noise`` (grey standard deviation), ``blur`` (sigma in voxels, None where there
        is no edge), ``circle`` (centre y, x and radius in voxels, None where there is none), ``shares`` (volume
        fractions in the field of view), ``shading`` (standard deviation in grey values), ``warnings``.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such volume, it is constant, blocks split shards, or a worker has too little memory.
    """
    info, options = describe(path), options or PhasesOptions()
    shape = block or info.shards
    check_whole_shards(shape, info.shards, info.shape)
    outer = [
        min(b + 2 * reach(options.smoothing, options.collector), n) for b, n in zip(shape, info.shape, strict=True)
    ]
    check_memory(BYTES_PER_VOXEL * math.prod(outer), memory_per_task(client), "phases")
    job = _find_field(Job(info, options, shape, markers, client, progress))
    span = find_span(job)
    rough, spread = remove_shading(job, span)
    blur = find_blur(job, rough)
    fit = find_cuts(job, rough, blur)
    fit |= {
        "blur": blur,
        "shading": spread,
        "circle": job.outside[1] if job.outside else None,
        "options": as_dict(options),
    }
    _write_labels(job, fit)
    for warning in fit["warnings"]:
        logger.warning("%s: %s", path, warning)
    return describe(path, LABEL).attributes


def _find_field(job: Job) -> Job:
    """Look for a constant outside in some slices."""
    look = dask.delayed(_constant_areas, pure=False)
    chosen = np.unique(np.linspace(0, job.info.shape[0] - 1, SLICES).round().astype(int))
    found = job.run("field", {f"{z:05d}": look(job.path, int(z)) for z in chosen})
    value, circle = outside.choose_outside(found)
    return job if value is None else replace(job, outside=(value, circle))


def _constant_areas(path: Path, z: int) -> list[dict[str, Any]]:
    return outside.constant_areas(read_box(path, (slice(z, z + 1), slice(None), slice(None)))[0])


def _write_labels(job: Job, fit: dict[str, Any]) -> None:
    """Write the labels and their pyramid; note their levels and shares."""
    cuts, bins = fit.pop("cuts"), fit.pop("bins")
    if not job.started("labels"):
        create_volume(job.path, shape=job.info.shape, dtype=np.uint8, spacing=job.info.spacing, label=LABEL)
    halo = reach(job.options.smoothing, job.options.collector) + 2
    parts = job.run("labels", {b.key: _label_task(job, b, cuts, bins) for b in job.blocks(halo)})
    counts = unpack_sum(parts).reshape(3, len(Phase), bins.number)
    levels = {phase.name.lower(): _level(counts[:, phase], bins) for phase in Phase if phase != Phase.OUTSIDE}
    inside = counts[0, : Phase.OUTSIDE].sum(axis=-1)
    shares = {phase.name.lower(): float(inside[phase] / inside.sum()) for phase in Phase if phase != Phase.OUTSIDE}
    update_attributes(job.path, {"levels": levels, "shares": shares, **fit}, LABEL)
    for level, tasks in enumerate(pyramid_tasks(job.path, LABEL), 1):
        job.run(f"level-{level}", tasks)


def _label_task(job: Job, block: Block, cuts: Cuts, bins: Bins) -> Delayed:
    grey, inside = lazy(job, block.outer, flat=True)
    phases = classify(grey, inside, cuts, job.options.smoothing)
    return dask.delayed(_store_labels, pure=False)(job.path, phases, grey, block, bins)


def _store_labels(path: Path, phases: NDArray[np.uint8], grey: NDArray[np.float32], block: Block, bins: Bins) -> str:
    """Write the phases of one block; histograms of each phase: all of it, and where 3 or 5 voxels around are of it."""
    write_box(path, block.start, phases[block.inner], LABEL)
    counts = []
    for size in (1, 3, 5):
        window = [size if n > 1 else 1 for n in phases.shape]
        deep = ndimage.maximum_filter(phases, window) == ndimage.minimum_filter(phases, window)
        chosen, value = phases[block.inner][deep[block.inner]], grey[block.inner][deep[block.inner]]
        key = chosen.astype(np.intp) * bins.number + bins.index(value)
        counts.append(np.bincount(key, minlength=len(Phase) * bins.number))
    return pack(np.array(counts, np.int64))


def _level(counts: Counts, bins: Bins) -> float | None:
    """Median grey value of a phase, as deep inside it as there are voxels enough."""
    if not counts[0].any():
        return None
    deepest = next((c for c in counts[::-1] if c.sum() >= 1000), counts[0])
    return quantile(deepest, bins, 0.5)
