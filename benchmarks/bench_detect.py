"""The detect stage: what is measured beside what is required.

``python -m benchmarks.bench_detect [phantoms] [real] [speed] [peer] [tiles] [empty] [heaps] [straight] [disturbed]
[gpu] [pictures] [finetune] [powder] [--weights accurate] [--device cuda]`` prints tables; without a name, all but
pictures and what trains. Real slices are read from ``../shared/data``; those that are not there are left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from torchvision.models.detection.roi_heads import paste_masks_in_image

from benchmarks import DATA
from benchmarks.disturbances import DISTURBANCES
from benchmarks.peers import detection
from benchmarks.report import Result, add_names, print_results
from tomostat.activation import write_activation
from tomostat.annotations import as_slices, read_annotations
from tomostat.detect.checkpoint import file_hash, save_checkpoint, weights_path
from tomostat.detect.crops import IGNORED, LabelledSlice
from tomostat.detect.detectors.watershed import WatershedDetector
from tomostat.detect.fine_tuning import fine_tune
from tomostat.detect.kernels.architecture import LIGHT, NETWORKS
from tomostat.detect.kernels.grey import scale_grey
from tomostat.detect.kernels.maskrcnn import build
from tomostat.detect.kernels.masks import paste
from tomostat.detect.kernels.material import follow_material
from tomostat.detect.kernels.random_slices import random_slice
from tomostat.detect.options import TrainOptions
from tomostat.detect.predict import NetworkDetector, detect_tiles
from tomostat.instances import Instances
from tomostat.kernels.matching import overlaps_of_labels
from tomostat.kernels.score import Scores, remove_small_objects, score_instances
from tomostat.phantom import make_scene, random_options, render
from tomostat.phase import Phase
from tomostat.report.scores import draw_metrics, draw_outcomes
from tomostat.report.style import save_png, styled

REAL = {"nmc_slice_a": 0.99, "nmc_strip_1": 0.97, "nmc_strip_2": 1.00, "nmc_strip_3": 0.98}
"""Real slices, and the F1 that is required."""

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SHOWN = [50_000, 4]
"""Seed of the flat phantom in the pictures."""

TUNED: list[tempfile.TemporaryDirectory[str]] = []
"""Folders of fine-tuned weights, kept until the process ends: a detector reads its file at the first call."""

UNSEEN = 50_000
"""First seed of the phantoms that no network was trained on."""


@dataclass(frozen=True, eq=False)
class Case:
    """Slices of one shape with their true instances."""

    grey: NDArray[np.float32]
    phases: NDArray[np.uint8]
    truth: Instances


def volume_phantoms(count: int = 12, slices: int = 2) -> list[Case]:
    """Slices of electrodes of unseen seeds and parameters."""
    cases = []
    for seed in range(UNSEEN, UNSEEN + count):
        scene = make_scene(random_options(np.random.default_rng(seed)))
        drawn = [render(scene, (int(z), 0, 0), (1, 256, 256)) for z in np.linspace(2, 13, slices)]
        grey = np.stack([scale_grey(d.grey[0].astype(np.float32)) for d in drawn])
        truth = [Instances.from_labels(remove_small_objects(d.labels[0]), z) for z, d in enumerate(drawn)]
        phases = np.stack([phases_of(g) for g in grey])
        cases.append(Case(grey, phases, Instances.concatenate([Instances.empty((256, 256)), *truth])))
    return cases


def flat_phantoms(count: int = 24) -> list[Case]:
    """Flat phantoms of unseen seeds."""
    drawn = [random_slice(np.random.default_rng([UNSEEN, k]), (384, 384)) for k in range(count)]
    grey = np.stack([g for g, _ in drawn])
    parts = [Instances.from_labels(remove_small_objects(t), z) for z, (_, t) in enumerate(drawn)]
    return [Case(grey, np.stack([phases_of(g) for g in grey]), Instances.concatenate(parts))]


def real_slices() -> dict[str, Case]:
    """The annotated real slices."""
    cases = {}
    for name in REAL:
        if (DATA / f"{name}.tif").exists():
            grey = scale_grey(tifffile.imread(DATA / f"{name}.tif").astype(np.float32))
            truth = remove_small_objects(tifffile.imread(DATA / f"{name}_instances.tif").astype(np.int32))
            cases[name] = Case(grey[None], phases_of(grey)[None], Instances.from_labels(truth, 0))
    return cases


def phases_of(grey: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Active material by Otsu's threshold on smoothed grey, for slices without a volume around them."""
    smooth = ndimage.gaussian_filter(grey, 1.0)
    return np.where(smooth > threshold_otsu(smooth), np.uint8(Phase.ACTIVE), np.uint8(Phase.PORE))


def kept_in_a_run(network: NetworkDetector, case: Case) -> NDArray[np.int32]:
    """Labels of the first slice as a run keeps them: what the network finds, discarded or split by the material."""
    return follow_material(network(case.grey, case.phases, 0).labels(0), case.phases[0] == Phase.ACTIVE)[0]


def detect(cases: list[Case], detector: Any) -> list[Instances]:
    """What a detector finds in each case."""
    return [detector(case.grey, case.phases, 0) for case in cases]


def pooled_scores(cases: list[Case], found: list[Instances], on_truth: float = 0.0, score: float = 0.0) -> Scores:
    """Scores of several cases as if their slices were one stack; shapes may differ between cases.

    Average precision is of all detections, all other scores of those with a confidence of at least `score`.
    """
    side = (max(c.truth.shape[0] for c in cases), max(c.truth.shape[1] for c in cases))
    truth, everything = _stack([c.truth for c in cases], cases, side), _stack(found, cases, side)
    chosen = score_instances(truth, everything.take(everything.score >= score), on_truth=on_truth)
    whole = score_instances(truth, everything, on_truth=on_truth)
    return replace(chosen, ap50=whole.ap50, ap75=whole.ap75, map=whole.map)


def _stack(parts: list[Instances], cases: list[Case], side: tuple[int, int]) -> Instances:
    stacked, first = [], 0
    for part, case in zip(parts, cases, strict=True):
        for z in range(len(case.grey)):
            one = part.of_slice(z)
            labels = np.pad(one.labels(z), [(0, a - b) for a, b in zip(side, part.shape, strict=True)])
            stacked.append(Instances.from_labels(labels, first, np.concatenate([[0], one.score])))
            first += 1
    return Instances.concatenate([Instances.empty(side), *stacked])


HEAD = "precision recall     F1    IoU   AP50   AP75    mAP     PQ splits merges  off"
SIX = ("precision", "recall", "f1", "mean_iou", "ap50", "map")
"""The paper's six metrics."""


def line(name: str, s: Scores) -> str:
    """One row of a table."""
    values = (s.precision, s.recall, s.f1, s.mean_iou, s.ap50, s.ap75, s.map, s.pq)
    row = " ".join(f"{v:6.3f}" for v in values)
    return f"{name:31s} {row} {s.splits:6d} {s.merges:6d} {s.off_truth:4d}"


def beside_watershed(
    name: str, cases: list[Case], network: NetworkDetector, on_truth: float = 0.0
) -> tuple[Scores, list[Instances], list[Result]]:
    """Print scores of network and watershed; return the network's scores and instances, and the comparison."""
    found = detect(cases, replace(network, score=0.05))
    ours = pooled_scores(cases, found, on_truth, network.score)
    baseline = pooled_scores(cases, detect(cases, WatershedDetector()), on_truth)
    print(line(f"{name}, network", ours))
    print(line(f"{name}, watershed", baseline), flush=True)
    better = sum(getattr(ours, m) >= getattr(baseline, m) for m in SIX)
    return (
        ours,
        found,
        [
            Result(f"{name}: F1 of the watershed", baseline.f1),
            Result(f"{name}: metrics of six at least watershed's", better, 6),
            Result(f"{name}: splits, of watershed's {baseline.splits}", ours.splits, baseline.splits / 2, "<="),
        ],
    )


def precision_at(cases: list[Case], found: list[Instances], recall: float, on_truth: float = 0.0) -> float:
    """Best precision that any score threshold gives at this recall or more; NaN where none reaches it."""
    scores = [pooled_scores(cases, found, on_truth, float(t)) for t in np.arange(0.3, 0.96, 0.05)]
    return max((s.precision for s in scores if s.recall >= recall), default=float("nan"))


def of_weights(network: NetworkDetector) -> str:
    """What a title says of weights that are not those in use."""
    path = Path(network.weights)
    return "" if path == weights_path("shipped") else f", {path.stem} network"


def phantoms(network: NetworkDetector) -> None:
    """Unseen phantoms, network beside watershed with its default parameters.

    Flat phantoms hold particles too faint to be seen, so that their recall is given by contrast.
    """
    print(f"\n{'unseen phantoms':31s} {HEAD}")
    cases = volume_phantoms()
    scores, found, compared = beside_watershed("volumes", cases, network)
    results = [
        Result("AP50", scores.ap50, 0.98),
        Result("precision at the score threshold of a run", scores.precision),
        Result("recall there", scores.recall),
        Result("mAP", scores.map, 0.85),
        Result("best precision at a recall of 0.93 or more", precision_at(cases, found, 0.93), 0.98),
        Result("mean IoU", scores.mean_iou, 0.93),
    ]
    print_results(f"unseen phantoms, volumes{of_weights(network)}", results + compared)
    cases = flat_phantoms()
    scores, found, compared = beside_watershed("flat", cases, network)
    results = [Result("AP50", scores.ap50, 0.90), Result("mAP", scores.map), Result("mean IoU", scores.mean_iou)]
    print_results(
        f"unseen phantoms, flat{of_weights(network)}",
        results + recall_by_contrast(cases, found, network.score) + compared,
    )


def recall_by_contrast(cases: list[Case], found: list[Instances], score: float) -> list[Result]:
    """Recall of particles by their contrast-to-noise ratio (Rose 1973: below about 5, objects are missed)."""
    contrast, hit = [], []
    for case, one in zip(cases, found, strict=True):
        sure = one.take(one.score >= score)
        for z, grey in enumerate(case.grey):
            truth = case.truth.labels(z)
            contrast.append(contrast_to_noise(grey, truth))
            table = overlaps_of_labels(truth, sure.labels(z))
            union = table.first_size[table.first] + table.second_size[table.second] - table.overlap
            matched = table.first_label[table.first[2 * table.overlap >= union]]
            hit.append(np.isin(np.arange(1, truth.max() + 1), matched))
    values, hits = np.concatenate(contrast), np.concatenate(hit)
    results = []
    for low, high in pairwise((0, 1, 2, 3, 5, np.inf)):
        within = (values >= low) & (values < high)
        name = f"recall of {within.sum()} at a contrast of {low} to {high:g} times the noise"
        results.append(Result(name, float(hits[within].mean()) if within.any() else float("nan")))
    return results


def contrast_to_noise(grey: NDArray[np.float32], labels: NDArray[np.int32], ring: int = 4) -> NDArray[np.float64]:
    """Difference of each particle's mean grey from that of `ring` pixels around it, over the latter's deviation."""
    values = np.full(labels.max(), np.nan)
    for i, box in enumerate(ndimage.find_objects(labels)):
        if box is None:
            continue
        box = tuple(slice(max(side.start - ring, 0), side.stop + ring) for side in box)
        own = labels[box] == i + 1
        around = grey[box][ndimage.binary_dilation(own, iterations=ring) & (labels[box] == 0)]
        if len(around) > ring:
            values[i] = (grey[box][own].mean() - around.mean()) / around.std()
    return values


def real(network: NetworkDetector) -> None:
    """Real slices with the weights as they are; found objects where nothing is annotated do not count.

    What a run keeps is what the network finds, without what has no active material, and with heaps of particles split.
    """
    print(f"\n{'real slices':31s} {HEAD}")
    results = []
    for name, case in real_slices().items():
        scores, _, compared = beside_watershed(name, [case], network, 0.2)
        kept = Instances.from_labels(kept_in_a_run(network, case), 0)
        results += [
            Result(f"{name}: F1 of the network alone", scores.f1),
            Result(f"{name}: F1 of what a run keeps", pooled_scores([case], [kept], 0.2).f1, REAL[name]),
            *compared,
        ]
    print_results(f"real slices{of_weights(network)}", results)


def pictures(network: NetworkDetector) -> None:
    """Into ``docs/images``: six metrics on phantoms and real slices; hits, misses and features of one phantom."""
    network = replace(network, score=0.05)
    with styled():
        for name, cases, on_truth in (("phantoms", volume_phantoms(), 0.0), ("real", [*real_slices().values()], 0.2)):
            scores = {
                kind: pooled_scores(cases, detect(cases, detector), on_truth, 0.5)
                for kind, detector in (("network", network), ("watershed", WatershedDetector()))
            }
            save_png(draw_metrics(scores), IMAGES / f"metrics-{name}.png")
        grey, truth = random_slice(np.random.default_rng(SHOWN), (384, 384))
        case = Case(grey[None], phases_of(grey)[None], Instances.from_labels(remove_small_objects(truth), 0))
        found = {
            kind: detector(case.grey, case.phases, 0).labels(0)
            for kind, detector in (("network", replace(network, score=0.5)), ("watershed", WatershedDetector()))
        }
        save_png(draw_outcomes(case.truth.labels(0), found, grey), IMAGES / "outcomes.png")
    save_activation(grey, network.weights)


def save_activation(grey: NDArray[np.float32], weights: str) -> None:
    """Picture of the network's activations in the same slice."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slice.npy"
        np.save(path, grey)
        write_activation(path, IMAGES / "activation.png", weights=weights)


def finetune(network: NetworkDetector, counts: tuple[int, ...] = (0, 2, 8)) -> None:
    """Fine-tuning: a learning curve on real slices, each held out in turn."""
    cases = real_slices()
    results = []
    for count in counts:
        found = []
        for held, case in cases.items():
            others = [_crop(cases[name], seed) for seed, name in enumerate(n for n in [*cases] * 3 if n != held)]
            tuned = _tuned(network, others[:count])
            found += detect([case], replace(tuned, score=0.05))
            alone = pooled_scores([case], found[-1:], 0.2, network.score)
            print(line(f"{held}, {count} crops of others", alone), flush=True)
        pooled = pooled_scores([*cases.values()], found, 0.2, network.score)
        precise = precision_at([*cases.values()], found, 0.95, 0.2)
        bounded = count == max(counts)
        results += [
            Result(f"{count} crops: AP50", pooled.ap50, 0.97 if bounded else None),
            Result(f"{count} crops: best precision at a recall of 0.95 or more", precise, 0.98 if bounded else None),
            Result(f"{count} crops: precision at a score of 0.5", pooled.precision),
            Result(f"{count} crops: recall at a score of 0.5", pooled.recall),
            Result(f"{count} crops: mean IoU", pooled.mean_iou),
        ]
    print_results("real slices, each held out in turn, pooled", results)


def powder(network: NetworkDetector) -> None:
    """SEM images of metal powder, each held out in turn from `tomostat train` by its defaults."""
    if not (DATA / "powder").exists():
        return
    annotated = json.loads((DATA / "powder" / "via_training.json").read_text(encoding="utf-8"))
    images = annotated["_via_img_metadata"]
    found, seconds, results = [], [], []
    for key in images:
        case = _annotated_case(annotated | {"_via_img_metadata": {key: images[key]}})
        rest = annotated | {"_via_img_metadata": {other: images[other] for other in images if other != key}}
        start = time.perf_counter()
        tuned = _trained(network, rest)
        seconds.append(time.perf_counter() - start)
        baseline, plain, better = (
            pooled_scores([case], detect([case], detector)).ap50
            for detector in (WatershedDetector(), replace(network, score=0.05), replace(tuned, score=0.05))
        )
        found.append(better)
        name = Path(images[key]["filename"]).stem
        results += [
            Result(f"{name}: AP50, watershed", baseline),
            Result(f"{name}: AP50, shipped network", plain),
            Result(f"{name}: AP50, trained on the others", better, 0.65),
        ]
        print(f"{name}: {baseline:.3f}, {plain:.3f}, {better:.3f} after {seconds[-1]:.0f} s", flush=True)
    results += [
        Result("AP50, trained on the others, mean", float(np.mean(found)), 0.75),
        Result("training, longest", max(seconds), 600, "<=", "s"),
    ]
    print_results("powder", results)


def _annotated_case(annotated: dict[str, Any]) -> Case:
    """The only image of annotations of powder."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(annotated, file)
        file.flush()
        ((grey, labels),) = as_slices(read_annotations(file.name, images=DATA / "powder"))
    return _case(grey, labels)


def _trained(network: NetworkDetector, annotated: dict[str, Any]) -> NetworkDetector:
    """What `tomostat train` makes of annotations of powder by its defaults."""
    folder = tempfile.TemporaryDirectory()
    TUNED.append(folder)
    path = Path(folder.name) / "annotations.json"
    path.write_text(json.dumps(annotated), encoding="utf-8")
    out = Path(folder.name) / "out"
    command = [sys.executable, "-m", "tomostat.cli", "train", path, "--images", DATA / "powder", "--out", out]
    subprocess.run([*map(str, command)], check=True, stdout=subprocess.DEVNULL)
    weights = out / "last.safetensors"  # of three images, none is left to validate on
    return replace(network, weights=str(weights), fingerprint=file_hash(weights))


def _crop(case: Case, seed: int, side: int = 256) -> LabelledSlice:
    """A crop of a real slice; pixels that are not annotated are ignored in training."""
    _, ny, nx = case.grey.shape
    rng = np.random.default_rng(seed)
    y, x = rng.integers(0, max(ny - side, 0) + 1), rng.integers(0, max(nx - side, 0) + 1)
    labels = case.truth.labels(0)[y : y + side, x : x + side]
    return case.grey[0, y : y + side, x : x + side], np.where(labels > 0, labels, IGNORED).astype(np.int32)


GENTLE = TrainOptions(steps=48, rate=5e-5, checkpoint_every=12, zoom=(0.5, 1.25))
"""For slices like those of the training; a quarter of the crops chooses the checkpoint."""


def _tuned(network: NetworkDetector, slices: list[LabelledSlice]) -> NetworkDetector:
    """The network fine-tuned on slices; unchanged without any."""
    if not slices:
        return network
    folder = tempfile.TemporaryDirectory()
    TUNED.append(folder)
    validation = slices[-max(len(slices) // 4, 1) :]
    training = slices[: len(slices) - len(validation)]
    path = fine_tune(training, folder.name, weights=network.weights, options=GENTLE, validation=validation)
    return replace(network, weights=str(path), fingerprint=file_hash(path))


def speed(network: NetworkDetector) -> None:
    """Seconds per slice, and seconds to paste masks beside torchvision."""
    results = []
    for side in (512, 1024, 2048):
        grey = np.tile(flat_phantoms(1)[0].grey, (1, 6, 6))[:, :side, :side]
        detector = replace(network, threads=2)
        detector(grey, grey, 0)
        start = time.perf_counter()
        found = detector(grey, grey, 0)
        seconds = time.perf_counter() - start
        results.append(
            Result(f"{side} x {side}, {len(found)} found, 2 cores", seconds, 0.8 if side == 512 else None, "<=", "s")
        )
    for side in (1024, 2048):
        ours, theirs = pasting_seconds(side)
        results += [
            Result(f"{side} x {side}, masks of 300 particles", ours, unit="s"),
            Result(f"{side} x {side}, masks: times faster than torchvision's {theirs:.2f} s", theirs / ours, 20),
        ]
    print_results("inference", results)


def peer(network: NetworkDetector) -> None:
    """Whole slices beside plain torchvision, the same weights."""
    print_results("beside torchvision's model(images)", detection.results(network.weights))


def tiles(network: NetworkDetector, side: int = 2048) -> None:
    """Slices in tiles beside a single pass; memory of a large one."""
    half = side // 2
    wide = [random_options(np.random.default_rng(UNSEEN + k), (4, half, half)) for k in range(2)]
    electrodes = [render(make_scene(options), (1, 0, 0), (1, half, half)).grey[0] for options in wide]
    flat = [random_slice(np.random.default_rng([90_000, k]), (side, side))[0] for k in range(4)]
    results = []
    for name, slices, tile in (
        (f"electrodes of {half} x {half}", [scale_grey(g.astype(np.float32)) for g in electrodes], 512),
        (f"flat phantoms of {side} x {side}", flat, network.tile),
    ):
        scores = []
        for grey in slices:
            whole = replace(network, threads=2, tile=side)(grey[None], grey[None], 0)
            cut = replace(network, threads=2, tile=tile)(grey[None], grey[None], 0)
            scores.append(score_instances(whole, cut))
        each = ", ".join(f"{s.f1:.3f}" for s in scores)
        both, matched = sum(s.truth + s.found for s in scores), sum(s.matched for s in scores)
        print(f"{name}, {both // 2} particles: {each}", flush=True)
        results.append(Result(f"{name}: F1 of tiles to one pass", 2 * matched / both, 0.99))
    large = detection.measure_alone("ours", 4096, network.weights)
    results += [
        Result(f"4096 x 4096, {large['count']} particles: memory", large["bytes"] / 2**30, 4.0, "<=", "GiB"),
        Result("its time", large["seconds"], unit="s"),
    ]
    print_results("tiles", results)


def empty(network: NetworkDetector, count: int = 6) -> None:
    """False detections in slices without particles, each scaled to full contrast."""
    rng = np.random.default_rng(UNSEEN)
    noise = [scale_grey(rng.normal(size=(128, 128)).astype(np.float32)) for _ in range(count)]
    results = [Result("noise, 128 x 128: found per slice", _found_per_slice(network, noise))]
    binder = []
    for seed in range(UNSEEN, UNSEEN + count):
        options = random_options(np.random.default_rng(seed), (8, 256, 256))
        drawn = render(make_scene(replace(options, active_fraction=0.0)), (4, 0, 0), (1, 256, 256))
        binder.append(scale_grey(drawn.grey[0].astype(np.float32)))
    results.append(Result("binder and pores, 256 x 256: found per slice", _found_per_slice(network, binder)))
    print_results("slices without a particle", results)


def heaps(network: NetworkDetector, every: int = 16) -> None:
    """Slices of casting sand: detections over more than three grains, with and without a look at the material.

    Grains are connected parts, of 8 pixels in diameter and more, of the solid eroded by 3 pixels.
    """
    if not (DATA / "sand_ct.tif").exists():
        return
    counts = np.zeros(2, int)
    rows, columns = np.ogrid[:512, :512]
    inside = (rows - 255.5) ** 2 + (columns - 255.5) ** 2 < 254**2  # the round field of view
    for image in tifffile.imread(DATA / "sand_ct.tif")[every // 2 :: every]:
        low, high = np.percentile(image[inside], [0.5, 99.5])
        grey = ((image - low) / (high - low)).astype(np.float32)
        smooth = ndimage.gaussian_filter(grey, 1.0)
        active = smooth > threshold_otsu(smooth[inside])
        grains, _ = ndimage.label(ndimage.distance_transform_edt(active) > 3)
        detected = network(grey[None], grey[None], 0).labels(0)
        for k, labels in enumerate((detected, follow_material(detected, active)[0])):
            table = overlaps_of_labels(labels, remove_small_objects(grains))
            counts[k] += np.count_nonzero(np.bincount(table.first) > 3)
    results = [
        Result("detections over more than three grains, as detected", int(counts[0])),
        Result("detections over more than three grains, by the material", int(counts[1]), 0, "<="),
    ]
    print_results("casting sand", results)


STRAIGHT = 6
"""Pixels from which on a boundary along an axis is straight; outlines of particles rarely are."""


def straight_share(labels: NDArray[Any]) -> float:
    """Share of the boundary of labels that runs straight along rows or columns for `STRAIGHT` pixels or more."""
    lengths = []
    for image in (labels, labels.T):
        above, below = image[:-1].astype(np.int64), image[1:].astype(np.int64)
        pair = np.where(above == below, -1, above * (int(image.max()) + 1) + below)
        row = np.pad(pair, ((0, 0), (0, 1)), constant_values=-1).ravel()  # no run goes on in the next row
        start = np.flatnonzero(np.append(True, row[1:] != row[:-1]))
        length = np.diff(np.append(start, len(row)))
        lengths.append(length[row[start] >= 0])
    length = np.concatenate(lengths)
    return float(length[length >= STRAIGHT].sum() / max(length.sum(), 1))


def straight(network: NetworkDetector) -> None:
    """Straight boundaries along rows and columns, as where masks are cut at their boxes, beside those of the truth."""
    cases = real_slices()
    if (DATA / "powder").exists():
        slices = as_slices(read_annotations(DATA / "powder" / "via_training.json"))
        cases |= {f"powder {n}": _case(*one) for n, one in enumerate(slices, 1)}
    results = []
    for name, case in cases.items():
        found = kept_in_a_run(network, case)
        true, ours = straight_share(case.truth.labels(0)), straight_share(found)
        results += [
            Result(f"{name}: straight share of the true boundary", true),
            Result(f"{name}: of the boundary found, over that", ours / true, 1.5, "<="),
        ]
    print_results("straight boundaries", results)


def _case(grey: NDArray[np.float32], labels: NDArray[np.int32]) -> Case:
    """An annotated image as a case."""
    return Case(grey[None], phases_of(grey)[None], Instances.from_labels(labels, 0))


def disturbed(network: NetworkDetector) -> None:
    """F1 on all real slices together, unchanged and disturbed as by other instruments."""
    changes = {"unchanged": lambda rng, one: one, **DISTURBANCES}
    cases, results = real_slices(), []
    for name, disturb in changes.items():
        changed = []
        for seed, case in enumerate(cases.values()):
            grey, labels = disturb(np.random.default_rng(seed), (case.grey[0], case.truth.labels(0)))
            truth = Instances.from_labels(remove_small_objects(labels), 0)
            changed.append(Case(grey[None], np.zeros((1, *grey.shape), np.uint8), truth))
        scores = pooled_scores(changed, detect(changed, network), 0.2, network.score)
        results.append(Result(name, scores.f1))
    print_results("real slices disturbed, F1 of all four by the network alone", results)


def _found_per_slice(network: NetworkDetector, slices: list[NDArray[np.float32]]) -> float:
    return float(np.mean([len(network(grey[None], grey[None], 0)) for grey in slices]))


def gpu(network: NetworkDetector, device: str = "cuda", sides: tuple[int, ...] = (1024, 2048), count: int = 24) -> None:
    """Half precision on a GPU: slices per second of ResNet-101 and of the given network, and the loss of accuracy."""
    if device == "cuda" and not torch.cuda.is_available():
        print("\nno GPU here: half precision on a GPU is not measured")
        return
    results = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "resnet101.safetensors"
        # random weights find as much as trained ones, at most 300 on 512 x 512 pixels, but load the heads more, since
        # their boxes cut their masks: slower than trained ones
        save_checkpoint(path, build(replace(NETWORKS["resnet101"], detections=300)))
        heavy = replace(network, weights=str(path), fingerprint=file_hash(path))
        for side in sides:
            grey = np.tile(flat_phantoms(1)[0].grey, (1, 6, 6))[:, :side, :side].repeat(count, axis=0)
            for name, detector in (("ResNet-101", heavy), (Path(network.weights).stem, network)):
                rate, busy = _slices_per_second(replace(detector, device=device, tile=side, batch=4), grey)
                required = 30.0 if (name, side) == ("ResNet-101", 1024) else None
                results += [
                    Result(f"{name}, {side} x {side}: slices per second", rate, required),
                    Result(f"{name}, {side} x {side}: share of the time that the GPU is busy", busy),
                ]
    cases = volume_phantoms()
    detectors = [replace(network, device=name, score=0.05) for name in ("cpu", device)]
    full, half = (pooled_scores(cases, detect(cases, detector)).map for detector in detectors)
    results.append(
        Result(f"{Path(network.weights).stem}: mAP, difference to full precision", abs(full - half), 0.005, "<=")
    )
    print_results("half precision on a GPU", results)


def _slices_per_second(detector: NetworkDetector, grey: NDArray[np.float32]) -> tuple[float, float]:
    """Slices per second of a stack, and the share of it that kernels ran on the GPU; NaN on a CPU."""
    detector(grey[:4], grey[:4], 0)
    activities = [torch.profiler.ProfilerActivity.CUDA] if detector.device == "cuda" else []
    start = time.perf_counter()
    detector(grey, grey, 0)
    seconds = time.perf_counter() - start
    if not activities:
        return len(grey) / seconds, float("nan")
    start = time.perf_counter()
    with torch.profiler.profile(activities=activities) as profile:
        detector(grey, grey, 0)
        torch.cuda.synchronize()
        profiled = time.perf_counter() - start
    busy = sum(event.self_device_time_total for event in profile.key_averages()) * 1e-6
    return len(grey) / seconds, busy / profiled


def pasted(
    masks: NDArray[np.float32], boxes: NDArray[np.float32], side: int
) -> tuple[list[NDArray[np.bool_]], list[NDArray[np.bool_]]]:
    """Full masks of one slice as pasted here and by torchvision, (side, side) each."""
    labels, _ = paste(masks, boxes, (side, side))
    with torch.inference_mode():
        full = paste_masks_in_image(torch.from_numpy(masks)[:, None], torch.from_numpy(boxes), (side, side))
    return [labels == i + 1 for i in range(len(masks))], [image[0].numpy() > 0.5 for image in full]


def pasting_seconds(side: int, count: int = 300) -> tuple[float, float]:
    """Seconds from 28 x 28 masks to run lengths here, and to full-size masks in torchvision."""
    rng = np.random.default_rng(0)
    low = rng.uniform(0, side - 60, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(20, 60, (count, 2))], 1).astype(np.float32)
    masks = rng.random((count, 28, 28), np.float32)
    paste(masks, boxes, (side, side))
    start = time.perf_counter()
    labels, _ = paste(masks, boxes, (side, side))
    Instances.from_labels(labels, 0)
    ours = time.perf_counter() - start
    start = time.perf_counter()
    with torch.inference_mode():
        paste_masks_in_image(torch.from_numpy(masks)[:, None], torch.from_numpy(boxes), (side, side))
    return ours, time.perf_counter() - start


class TimeDetection:
    """asv: seconds of the network on one 512 x 512 slice, random weights."""

    def setup(self) -> None:
        self.network = build(LIGHT).eval()
        self.image = torch.rand(1, 512, 512)

    def time_slice(self) -> None:
        next(detect_tiles(self.network, iter([self.image]), 1, "cpu"))


TABLES: dict[str, Callable[[NetworkDetector], None]] = {
    "phantoms": phantoms,
    "real": real,
    "speed": speed,
    "peer": peer,
    "tiles": tiles,
    "empty": empty,
    "heaps": heaps,
    "straight": straight,
    "disturbed": disturbed,
    "gpu": gpu,
    "pictures": pictures,
    "finetune": finetune,
    "powder": powder,
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_names(parser, TABLES, [name for name in TABLES if name not in ("pictures", "finetune", "powder")])
    parser.add_argument("--weights", default="shipped")
    parser.add_argument("--score", type=float, default=0.5)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    arguments = parser.parse_args()
    path = weights_path(arguments.weights)
    network = NetworkDetector(
        weights=str(path), fingerprint=file_hash(path), score=arguments.score, device=arguments.device
    )
    for name in arguments.names:
        TABLES[name](network)


if __name__ == "__main__":
    main()
