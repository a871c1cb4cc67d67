"""Confidence of particles: how well it is calibrated where many are wrong, and the fit that its coefficients come from.

``python -m benchmarks.bench_confidence [check] [fit]`` simulates small electrodes, makes slices noisy and blurred,
finds particles with the shipped network, drops, splits and fuses detections, and stitches; without a name, ``check``.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import minimize
from scipy.stats import rankdata

from benchmarks.bench_stitch import disturb
from benchmarks.report import Result, print_results
from tomostat.blocks import box_of
from tomostat.detect import detect_instances
from tomostat.instances import Instances, read_instances
from tomostat.kernels.matching import overlaps_of_labels
from tomostat.phantom import simulate_volume
from tomostat.phantom.options import PhantomOptions
from tomostat.phases import segment_phases
from tomostat.stitch.kernels.candidates import find_candidates, measure_tracks
from tomostat.stitch.kernels.confidence import CONSTANT, WEIGHTS, ParticleEvidence, particle_evidence
from tomostat.stitch.kernels.link import link_slices, widest_gap
from tomostat.stitch.kernels.masks import final_masks
from tomostat.stitch.kernels.numbering import decide_particles
from tomostat.stitch.kernels.paint import paint_box
from tomostat.stitch.kernels.tracks import chain_instances, index_links, measure_sections
from tomostat.stitch.options import StitchOptions
from tomostat.volume import read_box, write_box

SHAPE, SPACING = (72, 96, 96), (0.2, 0.2, 0.2)
IMAGES = ((0.0, 0.0), (0.15, 0.0), (0.3, 0.0), (0.15, 1.5), (0.08, 2.5), (0.35, 0.0), (0.25, 2.0), (0.0, 3.5))
"""Noise as a share of the contrast, and blur in voxels, taken in turn."""
DETECTIONS = ((0.0, 0.0, 0.0), (0.1, 0.05, 0.02), (0.2, 0.1, 0.05), (0.3, 0.1, 0.1))
"""Shares of the detections that are dropped, split in two, and fused with a neighbour; each on every electrode."""
FITTED, CHECKED = range(80_000, 80_016), range(80_016, 80_028)
"""Seeds of the electrodes that the coefficients were fitted on, and of those on which they are checked."""
RIGHT = 0.5
"""Intersection over union with a true particle from which on a particle is right."""


@dataclass(frozen=True)
class Judged:
    """Particles and whether they are right.

    Attributes
    ----------
    terms
        Evidence by the names of `WEIGHTS`, (n, terms) float64.
    confidence
        (n,) float64.
    right
        (n,) bool.
    """

    terms: NDArray[np.float64]
    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]


def electrode(seed: int, folder: Path) -> tuple[Instances, NDArray[np.int32]]:
    """Detections of the network in a disturbed electrode, and the true labels."""
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
    detect_instances(path, folder / f"{seed}")
    return read_instances(folder / f"{seed}"), read_box(path, box_of(SHAPE), "truth_particles").astype(np.int32)


def worsened(instances: Instances, depth: int, seed: int, shares: tuple[float, float, float]) -> Instances:
    """Disturbed detections; each part of one has the score of the whole."""
    images = np.stack([instances.labels(z) for z in range(depth)])
    parts = [Instances.empty(instances.shape)]
    for z, image in enumerate(disturb(images, seed, *shares)):
        whole = np.concatenate([[0], instances.of_slice(z).score])[images[z]]
        scores = ndimage.maximum(whole, image, np.arange(image.max() + 1))
        parts.append(Instances.from_labels(image, z, scores))
    return Instances.concatenate(parts)


def stitched(instances: Instances, depth: int) -> tuple[ParticleEvidence, NDArray[np.uint32]]:
    """Evidence of all particles and their labels, in memory and without refinement."""
    options = StitchOptions()
    sections = measure_sections(instances)
    links = index_links(link_slices(instances, range(depth), options), sections)
    chains = chain_instances(sections, links, options)
    tracks = measure_tracks(sections, chains, SPACING)
    candidates = find_candidates(links, chains, tracks)
    decision, particle = decide_particles(sections, chains.track, tracks, candidates, depth, options)
    evidence = particle_evidence(sections, chains.track, tracks, candidates, decision, particle, SPACING)
    masks = final_masks(instances, particle[chains.track], range(depth), widest_gap(options))
    return evidence, paint_box(masks, box_of((depth, *instances.shape)))


def judged(seeds: range) -> Judged:
    """Particles of disturbed electrodes."""
    parts = []
    with tempfile.TemporaryDirectory() as name:
        for seed in seeds:
            instances, truth = electrode(seed, Path(name))
            for number, shares in enumerate(DETECTIONS):
                evidence, labels = stitched(worsened(instances, len(truth), 10 * seed + number, shares), len(truth))
                table = overlaps_of_labels(truth, labels)
                best = np.zeros(int(labels.max()) + 1)
                np.maximum.at(best, table.second_label[table.second], table.iou)
                terms = np.stack([getattr(evidence, name) for name in WEIGHTS], axis=1)
                parts.append(Judged(terms, evidence.confidence, best[evidence.particle] >= RIGHT))
    return Judged(*(np.concatenate([getattr(part, name) for part in parts]) for name in Judged.__dataclass_fields__))


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


def check(seeds: range = CHECKED) -> list[Result]:
    """Calibration on electrodes that nothing was fitted on."""
    found = judged(seeds)
    return [
        Result("particles", len(found.right)),
        Result("share of wrong particles", float(1 - found.right.mean())),
        Result("mean confidence", float(found.confidence.mean())),
        Result("calibration error", calibration_error(found.confidence, found.right), 0.05, "<="),
        Result("area under the curve", area_under_curve(found.confidence, found.right), 0.9),
    ]


def fit(seeds: range = FITTED) -> list[Result]:
    """Coefficients of a logistic fit, beside those in use."""
    found = judged(seeds)
    columns = np.column_stack([found.terms, np.ones(len(found.right))])
    columns[:, list(WEIGHTS).index("parts")] -= 1
    sign = np.where(found.right, 1.0, -1.0)
    best = minimize(
        lambda weights: np.logaddexp(0, -sign * (columns @ weights)).sum() + 0.01 * (weights[:-1] ** 2).sum(),
        np.zeros(columns.shape[1]),
    ).x
    names = [f"{name} (in use {weight:g})" for name, weight in WEIGHTS.items()]
    return [
        Result(name, float(value))
        for name, value in zip([*names, f"constant (in use {CONSTANT:g})"], best, strict=True)
    ]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    tables = {"check": check, "fit": fit}
    parser.add_argument("names", nargs="*", choices=[[], *tables], default=["check"])
    for name in parser.parse_args().names:
        print_results(name, tables[name]())


if __name__ == "__main__":
    main()
