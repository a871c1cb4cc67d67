"""Estimates from the whole volume, one pass of exact counts each: grey range, shading, blur, thresholds and noise."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import dask
import numpy as np
from dask.delayed import Delayed
from numpy.typing import NDArray

from tomostat.blocks import Block, Box, Shape
from tomostat.kernels.smoothing import smooth
from tomostat.phase import Phase
from tomostat.phases.kernels import bodies, shading, sharpness
from tomostat.phases.kernels.counts import Bins, Counts, decode, decode_sum, encode, quantile
from tomostat.phases.kernels.filters import (
    DARK_SMOOTHINGS,
    TRUNCATE,
    Thresholds,
    coarse_phases,
    halo_width,
    smooth_within,
    smoothing_halo,
    uniform_mean,
    uniform_voxels,
)
from tomostat.phases.kernels.outside import Outside
from tomostat.phases.kernels.thresholds import (
    LEAST_BRIGHT,
    LEAST_SHARE,
    are_distinct,
    brighter_class,
    centred,
    class_means,
    multi_otsu,
    noise_of_differences,
)
from tomostat.phases.options import PhasesOptions
from tomostat.phases.plan import PhasesPlan, read_block
from tomostat.volume import VolumeInfo, read_box, write_shading

MOST_ZOOMS = 4
"""Most passes in which the bins of float grey values are narrowed to the range without outliers."""
PROBES = 3
"""Most probe boxes along each axis in which edges are measured."""
PROBE_VOXELS = 64**3
"""Most voxels of a probe box."""
WINDOW = 256
"""Most voxels along a side of a slice in which bodies are looked for."""
NO_ACTIVE = (
    "no active material: the brighter of two grey levels is a web or a skin, not particles, and is taken for "
    "carbon-binder; give thresholds if it is active material"
)
"""Warning where there is nothing to find particles in."""
LEAST_SHADING = 0.015
"""Shading whose standard deviation is a smaller share of the contrast is not removed: it may be chance."""
EDGE_REACH = 2.5
"""Standard deviations of the blur beyond which an edge changes no grey value."""
MOST_BLUR = 3.0
"""Blur in voxels from which on the reach of edges grows no further."""


def find_grey_range(plan: PhasesPlan) -> tuple[float, float]:
    """Find the range of grey values in the field of view, without outliers.

    Raises
    ------
    ValueError
        When all grey values in the field of view are equal.
    """
    if plan.info.dtype.kind == "u":
        top = np.iinfo(plan.info.dtype).max
        bins = Bins(-0.5, top + 0.5, top + 1)
    else:
        low, high = plan.info.grey_range or _extremes_of_volume(plan)
        bins = Bins(low, high, 2**16)
    count = dask.delayed(_grey_counts, pure=False)
    for zoom in range(MOST_ZOOMS):
        tasks = {block.key: count(plan.path, block.core, plan.outside, bins) for block in plan.blocks(0)}
        counts = decode_sum(plan.run(f"grey-{zoom}", tasks))
        if np.count_nonzero(counts) < 2:
            raise ValueError(
                f"{plan.path} has the same grey value in all of its field of view; phases cannot be distinguished"
            )
        low, high = quantile(counts, bins, 1e-4), quantile(counts, bins, 1 - 1e-4)
        if plan.info.dtype.kind == "u" or high - low > 256 * bins.width:
            break
        bins = Bins(low - bins.width, high + bins.width, 2**16)  # a few hot voxels made the bins too wide
    margin = 0.05 * (high - low) + bins.width
    return low - margin, high + margin


def _extremes_of_volume(plan: PhasesPlan) -> tuple[float, float]:
    """Smallest and largest grey value of the volume."""
    find = dask.delayed(_extremes, pure=False)
    found = np.array(plan.run("range", {block.key: find(plan.path, block.core) for block in plan.blocks(0)}))
    return float(found[:, 0].min()), float(found[:, 1].max())


def _extremes(path: Path, box: Box) -> list[float]:
    """Smallest and largest grey value of a box."""
    grey = read_box(path, box)
    return [float(grey.min()), float(grey.max())]


def _grey_counts(path: Path, box: Box, outside: Outside | None, bins: Bins) -> str:
    """Encoded histogram of the grey values of a box that lie in the field of view."""
    grey, in_field = read_block(path, box, outside, keep_shading=True)
    return encode(bins.count(grey, in_field))


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


def remove_shading(plan: PhasesPlan, grey_range: tuple[float, float]) -> tuple[list[FirstGuess], float]:
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
    return FirstGuess(flat_bins, _bright_thresholds(counts, bins, thresholds), float(means[0]), float(means[-1]))


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


def _bright_thresholds(counts: Counts, bins: Bins, thresholds: NDArray[np.float64]) -> Thresholds:
    """Thresholds below collector (where there are two) and active material."""
    means, _ = class_means(counts, bins, thresholds)
    collector = float(thresholds[0]) if len(thresholds) == 2 else None
    return Thresholds(collector=collector, active=float(thresholds[-1]), edge=float(means[0] + means[-1]) / 2)


def find_blur(plan: PhasesPlan, guess: FirstGuess) -> float | None:
    """Find the Gaussian sigma of the edges of active material in voxels; None where there are too few edges.

    Edges are measured in probe boxes whose places depend on the shape of the volume alone.
    """
    probe = dask.delayed(_edge_probe, pure=False)
    boxes = enumerate(_probes(plan.info.shape))
    parts = plan.run(
        guess.step("edges"),
        {f"{i:03d}": probe(plan.path, box, plan.outside, guess, plan.options) for i, box in boxes},
    )
    number, total = (np.sum([part[i] for part in parts], axis=0) for i in range(2))
    return sharpness.fit_blur(number, total)


def _probes(shape: Shape) -> list[Box]:
    """Boxes of up to `PROBE_VOXELS` voxels, spread evenly over the volume; they depend on its shape alone."""
    depth = min(shape[0], round(PROBE_VOXELS ** (1 / 3)))
    side = math.isqrt(PROBE_VOXELS // depth)
    return _spread(shape, (depth, min(shape[1], side), min(shape[2], side)))


def _spread(shape: Shape, size: Shape) -> list[Box]:
    """Boxes of one size spread evenly over a volume, at most `PROBES` along each axis."""
    counts = [min(PROBES, math.ceil(n / s)) for n, s in zip(shape, size, strict=True)]
    places = [np.linspace(0, n - s, c).round().astype(int) for n, s, c in zip(shape, size, counts, strict=True)]
    return [
        tuple(slice(int(a), int(a) + s) for a, s in zip(corner, size, strict=True))  # type: ignore[misc]
        for corner in itertools.product(*places)
    ]


def _edge_probe(
    path: Path, box: Box, outside: Outside | None, guess: FirstGuess, options: PhasesOptions
) -> tuple[list[int], list[list[int]]]:
    """Numbers and sums of the edge profiles in a probe box, by group."""
    grey, in_field = read_block(path, box, outside, keep_shading=False)
    smoothed = smooth(grey, options.smoothing, math.ceil(sharpness.WIDE * options.smoothing))
    phases = np.where(smoothed >= (guess.thresholds.active or np.inf), Phase.ACTIVE, Phase.PORE).astype(np.uint8)
    if in_field is not None:
        phases[~in_field] = Phase.OUTSIDE
    number, total = sharpness.edge_profiles(grey, phases, guess.dark, guess.active)
    return number.tolist(), total.tolist()


@dataclass(frozen=True)
class Estimate:
    """Result of the histograms of the whole volume.

    Attributes
    ----------
    thresholds
        Grey values between phases.
    bins
        Intervals of grey values without shading.
    percentiles, noise, blur, warnings
        As in `tomostat.phase.PhaseFit`.
    """

    thresholds: Thresholds
    bins: Bins
    percentiles: tuple[float, float]
    noise: float
    blur: float | None
    warnings: tuple[str, ...]


def find_phases(plan: PhasesPlan, guesses: Sequence[FirstGuess]) -> Estimate:
    """Find the thresholds between the phases, the noise and the blur, from histograms of the whole volume.

    Where no carbon-binder shows below the active material that was guessed, the grey values have two levels only, or
    the brighter of the two is carbon-binder and active material is rare or missing. Carbon-binder is a web or a skin,
    active material makes up compact bodies.

    Parameters
    ----------
    plan
        The volume, options and execution.
    guesses
        From `remove_shading`.
    """
    first, *rare = guesses
    estimate = _find_thresholds(plan, first)
    found = estimate.thresholds
    wanted = plan.options.phases == 3 and plan.options.thresholds is None
    if not wanted or found.active is None or found.cbd is not None or found.collector is not None:
        return estimate
    others = [_find_thresholds(plan, guess) for guess in rare]
    for other in others:
        low, high = other.thresholds.cbd, other.thresholds.active
        if low is not None and not _are_bodies(plan, "bodies-between", low, high):
            return other
    for step, other in zip(("bodies", "bodies-rare"), (estimate, *others), strict=False):
        if other.thresholds.active is not None and _are_bodies(plan, step, other.thresholds.active):
            return other
    thresholds = replace(found, cbd=found.active, active=None)
    return replace(estimate, thresholds=thresholds, blur=None, warnings=(NO_ACTIVE,))


def _are_bodies(plan: PhasesPlan, step: str, low: float, high: float | None = None) -> bool:
    """Whether grey values from `low` to below `high` make up compact bodies, by slices at fixed places."""
    measure = dask.delayed(_solidity, pure=False)
    nz, ny, nx = plan.info.shape
    slab = min(nz, 2 * math.ceil(TRUNCATE * bodies.SMOOTHING) + 1), min(ny, WINDOW), min(nx, WINDOW)
    boxes = enumerate(_spread(plan.info.shape, slab))
    tasks = {f"{i:03d}": measure(plan.path, box, plan.outside, low, high) for i, box in boxes}
    total, area = np.sum(plan.run(step, tasks), axis=0)
    return bool(total >= bodies.MIN_SOLIDITY * area)


def _solidity(path: Path, box: Box, outside: Outside | None, low: float, high: float | None) -> tuple[float, int]:
    """Solidity of what lies between two grey values in the middle slice of a box, summed by area."""
    grey, in_field = read_block(path, box, outside, keep_shading=False)
    middle = len(grey) // 2
    smoothed = smooth_within(grey, in_field, bodies.SMOOTHING)[middle]
    mask = (smoothed >= np.float32(low)) & (smoothed < np.float32(np.inf if high is None else high))
    return bodies.solidity_sum(mask if in_field is None else mask & in_field[middle])


def _find_thresholds(plan: PhasesPlan, guess: FirstGuess) -> Estimate:
    """Thresholds, noise and blur that follow from a first guess.

    Where pore and carbon-binder cannot be distinguished, they are tried again with more smoothing.
    """
    options, blur = plan.options, find_blur(plan, guess)
    wanted = options.phases == 3 and options.thresholds is None
    for factor in DARK_SMOOTHINGS:
        estimate = _thresholds_at(plan, guess, blur, factor)
        if not wanted or estimate.thresholds.active is None or estimate.thresholds.cbd is not None:
            break
    return estimate


def _thresholds_at(plan: PhasesPlan, guess: FirstGuess, blur: float | None, dark_smoothing: float) -> Estimate:
    """Thresholds and noise at one smoothing of the dark phases."""
    options = plan.options
    steps = Bins(0.0, guess.bins.high - guess.bins.low, 4096)
    margin = _edge_margin(blur)
    halo = halo_width(options.smoothing, options.collector, dark_smoothing) + max(sharpness.LAG, margin)
    count = dask.delayed(_count_block, pure=False)
    path, outside = plan.path, plan.outside
    found = plan.run(
        guess.step("histogram" if dark_smoothing == DARK_SMOOTHINGS[0] else "histogram-smooth"),
        {
            block.key: count(path, block, outside, options.smoothing, dark_smoothing, guess, steps, margin)
            for block in plan.blocks(halo)
        },
    )
    total = {name: decode_sum([part[name] for part in found]) for name in found[0]}
    warnings: list[str] = []
    noise = noise_of_differences(total["noise"] if total["noise"].sum() > 1000 else total["noise_all"], steps)
    if options.thresholds is None:
        thresholds = _otsu_thresholds(options, total, guess, steps, warnings)
    else:
        thresholds = _given_thresholds(options, plan.info)
    low, high = (quantile(total["flat"], guess.bins, fraction) for fraction in (0.005, 0.995))
    thresholds = replace(thresholds, dark_smoothing=dark_smoothing)
    return Estimate(
        thresholds, guess.bins, (low, high), noise, None if thresholds.active is None else blur, tuple(warnings)
    )


def widest_halo(options: PhasesOptions) -> int:
    """Widest halo in voxels with which a task of the stage reads its block, whatever the blur."""
    return halo_width(options.smoothing, options.collector) + max(sharpness.LAG, _edge_margin(MOST_BLUR))


def _edge_margin(blur: float | None) -> int:
    """Distance from an edge in voxels beyond which it changes no grey value."""
    return math.ceil(EDGE_REACH * min(max(blur or 1.5, 0.5), MOST_BLUR))


def _otsu_thresholds(
    options: PhasesOptions, total: Mapping[str, Counts], guess: FirstGuess, steps: Bins, warnings: list[str]
) -> Thresholds:
    """Thresholds by multi-Otsu; a class that noise alone could make is left out, with a warning."""
    bins, least_share = guess.bins, LEAST_BRIGHT if guess.rare else LEAST_SHARE
    enough = total["uniform"].sum() > 0.1 * total["smooth"].sum()
    grey = total["uniform"] if enough else total["smooth"]
    noise = noise_of_differences(total["smooth_noise"], steps)
    # from the guess on: where particles are few, the best two classes of all are pore and carbon-binder
    bright = centred(grey, bins, np.array([guess.thresholds.active]))
    if options.collector:
        three = multi_otsu(grey, bins, 3)
        if are_distinct(grey, bins, three, noise):
            bright = three
        else:
            warnings.append("no current collector: its grey level cannot be distinguished from the others")
    if not are_distinct(grey, bins, bright, noise, least_share):
        warnings.append("one phase only: dark and bright grey values differ by no more than noise; all voxels are pore")
        return Thresholds()
    thresholds = _bright_thresholds(grey, bins, bright)
    if options.phases == 3:
        between = multi_otsu(total["dark"], bins, 2) if np.count_nonzero(total["dark"]) > 1 else None
        if between is not None and _has_binder(total, bins, between, steps):
            return replace(thresholds, cbd=float(between[0]))
        warnings.append(
            "no carbon-binder domain: its grey level cannot be distinguished from that of pores; "
            "give thresholds to set it"
        )
    return thresholds


def _has_binder(total: Mapping[str, Counts], bins: Bins, threshold: NDArray[np.float64], steps: Bins) -> bool:
    """Whether the two dark classes differ by more than noise and the blurred edges of active material.

    Noise is measured in the same smoothed image, in pores and in active material; the smaller value counts, since both
    have some texture of their own. If there are enough voxels far from active material, where no blurred edges are,
    only those are used, with a threshold of their own.
    """
    noise = [
        noise_of_differences(total[name], steps) for name in ("dark_noise", "bright_noise") if total[name].sum() > 1000
    ]
    far = total["far"] if total["far"].sum() > 0.05 * total["dark"].sum() else total["dark"]
    split = multi_otsu(far, bins, 2) if np.count_nonzero(far) > 1 else threshold
    return bool(noise) and are_distinct(far, bins, split, min(noise))


def _given_thresholds(options: PhasesOptions, info: VolumeInfo) -> Thresholds:
    """Thresholds that the options give in grey values of the file."""
    values = sorted(map(info.grey_of_file, options.thresholds or ()))
    active = values.pop()
    collector = values.pop() if options.collector else None
    edge = None if collector is None else (collector + active) / 2
    return Thresholds(cbd=values.pop() if values else None, collector=collector, active=active, edge=edge)


def _count_block(
    path: Path,
    block: Block,
    outside: Outside | None,
    smoothing: float,
    dark_smoothing: float,
    guess: FirstGuess,
    steps: Bins,
    margin: int,
) -> dict[str, str]:
    """Encoded histograms of one block that thresholds and noise are found from."""
    grey, in_field = read_block(path, block.outer, outside, keep_shading=False)
    smoothed = smooth_within(grey, in_field, smoothing)
    phases = coarse_phases(smoothed, in_field, guess.thresholds)
    dark, _, uniform_dark = uniform_mean(grey, phases, Phase.PORE, smoothing * dark_smoothing)
    bright, _, uniform_bright = uniform_mean(grey, phases, Phase.ACTIVE, smoothing * dark_smoothing)
    inner, in_view = block.inner, phases != Phase.OUTSIDE
    pairs = {
        "noise": (grey, uniform_bright),
        "noise_all": (grey, in_view),
        "smooth_noise": (smoothed, in_view),
        "dark_noise": (dark, uniform_dark),
        "bright_noise": (bright, uniform_bright),
    }
    counts = {name: sharpness.difference_counts(values, mask, inner, steps) for name, (values, mask) in pairs.items()}
    near, far = uniform_voxels(phases, 5)[inner], uniform_voxels(phases, 2 * margin + 1)[inner]
    pore = phases[inner] == Phase.PORE
    chosen = {
        "flat": (grey, in_view[inner]),
        "smooth": (smoothed, in_view[inner]),
        "uniform": (smoothed, near & in_view[inner]),
        "dark": (dark, near & pore),
        "far": (dark, far & pore),
    }
    counts |= {name: guess.bins.count(values[inner], mask) for name, (values, mask) in chosen.items()}
    return {name: encode(value) for name, value in counts.items()}
