"""Light networks compared after the same training steps; and one slice compared with a slice and its neighbours.

``python -m benchmarks.training.compare_networks [backbones] [slices] [--steps N]`` prints scores on unseen electrodes,
seconds for a slice of 512 x 512 pixels, and weights. After some hundred steps they say which network learns faster,
not how good it becomes.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.bench_detect import HEAD, UNSEEN, Case, line, pooled_scores
from benchmarks.training.train_shipped import FIRST_SEED, phantom_slice
from tomostat.detect.checkpoint import file_hash, load_checkpoint
from tomostat.detect.crops import Mixture, Source
from tomostat.detect.initial_weights import initial_network
from tomostat.detect.kernels.architecture import NETWORKS
from tomostat.detect.kernels.grey import scale_grey
from tomostat.detect.kernels.maskrcnn import MaskRCNN, build
from tomostat.detect.kernels.random_slices import random_slice
from tomostat.detect.options import TrainOptions
from tomostat.detect.predict import NetworkDetector
from tomostat.detect.train import train
from tomostat.instances import Instances
from tomostat.kernels.score import remove_small_objects
from tomostat.phantom import make_scene, random_options, render

BACKBONES = {
    "resnet18, from scratch": ("resnet18", "random"),
    "mobilenet_v3, from scratch": ("mobilenet_v3", "random"),
    "efficientnet_lite0, from scratch": ("efficientnet_lite0", "random"),
    "efficientnet_lite0, ImageNet": ("efficientnet_lite0", "imagenet"),
}
"""By name: architecture and initial weights."""


def middle_cases(count: int = 12) -> list[Case]:
    """Three slices of each of some unseen electrodes, with the true instances of the middle one."""
    cases = []
    for seed in range(UNSEEN, UNSEEN + count):
        drawn = render(make_scene(random_options(np.random.default_rng(seed))), (6, 0, 0), (3, 256, 256))
        grey = scale_grey(drawn.grey.astype(np.float32))
        truth = Instances.from_labels(remove_small_objects(drawn.labels[1]), 0)
        cases.append(Case(grey, drawn.phases, truth))
    return cases


def trained(network: MaskRCNN, source: Source, folder: Path, steps: int, rate: float) -> NetworkDetector:
    """A detector with the network after some steps of training."""
    # Depthwise convolutions are slow in half precision on a CPU.
    precision: Literal["single", "half"] = "half" if network.config.backbone.startswith("resnet") else "single"
    options = TrainOptions(
        steps=steps, rate=rate, warmup=min(50, steps), average=0.98, zoom=(0.6, 1.6), precision=precision,
        checkpoint_every=steps,
    )  # fmt: skip
    path = train(network, source, folder, options=options)
    return NetworkDetector(
        weights=str(path), fingerprint=file_hash(path), halo=network.config.halo, score=0.05, threads=2
    )


def show(name: str, detector: NetworkDetector, cases: list[Case]) -> None:
    """One row: scores on the middle slices, seconds for a slice, weights."""
    found = []
    for case in cases:
        every = detector(case.grey, case.phases, 0)
        middle = every.of_slice(1)
        labels = middle.labels(1)
        found.append(Instances.from_labels(labels, 0, np.concatenate([[0], middle.score])))
    alone = [Case(case.grey[1:2], case.phases[1:2], case.truth) for case in cases]
    weights = sum(value.numel() for value in load_checkpoint(detector.weights).network.parameters())
    costs = f"{seconds(detector):5.2f} s, {weights / 1e6:.1f} million weights"
    print(line(name, pooled_scores(alone, found, 0.0, 0.5)), costs, flush=True)


def seconds(detector: NetworkDetector) -> float:
    """Best of three for a slice of 512 x 512 pixels, two threads."""
    grey: NDArray[np.float32] = random_slice(np.random.default_rng(UNSEEN), (512, 512))[0][None]
    taken = []
    for _ in range(4):
        start = time.perf_counter()
        detector(grey, grey, 0)
        taken.append(time.perf_counter() - start)
    return min(taken[1:])


def backbones(steps: int) -> None:
    """Three light feature extractors."""
    cases, source = middle_cases(), Mixture([random_slice, phantom_slice], [0.5, 0.5])
    for name, (network, initial) in BACKBONES.items():
        config = replace(NETWORKS[network], norm="group" if initial == "random" else "frozen")
        with tempfile.TemporaryDirectory() as folder:
            show(name, trained(initial_network(initial, config), source, Path(folder), steps, 4e-4), cases)


def slices(steps: int) -> None:
    """One slice, and with its neighbours, both from the shipped weights."""
    cases = middle_cases()
    for count in (1, 3):
        shipped = initial_network("shipped")
        network = build(replace(shipped.config, slices=count))
        state = shipped.state_dict()
        state["body.conv1.weight"] = state["body.conv1.weight"].expand(-1, count, -1, -1) / count
        network.load_state_dict(state)
        with tempfile.TemporaryDirectory() as folder:
            source = partial(phantom_slice, slices=count)
            show(f"{count} slices", trained(network, source, Path(folder), steps, 1e-4), cases)


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], "backbones", "slices"], default=[])
    parser.add_argument("--steps", type=int, default=250)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(2)
    print(f"{'':31s} {HEAD}   after {arguments.steps} steps, electrodes of seeds from {FIRST_SEED}")
    for name in arguments.names or ("backbones", "slices"):
        {"backbones": backbones, "slices": slices}[name](arguments.steps)


if __name__ == "__main__":
    main()
