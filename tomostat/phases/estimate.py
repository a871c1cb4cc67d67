"""Thresholds between the phases and the noise, from exact counts of the volume, or of a sample of a large one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import dask
import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Block, Box
from tomostat.phase import Phase
from tomostat.phases.blur import find_blur, spread_boxes
from tomostat.phases.first_guess import FirstGuess, bright_thresholds
from tomostat.phases.kernels import bodies, sharpness
from tomostat.phases.kernels.counts import Bins, Counts, decode_sum, encode, quantile
from tomostat.phases.kernels.filters import (
    DARK_SMOOTHINGS,
    TRUNCATE,
    Thresholds,
    coarse_phases,
    halo_width,
    smooth_within,
    uniform_mean,
    uniform_voxels,
)
from tomostat.phases.kernels.outside import Outside
from tomostat.phases.kernels.thresholds import (
    LEAST_BRIGHT,
    LEAST_SHARE,
    are_distinct,
    centred,
    multi_otsu,
    noise_of_differences,
)
from tomostat.phases.options import PhasesOptions
from tomostat.phases.plan import DIFFERENCE_BINS, LEAST_PAIRS, PERCENTILES, PhasesPlan, read_block
from tomostat.volume import VolumeInfo

WINDOW = 256
"""Most voxels along a side of a slice in which bodies are looked for."""
NO_ACTIVE = (
    "no active material: the brighter of two grey levels is a web or a skin, not particles, and is taken for "
    "carbon-binder; give thresholds if it is active material"
)
"""Warning where there is nothing to find particles in."""
EDGE_REACH = 2.5
"""Standard deviations of the blur beyond which an edge changes no grey value."""
MOST_BLUR = 3.0
"""Blur in voxels from which on the reach of edges grows no further."""


@dataclass(frozen=True)
class Estimate:
    """Result of the histograms.

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
    """Find the thresholds between the phases, the noise and the blur, from histograms of the volume.

    Where no carbon-binder shows below the active material that was guessed, the grey values have two levels only, or
    the brighter of the two is carbon-binder and active material is rare or missing. Carbon-binder is a web or a skin,
    active material makes up compact bodies.

    Parameters
    ----------
    plan
        The volume, options and execution.
    guesses
        From `estimate_shading`.
    """
    first, *rare = guesses
    estimate = _find_thresholds(plan, first)
    found = estimate.thresholds
    if not _seeks_binder(plan.options) or found.active is None or found.cbd is not None or found.collector is not None:
        return estimate
    if_rare = [_find_thresholds(plan, guess) for guess in rare]
    for three_levels in if_rare:
        low, high = three_levels.thresholds.cbd, three_levels.thresholds.active
        if low is not None and not _are_bodies(plan, "bodies-between", low, high):
            return three_levels
    for step, two_levels in zip(("bodies", "bodies-rare"), (estimate, *if_rare), strict=False):
        if two_levels.thresholds.active is not None and _are_bodies(plan, step, two_levels.thresholds.active):
            return two_levels
    thresholds = replace(found, cbd=found.active, active=None)
    return replace(estimate, thresholds=thresholds, blur=None, warnings=(NO_ACTIVE,))


def _seeks_binder(options: PhasesOptions) -> bool:
    """Whether carbon-binder is to be found in the grey values, not given by thresholds."""
    return options.phases == 3 and options.thresholds is None


def _are_bodies(plan: PhasesPlan, step: str, low: float, high: float | None = None) -> bool:
    """Whether grey values from `low` to below `high` make up compact bodies, by slices at fixed places."""
    measure = dask.delayed(_solidity, pure=False)
    nz, ny, nx = plan.info.shape
    slab = min(nz, 2 * math.ceil(TRUNCATE * bodies.SMOOTHING) + 1), min(ny, WINDOW), min(nx, WINDOW)
    boxes = enumerate(spread_boxes(plan.info.shape, slab))
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
    blur = find_blur(plan, guess)
    for factor in DARK_SMOOTHINGS:
        estimate = _thresholds_at(plan, guess, blur, factor)
        found = estimate.thresholds
        if not _seeks_binder(plan.options) or found.active is None or found.cbd is not None:
            break
    return estimate


def _thresholds_at(plan: PhasesPlan, guess: FirstGuess, blur: float | None, dark_smoothing: float) -> Estimate:
    """Thresholds and noise at one smoothing of the dark phases."""
    options = plan.options
    steps = Bins(0.0, guess.bins.high - guess.bins.low, DIFFERENCE_BINS)
    margin = _edge_margin(blur)
    halo = halo_width(options.smoothing, options.collector, dark_smoothing) + max(sharpness.LAG, margin)
    count = dask.delayed(_count_block, pure=False)
    path, outside = plan.path, plan.outside
    found = plan.run(
        guess.step("histogram" if dark_smoothing == DARK_SMOOTHINGS[0] else "histogram-smooth"),
        {
            block.key: count(path, block, outside, options.smoothing, dark_smoothing, guess, steps, margin)
            for block in plan.sample(halo)
        },
    )
    total = {name: decode_sum([part[name] for part in found]) for name in found[0]}
    noise = noise_of_differences(total["noise"] if total["noise"].sum() > LEAST_PAIRS else total["noise_all"], steps)
    warnings: Sequence[str] = ()
    if options.thresholds is None:
        thresholds, warnings = _otsu_thresholds(options, total, guess, steps)
    else:
        thresholds = _given_thresholds(options, plan.info)
    low, high = (quantile(total["flat"], guess.bins, fraction) for fraction in PERCENTILES)
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
    options: PhasesOptions, total: Mapping[str, Counts], guess: FirstGuess, steps: Bins
) -> tuple[Thresholds, list[str]]:
    """Thresholds by multi-Otsu, and warnings of classes that are left out because noise alone could make them."""
    warnings: list[str] = []
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
        return Thresholds(), warnings
    thresholds = bright_thresholds(grey, bins, bright)
    if options.phases == 3:
        between = multi_otsu(total["dark"], bins, 2) if np.count_nonzero(total["dark"]) > 1 else None
        if between is not None and _has_binder(total, bins, between, steps):
            return replace(thresholds, cbd=float(between[0])), warnings
        warnings.append(
            "no carbon-binder domain: its grey level cannot be distinguished from that of pores; "
            "give thresholds to set it"
        )
    return thresholds, warnings


def _has_binder(total: Mapping[str, Counts], bins: Bins, threshold: NDArray[np.float64], steps: Bins) -> bool:
    """Whether the two dark classes differ by more than noise and the blurred edges of active material.

    Noise is measured in the same smoothed image, in pores and in active material; the smaller value counts, since both
    have some texture of their own. If there are enough voxels far from active material, where no blurred edges are,
    only those are used, with a threshold of their own.
    """
    noise = [
        noise_of_differences(total[name], steps)
        for name in ("dark_noise", "bright_noise")
        if total[name].sum() > LEAST_PAIRS
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
