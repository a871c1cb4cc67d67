"""Questions to the whole volume, each one pass of exact counts: span, shading, blur, cuts and noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
from dask.delayed import Delayed
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.blocks import Block, Box, Shape
from tomostat.options import PhasesOptions
from tomostat.phases import shading, sharpness
from tomostat.phases.counts import Bins, Counts, pack, quantile, unpack, unpack_sum
from tomostat.phases.filters import Cuts, calm, calm_mean, kinds_of, reach, smooth_within
from tomostat.phases.job import Job, lazy, load
from tomostat.phases.outside import Outside
from tomostat.phases.thresholds import class_means, is_real, multi_otsu, spread_of
from tomostat.volume import Phase, read_box, write_shading

MOST_ZOOMS = 4
"""Passes in which the bins of float grey values close in on what is no outlier."""
PROBES = 3
"""Probes along each axis in which edges are measured."""
PROBE_VOXELS = 64**3
FLAT_ENOUGH = 0.015
"""Shading whose standard deviation is below this share of the contrast is left as it is: it may be chance."""
SKIRT = 2.5
"""Standard deviations of the blur beyond which an edge is not felt."""


def find_span(job: Job) -> tuple[float, float]:
    """Grey values between which all but outliers of the field of view lie."""
    if job.info.dtype.kind == "u":
        top = np.iinfo(job.info.dtype).max
        bins = Bins(-0.5, top + 0.5, top + 1)
    else:
        low, high = job.info.attributes.get("range") or _range(job)
        bins = Bins(low, high, 2**16)
    count = dask.delayed(_grey_counts, pure=False)
    for zoom in range(MOST_ZOOMS):
        tasks = {block.key: count(job.path, block.core, job.outside, bins) for block in job.blocks(0)}
        counts = unpack_sum(job.run(f"grey-{zoom}", tasks))
        if np.count_nonzero(counts) < 2:
            raise ValueError(
                f"{job.path} has the same grey value in all of its field of view; nothing can be told apart"
            )
        low, high = quantile(counts, bins, 1e-4), quantile(counts, bins, 1 - 1e-4)
        if job.info.dtype.kind == "u" or high - low > 256 * bins.width:
            break
        bins = Bins(low - bins.width, high + bins.width, 2**16)  # a few hot voxels made the bins too wide
    margin = 0.05 * (high - low) + bins.width
    return low - margin, high + margin


def _range(job: Job) -> tuple[float, float]:
    find = dask.delayed(_extremes, pure=False)
    found = np.array(job.run("range", {block.key: find(job.path, block.core) for block in job.blocks(0)}))
    return float(found[:, 0].min()), float(found[:, 1].max())


def _extremes(path: Path, box: Box) -> list[float]:
    grey = read_box(path, box)
    return [float(grey.min()), float(grey.max())]


def _grey_counts(path: Path, box: Box, beyond: Outside | None, bins: Bins) -> str:
    grey, inside = load(path, box, beyond, False)
    return pack(bins.count(grey if inside is None else grey[inside]))


@dataclass(frozen=True)
class Rough:
    """First guess: bins for flat grey values, cuts between dark, collector and active, mean grey of dark and active."""

    bins: Bins
    cuts: Cuts
    dark: float
    active: float


def remove_shading(job: Job, span: tuple[float, float]) -> tuple[Rough, float]:
    """Estimate and store the shading; rough cuts without it, and its standard deviation."""
    info, options = job.info, job.options
    bins, classes = Bins(*span, 256), 3 if options.collector else 2
    cells = shading.cell_numbers(info.shape, info.spacing, options.shading_scale) if options.shading else (1, 1, 1)
    counts = np.zeros((*cells, bins.number), np.int64)
    tasks = {block.key: _cell_task(job, block, cells, bins) for block in job.blocks(reach(options.smoothing, False))}
    for start, shape, text in job.run("shading", tasks):
        part = unpack(text, (*shape, bins.number))
        counts[tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))] += part
    field = shading.fit_shading(counts, bins, classes)
    means, _ = class_means(field.counts, bins, multi_otsu(field.counts, bins, classes))
    mass = counts.sum(axis=-1)
    spread = math.sqrt(float(np.average(field.cells**2, weights=mass)))
    if spread < FLAT_ENOUGH * (means[-1] - means[0]):
        field, spread = shading.Field(np.zeros(cells), counts.sum(axis=(0, 1, 2))), 0.0
    write_shading(job.path, shading.field_grid(field.cells, info.shape) if spread else None)
    cuts = multi_otsu(field.counts, bins, classes)
    means, _ = class_means(field.counts, bins, cuts)
    low, high = float(field.cells[mass > 0].min()), float(field.cells[mass > 0].max())
    wide = Bins(span[0] - high, span[1] - low, 1024)
    return Rough(wide, _bright_cuts(field.counts, bins, cuts), float(means[0]), float(means[-1])), spread


def _cell_task(job: Job, block: Block, cells: Shape, bins: Bins) -> Delayed:
    grey, inside = lazy(job, block.outer, flat=False)
    smoothed, _ = smooth_within(grey, inside, job.options.smoothing)
    mask = None if inside is None else inside[block.inner]
    count = dask.delayed(_packed_cells, pure=False)
    return count(smoothed[block.inner], mask, block.core, job.info.shape, cells, bins)


def _packed_cells(*arguments: Any) -> tuple[list[int], list[int], str]:
    first, counts = shading.cell_counts(*arguments)
    return list(first), list(counts.shape[:3]), pack(counts)


def _bright_cuts(counts: Counts, bins: Bins, cuts: NDArray[np.float64]) -> Cuts:
    """Cuts below collector (where there are two) and active material."""
    means, _ = class_means(counts, bins, cuts)
    collector = float(cuts[0]) if len(cuts) == 2 else None
    return Cuts(collector=collector, active=float(cuts[-1]), edge=float(means[0] + means[-1]) / 2)


def find_blur(job: Job, rough: Rough) -> float | None:
    """Sigma of the edges of active material, from probes at fixed places; None where there are too few."""
    look = dask.delayed(_edge_probe, pure=False)
    boxes = enumerate(_probes(job.info.shape))
    parts = job.run("edges", {f"{i:03d}": look(job.path, box, job.outside, rough, job.options) for i, box in boxes})
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
    path: Path, box: Box, beyond: Outside | None, rough: Rough, options: PhasesOptions
) -> tuple[int, list[int]]:
    grey, inside = load(path, box, beyond, True)
    smoothed = ndimage.gaussian_filter(grey, [options.smoothing if n > 1 else 0.0 for n in grey.shape])
    kinds = np.where(smoothed >= (rough.cuts.active or np.inf), Phase.ACTIVE, Phase.PORE).astype(np.uint8)
    if inside is not None:
        kinds[~inside] = Phase.OUTSIDE
    number, total = sharpness.edge_profiles(grey, kinds, rough.dark, rough.active)
    return number, total.tolist()


def find_cuts(job: Job, rough: Rough, blur: float | None) -> dict[str, Any]:
    """Cuts between the phases, and noise, from whole-volume histograms."""
    steps = Bins(0.0, rough.bins.high - rough.bins.low, 4096)
    skirt = math.ceil(SKIRT * min(max(blur or 1.5, 0.5), 3.0))
    halo = reach(job.options.smoothing, job.options.collector) + max(sharpness.LAG, skirt)
    found = job.run("histogram", {b.key: _count_task(job, b, rough, steps, skirt) for b in job.blocks(halo)})
    total = {name: unpack_sum([part[name] for part in found]) for name in found[0]}
    warnings: list[str] = []
    noise = spread_of(total["noise"] if total["noise"].sum() > 1000 else total["noise_all"], steps)
    if job.options.thresholds is None:
        cuts = _otsu_cuts(job.options, total, rough.bins, steps, warnings)
    else:
        cuts = _given_cuts(job.options)
    listed = [cut for cut in (cuts.cbd, cuts.collector, cuts.active) if cut is not None]
    edges = [quantile(total["flat"], rough.bins, q) for q in (0.005, 0.995)]
    return {
        "cuts": cuts,
        "bins": rough.bins,
        "thresholds": listed,
        "percentiles": edges,
        "noise": noise,
        "warnings": warnings,
    }


def _otsu_cuts(
    options: PhasesOptions, total: Mapping[str, Counts], bins: Bins, steps: Bins, warnings: list[str]
) -> Cuts:
    """Multi-Otsu, each class checked against the noise."""
    calm_enough = total["calm"].sum() > 0.1 * total["smooth"].sum()
    grey = total["calm"] if calm_enough else total["smooth"]
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
    """Whether the two dark classes are more than noise, and more than the skirts of blurred edges.

    The noise is that of the same smoothing in pores or in active material, where it is less: both have some structure
    of their own. Far from active material there are no skirts.
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


def _count_task(job: Job, block: Block, rough: Rough, steps: Bins, skirt: int) -> Delayed:
    """Histograms of one block that cuts and noise are found from."""
    sigma = job.options.smoothing
    grey, inside = lazy(job, block.outer, flat=True)
    smoothed, _ = smooth_within(grey, inside, sigma)
    kinds = kinds_of(smoothed, inside, rough.cuts)
    dark, _, calm_dark = calm_mean(grey, kinds, Phase.PORE, sigma)
    bright, _, calm_bright = calm_mean(grey, kinds, Phase.ACTIVE, sigma)
    arrays = {
        "grey": grey, "smoothed": smoothed, "dark": dark, "bright": bright, "kinds": kinds, "calm": calm(kinds, 5),
        "far": calm(kinds, 2 * skirt + 1), "calm_dark": calm_dark, "calm_bright": calm_bright,
    }  # fmt: skip
    return dask.delayed(_pack_counts, pure=False)(arrays, block.inner, rough.bins, steps)


def _pack_counts(arrays: Mapping[str, NDArray[Any]], inner: Box, bins: Bins, steps: Bins) -> dict[str, str]:
    core = {name: array[inner] for name, array in arrays.items()}
    inside = arrays["kinds"] != Phase.OUTSIDE
    lags: dict[str, tuple[str, NDArray[np.bool_]]] = {
        "noise": ("grey", arrays["calm_bright"]),
        "noise_all": ("grey", inside),
        "smooth_noise": ("smoothed", inside),
        "dark_noise": ("dark", arrays["calm_dark"]),
        "bright_noise": ("bright", arrays["calm_bright"]),
    }
    counts = {name: sharpness.lag_counts(arrays[what], mask, inner, steps) for name, (what, mask) in lags.items()}
    counts["flat"] = bins.count(core["grey"][inside[inner]])
    counts["smooth"] = bins.count(core["smoothed"][inside[inner]])
    counts["calm"] = bins.count(core["smoothed"][core["calm"] & inside[inner]])
    dark = core["kinds"] == Phase.PORE
    counts["dark"] = bins.count(core["dark"][core["calm"] & dark])
    counts["far"] = bins.count(core["dark"][core["far"] & dark])
    return {name: pack(value) for name, value in counts.items()}
