"""Confidence of particles: how well it is calibrated where many are wrong, and the fit that its coefficients come from.

``python -m benchmarks.bench_confidence [check] [views] [fit]`` simulates small electrodes, makes slices noisy and
blurred, finds particles with the shipped network, drops, splits and fuses detections, and stitches; without a name,
``check`` and ``views``, which does the same along three axes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import minimize
from scipy.stats import rankdata

from benchmarks.bench_stitch import disturb
from benchmarks.report import Result, print_tables
from tomostat.blocks import box_of
from tomostat.detect import DetectOptions, detect_instances
from tomostat.instances import Instances, read_instances, write_instances
from tomostat.kernels.matching import overlaps_of_labels
from tomostat.kernels.score import Scores, score_labels
from tomostat.phantom import simulate_volume
from tomostat.phantom.options import PhantomOptions
from tomostat.phases import segment_phases
from tomostat.stitch import stitch_particles
from tomostat.stitch.kernels.confidence import ALONE, WITH_VIEWS, ParticleEvidence
from tomostat.views import VIEWS, View, ViewName
from tomostat.volume import read_box, write_box

SHAPE, SPACING = (96, 96, 96), (0.2, 0.2, 0.2)
IMAGES = ((0.0, 0.0), (0.15, 0.0), (0.3, 0.0), (0.15, 1.5), (0.08, 2.5), (0.35, 0.0), (0.25, 2.0), (0.0, 3.5))
"""Noise as a share of the contrast, and blur in voxels, taken in turn."""
DETECTIONS = ((0.0, 0.0, 0.0), (0.1, 0.05, 0.02), (0.2, 0.1, 0.05), (0.3, 0.1, 0.1))
"""Shares of the detections that are dropped, split in two, and fused with a neighbour; each on every electrode."""
FITTED, CHECKED = range(80_000, 80_024), range(80_024, 80_036)
"""Seeds of the electrodes that the coefficients were fitted on, and of those on which they are checked."""
RIGHT = 0.5
"""Intersection over union with a true particle from which on a particle is right."""


@dataclass(frozen=True)
class Judged:
    """Particles of an electrode, whether they are right, and the scores of all.

    Attributes
    ----------
    evidence
        What tells whether they are right.
    right
        (n,) bool.
    scores
        Agreement with the true particles.
    """

    evidence: ParticleEvidence
    right: NDArray[np.bool_]
    scores: Scores


def electrode(seed: int, folder: Path) -> tuple[Path, NDArray[np.int32]]:
    """A disturbed electrode with its phases, and the true labels."""
    path = folder / f"{seed}.zarr"
    options = PhantomOptions(seed=seed, shape=SHAPE, spacing=SPACING, diameters=(3.5, 8.0), touching=0.8)
    simulate_volume(path, options)
    noise, blur = IMAGES[seed % len(IMAGES)]
    clean = read_box(path, box_of(SHAPE))
    grey = ndimage.gaussian_filter(clean.astype(np.float32), blur)
    grain = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(SHAPE), 0.5)
    grey += noise * np.ptp(np.percentile(clean, (1, 99))) * grain / grain.std()
    write_box(path, (0, 0, 0), np.clip(grey, 0, np.iinfo(clean.dtype).max).astype(clean.dtype))
    segment_phases(path)
    return path, read_box(path, box_of(SHAPE), "truth_particles").astype(np.int32)


def worsened(instances: Instances, depth: int, seed: int, shares: tuple[float, float, float]) -> Instances:
    """Disturbed detections; each part of one has the score of the whole."""
    images = np.stack([instances.labels(z) for z in range(depth)])
    parts = [Instances.empty(instances.shape)]
    for z, image in enumerate(disturb(images, seed, *shares)):
        whole = np.concatenate([[0], instances.of_slice(z).score])[images[z]]
        scores = ndimage.maximum(whole, image, np.arange(image.max() + 1))
        parts.append(Instances.from_labels(image, z, scores))
    return Instances.concatenate(parts)


def judged(path: Path, truth: NDArray[np.int32], found: Path, seed: int, names: Sequence[ViewName]) -> Iterator[Judged]:
    """Particles that all stages make of the detections of some views, as they are and made worse."""
    for number, shares in enumerate(DETECTIONS):
        tables = found.parent / f"{number}-{len(names)}"
        for view in map(View, names):
            depth = SHAPE[view.axis]
            worse = worsened(read_instances(found / view.folder), depth, 10 * seed + number, shares)
            write_instances(tables / view.folder / "all.parquet", worse, range(depth), {"views": list(names)})
        table = stitch_particles(path, tables, tables / "graph").particles.drop(columns="confidence").reset_index()
        evidence = ParticleEvidence(**{str(name): column.to_numpy() for name, column in table.items()})
        labels = read_box(path, box_of(SHAPE), "particles")
        yield Judged(evidence, right_ones(truth, labels, evidence.particle), score_labels(truth, labels))


def right_ones(truth: NDArray[np.int32], labels: NDArray[Any], particles: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of some particles are right."""
    table = overlaps_of_labels(truth, labels)
    best = np.zeros(int(particles.max(initial=0)) + 1)
    np.maximum.at(best, table.second_label[table.second], table.iou)
    return np.asarray(best[particles] >= RIGHT)


def of_electrodes(seeds: Sequence[int], names: Sequence[ViewName]) -> tuple[list[Judged], float]:
    """Particles of disturbed electrodes, and the processor time that detection took."""
    parts, seconds = [], 0.0
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            path, truth = electrode(seed, Path(folder))
            start = time.process_time()
            detect_instances(path, Path(folder) / "found", options=DetectOptions(views=tuple(names)))
            seconds += time.process_time() - start
            parts += judged(path, truth, Path(folder) / "found", seed, names)
    return parts, seconds


def calibration(parts: Sequence[Judged]) -> list[Result]:
    """How well the confidence is calibrated."""
    confidence = np.concatenate([part.evidence.confidence for part in parts])
    right = np.concatenate([part.right for part in parts])
    return [
        Result("particles", len(right)),
        Result("share of wrong particles", float(1 - right.mean())),
        Result("mean confidence", float(confidence.mean())),
        Result("calibration error", calibration_error(confidence, right), 0.05, "<="),
        Result("area under the curve", area_under_curve(confidence, right), 0.9),
    ]


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 10) -> float:
    """Distance between mean confidence and share of right ones, as a mean over bins of equal width by their number."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    sums = [np.bincount(place, values, bins) for values in (confidence, right.astype(float))]
    return float(np.abs(sums[0] - sums[1]).sum() / len(right))


def area_under_curve(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Probability that a right particle has a higher confidence than a wrong one (area under the ROC curve)."""
    count = int(right.sum())
    ranks = rankdata(confidence)[right].sum() - count * (count + 1) / 2
    return float(ranks / (count * (len(right) - count)))


def check(seeds: Sequence[int] = CHECKED) -> list[Result]:
    """Calibration on electrodes that nothing was fitted on."""
    return calibration(of_electrodes(seeds, VIEWS[:1])[0])


def views(seeds: Sequence[int] = CHECKED[:6]) -> list[Result]:
    """The same along three axes, beside z alone."""
    alone, seconds = of_electrodes(seeds, VIEWS[:1])
    beside, longer = of_electrodes(seeds, VIEWS)
    means = [
        Result(f"{title}, {names}", float(np.mean([getattr(part.scores, name) for part in parts])))
        for title, name in (("F1", "f1"), ("PQ", "pq"), ("merged, each", "merges"), ("split, each", "splits"))
        for names, parts in (("z", alone), ("z y x", beside))
    ]
    return [*means, Result("processor time of detect, z y x over z", longer / seconds), *calibration(beside)]


def fit(seeds: Sequence[int] = FITTED) -> list[Result]:
    """Coefficients of logistic fits, beside those in use."""
    results = []
    for names, weights in ((VIEWS[:1], ALONE), (VIEWS, WITH_VIEWS)):
        best = fitted(of_electrodes(seeds, names)[0], weights)
        results += [
            Result(f"{' '.join(names)}: {name} (in use {weight:g})", value)
            for (name, weight), value in zip(weights.items(), best, strict=True)
        ]
    return results


def fitted(parts: Sequence[Judged], names: Iterable[str]) -> list[float]:
    """Coefficients of a logistic fit on the evidence of some names."""
    terms = np.concatenate([part.evidence.terms(names) for part in parts])
    sign = np.where(np.concatenate([part.right for part in parts]), 1.0, -1.0)
    found = minimize(
        lambda weights: np.logaddexp(0, -sign * (terms @ weights)).sum() + 0.01 * (weights[:-1] ** 2).sum(),
        np.zeros(terms.shape[1]),
    )
    return [float(weight) for weight in found.x]


def main() -> None:
    """Print the tables."""
    print_tables({"check": check, "views": views, "fit": fit}, __doc__, ["check", "views"])


if __name__ == "__main__":
    main()
