"""Questions to the whole volume, each one pass of exact counts: span, shading, blur, cuts and noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import dask
import numpy as np
from dask.delayed import Delayed
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.blocks import Block, Box, Shape
from tomostat.phase import Phase
from tomostat.phases.context import Context, read_block
from tomostat.phases.kernels import shading, sharpness
from tomostat.phases.kernels.counts import Bins, Counts, pack, quantile, unpack, unpack_sum
from tomostat.phases.kernels.filters import Cuts, coarse_phases, reach, smooth_within, uniform, uniform_mean
from tomostat.phases.kernels.outside import Outside
from tomostat.phases.kernels.thresholds import class_means, is_real, multi_otsu, spread_of
from tomostat.phases.options import PhasesOptions
from tomostat.volume import read_box, write_shading

MOST_ZOOMS = 4
"""Passes in which the bins of float grey values close in on what is no outlier."""
PROBES = 3
"""Probes along each axis in which edges are measured."""
PROBE_VOXELS = 64**3
FLAT_ENOUGH = 0.015
"""Shading whose standard deviation is below this share of the contrast is left as it is: it may be chance."""
EDGE_REACH = 2.5
"""Standard deviations of the blur beyond which an edge changes no grey value."""


def find_span(context: Context) -> tuple[float, float]:
    """Grey values between which all but outliers of the field of view lie."""
    if context.info.dtype.kind == "u":
        top = np.iinfo(context.info.dtype).max
        bins = Bins(-0.5, top + 0.5, top + 1)
    else:
        low, high = context.info.range or _range(context)
        bins = Bins(low, high, 2**16)
    count = dask.delayed(_grey_counts, pure=False)
    for zoom in range(MOST_ZOOMS):
        tasks = {block.key: count(context.path, block.core, context.outside, bins) for block in context.blocks(0)}
        counts = unpack_sum(context.run(f"grey-{zoom}", tasks))
        if np.count_nonzero(counts) < 2:
            raise ValueError(
                f"{context.path} has the same grey value in all of its field of view; nothing can be told apart"
            )
        low, high = quantile(counts, bins, 1e-4), quantile(counts, bins, 1 - 1e-4)
        if context.info.dtype.kind == "u" or high - low > 256 * bins.width:
            break
        bins = Bins(low - bins.width, high + bins.width, 2**16)  # a few hot voxels made the bins too wide
    margin = 0.05 * (high - low) + bins.width
    return low - margin, high + margin


def _range(context: Context) -> tuple[float, float]:
    find = dask.delayed(_extremes, pure=False)
    found = np.array(context.run("range", {block.key: find(context.path, block.core) for block in context.blocks(0)}))
    return float(found[:, 0].min()), float(found[:, 1].max())


def _extremes(path: Path, box: Box) -> list[float]:
    grey = read_box(path, box)
    return [float(grey.min()), float(grey.max())]


def _grey_counts(path: Path, box: Box, outside: Outside | None, bins: Bins) -> str:
    grey, inside = read_block(path, box, outside, shading=True)
    return pack(bins.count(grey if inside is None else grey[inside]))


@dataclass(frozen=True)
class FirstGuess:
    """First guess: bins for flat grey values, cuts between dark, collector and active, mean grey of dark and active."""

    bins: Bins
    cuts: Cuts
    dark: float
    active: float


def remove_shading(context: Context, span: tuple[float, float]) -> tuple[FirstGuess, float]:
    """Estimate and store the shading; guess cuts without it, and its standard deviation."""
    info, options = context.info, context.options
    bins, classes = Bins(*span, 256), 3 if options.collector else 2
    cells = shading.cell_numbers(info.shape, info.spacing, options.shading_scale) if options.shading else (1, 1, 1)
    counts = np.zeros((*cells, bins.number), np.int64)
    tasks = {
        block.key: _cell_task(context, block, cells, bins) for block in context.blocks(reach(options.smoothing, False))
    }
    for start, shape, text in context.run("shading", tasks):
        part = unpack(text, (*shape, bins.number))
        counts[tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))] += part
    field = shading.fit_shading(counts, bins, classes)
    means, _ = class_means(field.counts, bins, multi_otsu(field.counts, bins, classes))
    mass = counts.sum(axis=-1)
    spread = math.sqrt(float(np.average(field.cells**2, weights=mass)))
    if spread < FLAT_ENOUGH * (means[-1] - means[0]):
        field, spread = shading.Field(np.zeros(cells), counts.sum(axis=(0, 1, 2))), 0.0
    write_shading(context.path, shading.field_grid(field.cells, info.shape) if spread else None)
    cuts = multi_otsu(field.counts, bins, classes)
    means, _ = class_means(field.counts, bins, cuts)
    low, high = float(field.cells[mass > 0].min()), float(field.cells[mass > 0].max())
    wide = Bins(span[0] - high, span[1] - low, 1024)
    return FirstGuess(wide, _bright_cuts(field.counts, bins, cuts), float(means[0]), float(means[-1])), spread


def _cell_task(context: Context, block: Block, cells: Shape, bins: Bins) -> Delayed:
    count = dask.delayed(_count_cells, pure=False)
    return count(context.path, block, context.outside, context.options.smoothing, context.info.shape, cells, bins)


def _count_cells(
    path: Path, block: Block, outside: Outside | None, smoothing: float, shape: Shape, cells: Shape, bins: Bins
) -> tuple[list[int], list[int], str]:
    """Histograms of the cells that a block touches: first cell, number of cells, packed counts."""
    grey, inside = read_block(path, block.outer, outside, shading=True)
    smoothed, _ = smooth_within(grey, inside, smoothing)
    mask = None if inside is None else inside[block.inner]
    first, counts = shading.cell_counts(smoothed[block.inner], mask, block.core, shape, cells, bins)
    return list(first), list(counts.shape[:3]), pack(counts)


def _bright_cuts(counts: Counts, bins: Bins, cuts: NDArray[np.float64]) -> Cuts:
    """Cuts below collector (where there are two) and active material."""
    means, _ = class_means(counts, bins, cuts)
    collector = float(cuts[0]) if len(cuts) == 2 else None
    return Cuts(collector=collector, active=float(cuts[-1]), edge=float(means[0] + means[-1]) / 2)


def find_blur(context: Context, guess: FirstGuess) -> float | None:
    """Sigma of the edges of active material, from probes at fixed places; None where there are too few."""
    look = dask.delayed(_edge_probe, pure=False)
    boxes = enumerate(_probes(context.info.shape))
    parts = context.run(
        "edges", {f"{i:03d}": look(context.path, box, context.outside, guess, context.options) for i, box in boxes}
    )
    profile = np.sum([total for _, total in parts], axis=0)
    return sharpness.fit_blur(sum(number for number, _ in parts), profile)


def _probes(shape: Shape) -> list[Box]:
    """Boxes of up to `PROBE_VOXELS` voxels, spread evenly over the volume; they depend on its shape alone."""
    depth = min(shape[0], round(PROBE_VOXELS ** (1 / 3)))
    side = math.isqrt(PROBE_VOXELS // depth)
    size = depth, min(shape[1], side), min(shape[2], side)
    counts = [min(PROBES, math.ceil(n / s)) for n, s in zip(shape, size, strict=True)]
    places = [np.linspace(0, n - s, c).round().astype(int) for n, s, c in zip(shape, size, counts, strict=True)]
    boxes: list[Box] = []
    for z in places[0]:
        for y in places[1]:
            boxes += [tuple(slice(int(a), int(a) + s) for a, s in zip((z, y, x), size, strict=True)) for x in places[2]]  # type: ignore[misc]
    return boxes


def _edge_probe(
    path: Path, box: Box, outside: Outside | None, guess: FirstGuess, options: PhasesOptions
) -> tuple[int, list[int]]:
    grey, inside = read_block(path, box, outside, shading=False)
    smoothed = ndimage.gaussian_filter(grey, [options.smoothing if n > 1 else 0.0 for n in grey.shape])
    kinds = np.where(smoothed >= (guess.cuts.active or np.inf), Phase.ACTIVE, Phase.PORE).astype(np.uint8)
    if inside is not None:
        kinds[~inside] = Phase.OUTSIDE
    number, total = sharpness.edge_profiles(grey, kinds, guess.dark, guess.active)
    return number, total.tolist()


@dataclass(frozen=True)
class Estimate:
    """What the histograms of the whole volume tell.

    Attributes
    ----------
    cuts
        Grey values between phases.
    bins
        Grey intervals without shading.
    percentiles, noise, warnings
        As in `tomostat.phase.PhaseFit`.
    """

    cuts: Cuts
    bins: Bins
    percentiles: tuple[float, float]
    noise: float
    warnings: tuple[str, ...]


def find_cuts(context: Context, guess: FirstGuess, blur: float | None) -> Estimate:
    """Cuts between the phases, and noise, from whole-volume histograms."""
    steps = Bins(0.0, guess.bins.high - guess.bins.low, 4096)
    margin = math.ceil(EDGE_REACH * min(max(blur or 1.5, 0.5), 3.0))
    halo = reach(context.options.smoothing, context.options.collector) + max(sharpness.LAG, margin)
    tasks = {block.key: _count_task(context, block, guess, steps, margin) for block in context.blocks(halo)}
    found = context.run("histogram", tasks)
    total = {name: unpack_sum([part[name] for part in found]) for name in found[0]}
    warnings: list[str] = []
    noise = spread_of(total["noise"] if total["noise"].sum() > 1000 else total["noise_all"], steps)
    if context.options.thresholds is None:
        cuts = _otsu_cuts(context.options, total, guess.bins, steps, warnings)
    else:
        cuts = _given_cuts(context.options)
    low, high = (quantile(total["flat"], guess.bins, fraction) for fraction in (0.005, 0.995))
    return Estimate(cuts, guess.bins, (low, high), noise, tuple(warnings))


def _otsu_cuts(
    options: PhasesOptions, total: Mapping[str, Counts], bins: Bins, steps: Bins, warnings: list[str]
) -> Cuts:
    """Multi-Otsu, each class checked against the noise."""
    enough = total["uniform"].sum() > 0.1 * total["smooth"].sum()
    grey = total["uniform"] if enough else total["smooth"]
    noise = spread_of(total["smooth_noise"], steps)
    bright = multi_otsu(grey, bins, 2)
    if options.collector:
        three = multi_otsu(grey, bins, 3)
        if is_real(grey, bins, three, noise):
            bright = three
        else:
            warnings.append("no current collector: its grey level cannot be told from the others")
    if not is_real(grey, bins, bright, noise):
        warnings.append("one phase only: the grey values do not part into dark and bright beyond noise; all is pore")
        return Cuts()
    cuts = _bright_cuts(grey, bins, bright)
    if options.phases == 3:
        between = multi_otsu(total["dark"], bins, 2) if np.count_nonzero(total["dark"]) > 1 else None
        if between is not None and _is_binder(total, bins, between, steps):
            return replace(cuts, cbd=float(between[0]))
        warnings.append(
            "no carbon-binder domain: its grey level cannot be told from the pores'; give thresholds to set it"
        )
    return cuts


def _is_binder(total: Mapping[str, Counts], bins: Bins, cut: NDArray[np.float64], steps: Bins) -> bool:
    """Whether the two dark classes are more than noise, and more than the blurred edges of blurred edges.

    The noise is that of the same smoothing in pores or in active material, where it is less: both have some structure
    of their own. Far from active material there are no blurred edges.
    """
    noise = [spread_of(total[name], steps) for name in ("dark_noise", "bright_noise") if total[name].sum() > 1000]
    far = total["far"] if total["far"].sum() > 0.05 * total["dark"].sum() else total["dark"]
    split = multi_otsu(far, bins, 2) if np.count_nonzero(far) > 1 else cut
    return bool(noise) and is_real(far, bins, split, min(noise))


def _given_cuts(options: PhasesOptions) -> Cuts:
    values = list(options.thresholds or ())
    active = values.pop()
    collector = values.pop() if options.collector else None
    edge = None if collector is None else (collector + active) / 2
    return Cuts(cbd=values.pop() if values else None, collector=collector, active=active, edge=edge)


def _count_task(context: Context, block: Block, guess: FirstGuess, steps: Bins, margin: int) -> Delayed:
    count = dask.delayed(_count_block, pure=False)
    return count(context.path, block, context.outside, context.options.smoothing, guess, steps, margin)


def _count_block(
    path: Path, block: Block, outside: Outside | None, smoothing: float, guess: FirstGuess, steps: Bins, margin: int
) -> dict[str, str]:
    """Packed histograms of one block that cuts and noise are found from."""
    grey, inside = read_block(path, block.outer, outside, shading=False)
    smoothed, _ = smooth_within(grey, inside, smoothing)
    phases = coarse_phases(smoothed, inside, guess.cuts)
    dark, _, plain_dark = uniform_mean(grey, phases, Phase.PORE, smoothing)
    bright, _, plain_bright = uniform_mean(grey, phases, Phase.ACTIVE, smoothing)
    inner, seen = block.inner, phases != Phase.OUTSIDE
    pairs = {
        "noise": (grey, plain_bright),
        "noise_all": (grey, seen),
        "smooth_noise": (smoothed, seen),
        "dark_noise": (dark, plain_dark),
        "bright_noise": (bright, plain_bright),
    }
    counts = {name: sharpness.lag_counts(values, mask, inner, steps) for name, (values, mask) in pairs.items()}
    near, far = uniform(phases, 5)[inner], uniform(phases, 2 * margin + 1)[inner]
    pore = phases[inner] == Phase.PORE
    chosen = {
        "flat": (grey, seen[inner]),
        "smooth": (smoothed, seen[inner]),
        "uniform": (smoothed, near & seen[inner]),
        "dark": (dark, near & pore),
        "far": (dark, far & pore),
    }
    counts |= {name: guess.bins.count(values[inner][mask]) for name, (values, mask) in chosen.items()}
    return {name: pack(value) for name, value in counts.items()}
