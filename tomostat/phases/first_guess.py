"""Shading of the volume, and a first guess of the thresholds without it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import dask
import numpy as np
from dask.delayed import Delayed
from numpy.typing import NDArray

from tomostat.blocks import Block, Shape
from tomostat.phases.kernels import shading
from tomostat.phases.kernels.counts import Bins, Counts, decode, encode
from tomostat.phases.kernels.filters import (
    Thresholds,
    smooth_within,
    smoothing_halo,
)
from tomostat.phases.kernels.outside import Outside
from tomostat.phases.kernels.thresholds import (
    brighter_class,
    class_means,
    multi_otsu,
)
from tomostat.phases.plan import PhasesPlan, read_block
from tomostat.volume import write_shading

LEAST_SHADING = 0.015
"""Shading whose standard deviation is a smaller share of the contrast is not removed: it may be chance."""


@dataclass(frozen=True)
class FirstGuess:
    """First guess of the thresholds, before the blur is known.

    Attributes
    ----------
    bins
        Intervals of grey values without shading.
    thresholds
        Between dark phases, collector and active material.
    dark, active
        Mean grey values of the dark phases and of active material.
    rare
        Whether active material is the third class above the two that multi-Otsu finds.
    """

    bins: Bins
    thresholds: Thresholds
    dark: float
    active: float
    rare: bool = False

    def step(self, name: str) -> str:
        """Name of a step that begins with this guess."""
        return f"{name}-rare" if self.rare else name


def estimate_shading(plan: PhasesPlan, grey_range: tuple[float, float]) -> tuple[list[FirstGuess], float]:
    """Estimate the shading and store it with the volume.

    Parameters
    ----------
    plan
        The volume, options and execution.
    grey_range
        From `find_grey_range`.

    Returns
    -------
    list of FirstGuess
        Thresholds of the grey values without shading, the most likely first.
    float
        Standard deviation of the shading in grey values.
    """
    info, options = plan.info, plan.options
    bins, classes = Bins(*grey_range, 256), 3 if options.collector else 2
    cells = shading.cell_numbers(info.shape, info.spacing, options.shading_scale) if options.shading else (1, 1, 1)
    counts = _sum_cells(plan, cells, bins)
    mass = counts.sum(axis=-1)
    fit = shading.fit_shading(counts, bins, classes)
    means, _ = class_means(fit.counts, bins, multi_otsu(fit.counts, bins, classes))
    spread = math.sqrt(float(np.average(fit.cells**2, weights=mass)))
    if spread < LEAST_SHADING * (means[-1] - means[0]):
        fit, spread = shading.ShadingFit(np.zeros(cells), counts.sum(axis=(0, 1, 2))), 0.0
    write_shading(plan.path, shading.shading_grid(fit.cells, info.shape) if spread else None)
    low, high = float(fit.cells[mass > 0].min()), float(fit.cells[mass > 0].max())
    flat_bins = Bins(grey_range[0] - high, grey_range[1] - low, 1024)
    return _first_guesses(fit.counts, bins, classes, flat_bins), spread


def _sum_cells(plan: PhasesPlan, cells: Shape, bins: Bins) -> Counts:
    """Histograms (cz, cy, cx, bins) of the smoothed grey values of all cells."""
    counts = np.zeros((*cells, bins.number), np.int64)
    halo = smoothing_halo(plan.options.smoothing)
    tasks = {block.key: _cell_task(plan, block, cells, bins) for block in plan.blocks(halo)}
    for start, shape, text in plan.run("shading", tasks):
        part = decode(text, (*shape, bins.number))
        counts[tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))] += part
    return counts


def _first_guesses(counts: Counts, bins: Bins, classes: int, flat_bins: Bins) -> list[FirstGuess]:
    """Thresholds by multi-Otsu of the histogram of the whole volume without its shading.

    A second guess takes active material for a rare class above two others.
    """
    guesses = [_first_guess(counts, bins, multi_otsu(counts, bins, classes), flat_bins)]
    active = guesses[0].thresholds.active
    above = brighter_class(counts, bins, active) if classes == 2 and active is not None else None
    if above is not None:
        guesses.append(replace(_first_guess(counts, bins, np.array([above]), flat_bins), rare=True))
    return guesses


def _first_guess(counts: Counts, bins: Bins, thresholds: NDArray[np.float64], flat_bins: Bins) -> FirstGuess:
    """Phases between thresholds of a histogram."""
    means, _ = class_means(counts, bins, thresholds)
    return FirstGuess(flat_bins, bright_thresholds(counts, bins, thresholds), float(means[0]), float(means[-1]))


def _cell_task(plan: PhasesPlan, block: Block, cells: Shape, bins: Bins) -> Delayed:
    count = dask.delayed(_count_cells, pure=False)
    return count(plan.path, block, plan.outside, plan.options.smoothing, plan.info.shape, cells, bins)


def _count_cells(
    path: Path, block: Block, outside: Outside | None, smoothing: float, shape: Shape, cells: Shape, bins: Bins
) -> tuple[list[int], list[int], str]:
    """Histograms of the cells that a block overlaps: first cell, number of cells, encoded counts."""
    grey, in_field = read_block(path, block.outer, outside, keep_shading=True)
    smoothed = smooth_within(grey, in_field, smoothing)
    mask = None if in_field is None else in_field[block.inner]
    first, counts = shading.cell_counts(smoothed[block.inner], mask, block.core, shape, cells, bins)
    return list(first), list(counts.shape[:3]), encode(counts)


def bright_thresholds(counts: Counts, bins: Bins, thresholds: NDArray[np.float64]) -> Thresholds:
    """Thresholds below collector (where there are two) and active material."""
    means, _ = class_means(counts, bins, thresholds)
    collector = float(thresholds[0]) if len(thresholds) == 2 else None
    return Thresholds(collector=collector, active=float(thresholds[-1]), edge=float(means[0] + means[-1]) / 2)
