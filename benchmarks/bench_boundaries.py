"""Boundaries, areas and detachment of found particles beside those of true labels and of plain thresholds.

``python -m benchmarks.bench_boundaries [blur] [thin] [blank] [balls] [electrodes] [--electrodes N] [--seed S]``
simulates images with `benchmarks.electrodes`, which shares nothing with `tomostat.phantom`, runs phases, detect, stitch
and measure on them, and prints what is measured beside what is required; ``blur`` and ``thin`` use `tomostat.phantom`
too. Particles that the field cuts, or that are less than 20 voxels across, are left out.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import marching_cubes, mesh_surface_area

import tomostat as ts
from benchmarks.bench_pipeline import matching_labels, new_folder
from benchmarks.electrodes import Electrode, Image, Recipe, make_balls, make_electrode
from benchmarks.report import Result, add_names, print_results
from tomostat.detect import detect_instances
from tomostat.kernels.score import Scores, score_labels
from tomostat.measure import measure_particles
from tomostat.measure.options import MeasureOptions
from tomostat.measure.particles import SEPARATION
from tomostat.measure.stage import LEAST_SEPARATION
from tomostat.phantom.options import PhantomOptions
from tomostat.phase import Phase
from tomostat.phases import segment_phases
from tomostat.stitch import stitch_particles
from tomostat.volume import create_volume, write_box

SPACING = 0.05
"""Voxel size in micrometers."""

SHAPE, COUNT = (128, 224, 224), 70
"""Voxels of an electrode, and particles that are placed in it as far as they fit."""

COLUMNS = [
    "detachment", "detachment_std", "surface_area", "volume", "resistance_mean", "resistance_max", "crack_fraction",
    "touches_border",
]  # fmt: skip


@dataclass(frozen=True)
class Condition:
    """An image, and what is required on it: error, bias and correlation of the detachment."""

    image: Image
    error: float | None = None
    bias: float | None = None
    correlation: float | None = None


CONDITIONS = {
    "blur 1.2, noise 0.12": Condition(Image(), 0.015, 0.005, 0.99),
    "blur 2.0": Condition(Image(blur=2.0), 0.03, None, 0.96),
    "faint carbon-binder": Condition(Image(levels=(0.12, 0.26, 1.0)), 0.04, None, 0.95),
    "noise 0.25": Condition(Image(noise=0.25), 0.04, None, 0.93),
    "wet": Condition(Image(levels=(0.30, 0.36, 1.0)), correlation=0.9),
    "fringes": Condition(Image(fringe=0.4), correlation=0.9),
}

BALLS = {0.8: (0.01, 0.02, 0.15), 1.2: (0.01, 0.02, 0.15), 2.0: (0.03, 0.06, 0.3)}
"""Required errors of detachment, mean and largest resistance by blur."""


BLANK = {
    "carbon-binder alone, noise 0.05": Image(noise=0.05),
    "carbon-binder alone, noise 0.1": Image(noise=0.1),
    "carbon-binder alone, noise 0.15": Image(noise=0.15),
    "noise alone": Image(levels=(0.12, 0.12, 1.0), rings=0, slope=0),
}
"""Images without particles."""

RARE = {"1 %": (1, 30.0), "4 %": (4, 40.0)}
"""Number and largest diameter of particles in an electrode that holds few."""

COVERAGE = {1: (0.60, 0.76), 2: (0.90, 0.98)}
"""Least and largest share of the particles whose detachment lies within so many stated standard deviations."""


@dataclass(frozen=True)
class Measured:
    """What came out on one electrode.

    Attributes
    ----------
    scores
        Agreement of the found particles with the true ones.
    bias
        Voxels by which boundaries lie too far out, towards pores and towards carbon-binder.
    found, true
        Rows of inner particles, measured from found and from true labels, with the truth as columns ``true_NAME``.
    """

    scores: Scores
    bias: tuple[float, float]
    found: pd.DataFrame
    true: pd.DataFrame


def measure(electrode: Electrode) -> Measured:
    """Run the stages on an electrode, then measure its true labels too."""
    folder = new_folder()
    path = _store(electrode, folder)
    labels = find_particles(path, folder)
    found = _inner_rows(path, labels, electrode)
    scores = score_labels(electrode.labels, labels)
    write_box(path, (0, 0, 0), electrode.labels, "particles")
    return Measured(scores, boundary_bias(electrode, labels), found, _inner_rows(path, electrode.labels, electrode))


def find_particles(path: Path, folder: Path) -> NDArray[np.uint32]:
    """Labels of the particles that phases, detect and stitch find in a volume."""
    segment_phases(path)
    detect_instances(path, folder / "instances")
    stitch_particles(path, folder / "instances", folder / "graph")
    labels: NDArray[np.uint32] = ts.open_volume(path, "particles").values
    return labels


def _store(electrode: Electrode, folder: Path) -> Path:
    """Write the grey values of an electrode as a volume."""
    path = folder / "electrode.zarr"
    create_volume(path, shape=electrode.grey.shape, dtype=np.uint16, spacing=(SPACING,) * 3)
    write_box(path, (0, 0, 0), electrode.grey)
    return path


def _inner_rows(path: Path, labels: NDArray[np.uint32], electrode: Electrode) -> pd.DataFrame:
    """Measured rows of the particles that match a true one, inside the field and large enough."""
    table = measure_particles(path, options=MeasureOptions(maps=False))[["label", *COLUMNS]].to_dataframe()
    true_label, found_label, iou = matching_labels(electrode.labels, labels)
    true = electrode.truth.assign(volume=electrode.truth.voxels * SPACING**3).set_index("label")
    true = true.loc[true_label].add_prefix("true_").reset_index(drop=True)
    rows = table.set_index("label").loc[found_label].reset_index()
    rows = pd.concat([rows, true], axis=1).assign(iou=iou)
    rows["true_surface_area"] *= SPACING**2
    inner = rows.true_whole & ~rows.touches_border.astype(bool) & (rows.true_diameter >= 20)
    return rows[inner.to_numpy(bool)]


def boundary_bias(electrode: Electrode, labels: NDArray[np.uint32]) -> tuple[float, float]:
    """Voxels gained less voxels lost on faces towards a phase, over the true area there."""
    true, phases = electrode.labels > 0, electrode.phases
    nearest = ndimage.distance_transform_edt(true, return_distances=False, return_indices=True)
    beyond = phases[tuple(nearest)]
    biases = []
    for phase in (Phase.PORE, Phase.CBD):
        faces = 0
        for axis in range(3):
            ahead, behind = [slice(None)] * 3, [slice(None)] * 3
            ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
            for here, there in ((tuple(ahead), tuple(behind)), (tuple(behind), tuple(ahead))):
                faces += int((true[here] & ~true[there] & (phases[there] == phase)).sum())
        gained = int((~true & (labels > 0) & (phases == phase)).sum())
        lost = int((true & (labels == 0) & (beyond == phase)).sum())
        biases.append((gained - lost) / (faces * 2 / 3))  # faces overestimate an area by half
    return biases[0], biases[1]


def threshold_rows(electrode: Electrode) -> pd.DataFrame:
    """Area and detachment of the true labels by thresholds and skimage's marching cubes: what a script would do."""
    smoothed = ndimage.gaussian_filter(electrode.grey.astype(np.float32), 1.0)
    pore, binder, active = (float(np.median(electrode.grey[electrode.phases == phase])) for phase in range(3))
    dark = (smoothed < (binder + active) / 2) & (smoothed > (pore + binder) / 2)
    rows = []
    for number, box in enumerate(ndimage.find_objects(electrode.labels.astype(np.int64)), 1):
        if box is None:
            continue
        wide = tuple(slice(max(s.start - 3, 0), s.stop + 3) for s in box)
        own = electrode.labels[wide] == number
        shell = ndimage.binary_dilation(own) & ~own
        vertices, faces, _, _ = marching_cubes(own.astype(np.float32), 0.5)
        area = mesh_surface_area(vertices, faces)
        rows.append({"label": number, "surface_area": area, "detachment": 1 - float(dark[wide][shell].mean())})
    return electrode.truth.merge(pd.DataFrame(rows), on="label", suffixes=("", "_thresholds"))


def detachment_results(rows: pd.DataFrame, condition: Condition, labels: str) -> list[Result]:
    """Errors of the detachment; with requirements for found labels only."""
    error = (rows.detachment - rows.true_detachment).dropna()
    known = rows.loc[error.index]
    asked = condition if labels == "found" else Condition(condition.image)
    correlation = np.corrcoef(known.detachment, known.true_detachment)[0, 1] if len(known) > 2 else np.nan
    results = [
        Result(f"detachment, {labels} labels, mean absolute error", error.abs().mean(), asked.error, "<="),
        Result(f"detachment, {labels} labels, absolute bias", abs(error.mean()), asked.bias, "<="),
        Result(f"detachment, {labels} labels, r", correlation, asked.correlation),
    ]
    if labels == "found":
        for sigma, bounds in COVERAGE.items():
            share = float((error.abs() < sigma * known.detachment_std).mean())
            results += [
                Result(f"uncertainty covers at {sigma} sigma", share, bound, comparison)
                for bound, comparison in zip(bounds, (">=", "<="), strict=True)
            ]
        results += [
            Result("particles without a detachment", len(rows) - len(error), 0, "=="),
        ]
    return results


def electrode_results(condition: Condition, seeds: Iterable[int], strict: bool) -> list[Result]:
    """All figures of one condition over some electrodes; those on shape are required with `strict` only."""
    recipe = replace(Recipe(), shape=SHAPE, count=COUNT, image=condition.image)
    electrodes = [make_electrode(recipe, seed) for seed in seeds]
    every = [measure(electrode) for electrode in electrodes]
    found, true = (pd.concat([getattr(one, name) for one in every], ignore_index=True) for name in ("found", "true"))
    results = detachment_results(found, condition, "found") + detachment_results(true, condition, "true")
    plain = pd.concat([threshold_rows(electrode) for electrode in electrodes], ignore_index=True)
    plain = plain[plain.whole & (plain.diameter >= 20)]
    error = (plain.detachment_thresholds - plain.detachment).abs().mean()
    area = (plain.surface_area_thresholds / plain.surface_area - 1).mean()
    results += [
        Result("detachment, true labels, thresholds, mean error", error),
        Result("area, true labels, marching cubes, mean relative error", area),
    ]
    figures = {
        "volume, mean relative error": (abs((found.volume / found.true_volume - 1).mean()), 0.01, "<="),
        "area, mean relative error": (abs((found.surface_area / found.true_surface_area - 1).mean()), 0.015, "<="),
        "crack fraction, mean error": (abs((found.crack_fraction - found.true_crack_fraction).mean()), 0.01, "<="),
        "mean IoU of found particles": (found.iou.mean(), 0.96, ">="),
        "boundary towards pores, bias in voxels": (abs(np.mean([one.bias[0] for one in every])), 0.05, "<="),
        "boundary towards carbon-binder, bias in voxels": (abs(np.mean([one.bias[1] for one in every])), 0.05, "<="),
        "F1": (np.mean([one.scores.f1 for one in every]), 0.99, ">="),
        "panoptic quality": (np.mean([one.scores.pq for one in every]), 0.95, ">="),
    }
    for name, (value, required, comparison) in figures.items():
        results.append(Result(name, float(value), required if strict else None, comparison))
    return [Result("particles", len(found)), *results]


def blank_results(seed: int) -> list[Result]:
    """Particles that are found where there are none, and active material where there is little."""
    results = []
    shape = (64, 128, 128)
    for name, image in BLANK.items():
        electrode = make_electrode(Recipe(shape=shape, count=0, image=image), seed)
        folder = new_folder()
        path = _store(electrode, folder)
        segment_phases(path)
        count = detect_instances(path, folder / "instances") / (electrode.grey.size / 256**2)
        required = 0.0 if name == "noise alone" else 0.5
        results.append(Result(f"{name}: false particles per 256 x 256 pixels", count, required, "<="))
    for name, (count, largest) in RARE.items():
        electrode = make_electrode(Recipe(shape=shape, count=count, diameters=(largest - 1, largest)), seed)
        path = _store(electrode, new_folder())
        share, true = segment_phases(path).shares.active, float((electrode.phases == Phase.ACTIVE).mean())
        results.append(Result(f"active material, some {name} of the volume: found over true", share / true))
    return results


def ball_results(radius: float, gap: float, blur: float, seed: int) -> list[Result]:
    """Nine balls with gaps of known detachment and resistance."""
    rows = measure(make_balls(radius, gap, Image(blur=blur, rings=0, slope=0), seed)).found
    required = BALLS[blur]
    names = ("detachment", "resistance_mean", "resistance_max")
    errors = [float((rows[name] - rows[f"true_{name}"]).abs().mean()) for name in names]
    title = f"R {radius:g}, gap {gap:g}, blur {blur:g}"
    return [Result(f"{title}: {name}", e, r, "<=") for name, e, r in zip(names, errors, required, strict=True)]


BLURRED = {
    **{f"blur {blur}": Recipe(image=Image(blur=blur)) for blur in (0.8, 1.2, 1.6, 2.0, 2.5)},
    **{
        f"blur 1.2, {name}": Recipe(image=CONDITIONS[name].image)
        for name in ("noise 0.25", "faint carbon-binder", "wet")
    },
    "blur 2, films of 2": Recipe(image=Image(blur=2.0), film=2.0, gaps=(1.0, 3.0)),
}
"""Electrodes whose blur is measured."""
PHANTOMS: dict[str, dict[str, Any]] = {
    "films of 3": {},
    "films of 6": {"film_thickness": 1.2},
    "smooth": {"roughness": 0.0, "bumpiness": 0.0},
    "noise 0.25": {"noise": 0.25},
    "wet": {"contrast": "wet"},
}
"""Phantoms whose blur is measured at each of `PHANTOM_BLURS`."""
PHANTOM_BLURS = (0.8, 1.0, 1.4, 1.8, 2.2)


def blur_results(seed: int) -> list[Result]:
    """Blur that the phases stage finds over the true one, to which edges along whole voxels add a variance of 1/12."""
    found: list[Result] = []

    def add(name: str, path: Path, blur: float) -> None:
        measured = segment_phases(path).blur or math.nan
        found.append(Result(name, measured / math.sqrt(blur**2 + 1 / 12)))

    for name, recipe in BLURRED.items():
        electrode = make_electrode(replace(recipe, shape=(112, 200, 200), count=40), seed)
        add(f"electrode, {name}", _store(electrode, new_folder()), recipe.image.blur)
    for radius, blur in ((32, 1.2), (32, 2.0), (16, 2.0)):
        balls = make_balls(radius, 3, Image(blur=blur), seed)
        add(f"balls of radius {radius}, blur {blur}", _store(balls, new_folder()), blur)
    for blur in PHANTOM_BLURS:
        for name, changes in PHANTOMS.items():
            options = PhantomOptions(shape=(80, 192, 192), seed=seed, blur=blur, **changes)
            add(f"phantom, blur {blur}, {name}", ts.simulate_volume(new_folder() / "phantom.zarr", options), blur)
    ratios = np.array([result.value for result in found])
    return [Result("mean", ratios.mean()), Result("standard deviation", ratios.std()), *found]


def thin_results(seeds: Iterable[int]) -> list[Result]:
    """Detachment in phantoms with a wide blur and thin porous films: blur 1.8, films of 3 voxels."""
    rows, warned = [], 0
    for seed in seeds:
        options = PhantomOptions(shape=(112, 288, 288), seed=seed, blur=1.8)
        folder = new_folder()
        path = ts.simulate_volume(folder / "phantom.zarr", options)
        labels = find_particles(path, folder)
        table = measure_particles(path, options=MeasureOptions(maps=False))
        warned += table.attrs[SEPARATION] < LEAST_SEPARATION
        columns = table[["label", "detachment", "detachment_std", "touches_border"]].to_dataframe().set_index("label")
        true, found, _ = matching_labels(ts.open_volume(path, "truth_particles").values, labels)
        truth = pd.read_parquet(path / "truth.parquet").set_index("label")
        rows.append(columns.loc[found].assign(true_detachment=truth.loc[true, "detachment"].to_numpy()))
    every = pd.concat(rows, ignore_index=True)
    every = every[~every.touches_border.astype(bool) & every.detachment.notna()]
    return [
        Result("particles", len(every)),
        Result("fields that warn of it", warned),
        Result("mean detachment, found", every.detachment.mean()),
        Result("mean detachment, true", every.true_detachment.mean()),
        *detachment_results(every, Condition(Image()), "found"),
    ]


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_names(parser, ["blur", "thin", "blank", "balls", "electrodes"])
    parser.add_argument("--electrodes", type=int, default=4, help="electrodes per condition")
    parser.add_argument("--seed", type=int, default=1000)
    options = parser.parse_args()
    if "blur" in options.names:
        print_results("blur found over true", blur_results(options.seed))
    if "thin" in options.names:
        print_results(
            "blur 1.8, films of 3 voxels", thin_results(range(options.seed, options.seed + options.electrodes))
        )
    if "blank" in options.names:
        print_results("images without particles, and with few", blank_results(options.seed))
    if "balls" in options.names:
        cases = [(radius, gap, blur) for blur in BALLS for radius in (16, 32, 48) for gap in (3, 5)]
        results = [result for case in cases for result in ball_results(*case, options.seed)]
        print_results("nine balls, gaps of known extent: mean absolute errors", results)
    if "electrodes" in options.names:
        for number, (name, condition) in enumerate(CONDITIONS.items()):
            first = options.seed + 100 * number
            seeds = range(first, first + options.electrodes)
            print_results(name, electrode_results(condition, seeds, strict=number == 0))


if __name__ == "__main__":
    main()
