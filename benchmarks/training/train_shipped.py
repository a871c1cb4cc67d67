"""Train the shipped networks on synthetic images only: flat phantoms and slices of volume phantoms.

``python -m benchmarks.training.train_shipped scratch|accurate|fast FOLDER`` trains, and resumes when it is run again:

- scratch: the accurate network from random weights;
- accurate: the accurate network further from its shipped weights;
- fast: the fast network, at first with the part of the accurate one's weights that fits into it;
- further: the fast network further from its shipped weights, in large batches, on a GPU;
- paper: ResNet-101, as in the paper, from random weights, on a GPU.

``--steps`` and ``--workers`` fit the last two to a machine. ``--ship FILE`` writes the weights as float16, with
``--mean`` their mean with others (``--share`` of these), and prints the hash for `tomostat.detect.checkpoint`.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from tomostat.detect.checkpoint import file_hash, load_checkpoint, save_checkpoint
from tomostat.detect.crops import LabelledSlice, Mixture
from tomostat.detect.initial_weights import initial_network
from tomostat.detect.kernels.architecture import FAST, NETWORKS, NetworkConfig
from tomostat.detect.kernels.grey import scale_grey
from tomostat.detect.kernels.maskrcnn import MaskRCNN, build
from tomostat.detect.kernels.random_slices import empty_slice, grain_slice, packed_slice, random_slice
from tomostat.detect.options import TrainOptions
from tomostat.detect.train import train
from tomostat.phantom import Scene, make_scene, random_options, render

FIRST_SEED, SCENES, EMPTY_SCENES = 10_000, 120, 40
"""Seeds of the volume phantoms that are trained on, with and without particles; benchmarks use others."""

OPTIONS = TrainOptions(
    steps=3200, rate=4e-4, warmup=100, average=0.998, zoom=(0.6, 1.6), precision="half", checkpoint_every=100
)
FAST_OPTIONS = replace(OPTIONS, steps=7000, zoom=(0.6, 1.9), outline=2.0, seed=3, threads=1, precision="single")
FAST_FURTHER_OPTIONS = replace(FAST_OPTIONS, steps=2500, rate=2e-4, seed=4)
ACCURATE_FURTHER_OPTIONS = replace(FAST_OPTIONS, steps=850, rate=2e-4, seed=5)

FURTHER_OPTIONS = replace(
    OPTIONS, steps=1800, batch=16, rate=6e-4, average=0.997, zoom=(0.6, 1.9), outline=2.0, seed=8, workers=7,
    device="cuda", checkpoint_every=500, smaller=0.25,
)  # fmt: skip
PAPER_OPTIONS = replace(FURTHER_OPTIONS, steps=1200, rate=4e-4, seed=7)


def _scene(seed: int, particles: bool) -> Scene:
    """The volume phantom of a seed, with or without its particles."""
    options = random_options(np.random.default_rng(seed), (16, 320, 320))
    return make_scene(options if particles else replace(options, active_fraction=0.0))


@cache
def _scenes(particles: bool) -> list[Scene]:
    """The volume phantoms that are trained on, made on all cores."""
    seeds = range(FIRST_SEED, FIRST_SEED + (SCENES if particles else EMPTY_SCENES))
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        return list(pool.map(_scene, seeds, [particles] * len(seeds)))


def phantom_slice(rng: np.random.Generator, slices: int = 1) -> LabelledSlice:
    """A slice of a volume phantom, with as many neighbours around as make `slices` in all."""
    scene = _scenes(True)[int(rng.integers(SCENES))]
    nz, ny, nx = scene.options.shape
    drawn = render(scene, (int(rng.integers(nz - slices + 1)), 0, 0), (slices, ny, nx))
    labels = np.ascontiguousarray(drawn.labels[slices // 2], np.int32)
    return scale_grey(drawn.grey.astype(np.float32), rng=rng), labels


def slice_without_particles(rng: np.random.Generator) -> LabelledSlice:
    """A slice of a volume phantom without particles."""
    scene = _scenes(False)[int(rng.integers(EMPTY_SCENES))]
    drawn = render(scene, (int(rng.integers(16)), 0, 0), (1, 320, 320))
    return scale_grey(drawn.grey[0].astype(np.float32), rng=rng), np.zeros((320, 320), np.int32)


MIXED = Mixture([random_slice, phantom_slice, empty_slice, slice_without_particles], [0.3, 0.54, 0.08, 0.08])
"""Flat and volume phantoms, some of them without particles."""

WITH_GRAINS = Mixture(
    [random_slice, phantom_slice, empty_slice, slice_without_particles, grain_slice, packed_slice],
    [0.3, 0.4, 0.07, 0.07, 0.08, 0.08],
)
"""The same, and angular grains."""


def smaller(network: MaskRCNN, config: NetworkConfig) -> MaskRCNN:
    """A network of fewer blocks and channels, with the leading part of each of another's weights."""
    given, small = network.state_dict(), build(config)
    small.load_state_dict(
        {name: given[name][tuple(map(slice, own.shape))].clone() for name, own in small.state_dict().items()}
    )
    return small


def train_scratch(folder: Path) -> Path:
    """The accurate network, from random weights."""
    return train(build(), Mixture([random_slice, phantom_slice], [0.5, 0.5]), folder / "scratch", options=OPTIONS)


def train_accurate(folder: Path) -> Path:
    """The accurate network, further from its shipped weights, also on slices without particles."""
    return train(initial_network("accurate"), MIXED, folder / "accurate", options=ACCURATE_FURTHER_OPTIONS)


def train_fast(folder: Path) -> Path:
    """The fast network, from parts of the accurate one, then further at a lower rate."""
    first = train(smaller(initial_network("accurate"), FAST), MIXED, folder / "fast", options=FAST_OPTIONS)
    return train(load_checkpoint(first).network, MIXED, folder / "fast-further", options=FAST_FURTHER_OPTIONS)


def train_further(folder: Path, **fit: int) -> Path:
    """The fast network, further from its shipped weights, on a GPU."""
    return train(initial_network("fast"), WITH_GRAINS, folder / "further", options=replace(FURTHER_OPTIONS, **fit))


def train_paper(folder: Path, **fit: int) -> Path:
    """ResNet-101 from random weights, on a GPU."""
    network = build(NETWORKS["resnet101"])
    return train(network, WITH_GRAINS, folder / "paper", options=replace(PAPER_OPTIONS, **fit))


TRAIN: dict[str, Callable[..., Path]] = {
    "scratch": train_scratch,
    "accurate": train_accurate,
    "fast": train_fast,
    "further": train_further,
    "paper": train_paper,
}


def main() -> None:
    """Train, and write the weights to the file that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=TRAIN)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, help="steps of further and paper")
    parser.add_argument("--workers", type=int, help="processes that draw their crops")
    parser.add_argument("--share", type=float, default=0.5, help="share of the other weights in the mean")
    parser.add_argument("--mean", type=Path, help="weights to take the mean with, such as those before")
    parser.add_argument("--ship", type=Path, help="file that receives the weights as float16")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    fit = {name: value for name in ("steps", "workers") if (value := getattr(arguments, name)) is not None}
    if fit and arguments.what not in ("further", "paper"):
        parser.error(f"--{next(iter(fit))} is for further and paper; {arguments.what} has steps and workers of its own")
    for particles in (True, False):
        _scenes(particles)  # before the processes that draw crops are forked
    checkpoint = load_checkpoint(TRAIN[arguments.what](arguments.folder, **fit))
    network = checkpoint.network
    if arguments.mean is not None:
        before = load_checkpoint(arguments.mean).network.state_dict()
        network.load_state_dict(
            {name: value.lerp(before[name], arguments.share) for name, value in network.state_dict().items()}
        )
    if arguments.ship is not None:
        save_checkpoint(arguments.ship, network, training=checkpoint.training, half=True)
        print(file_hash(arguments.ship))


if __name__ == "__main__":
    main()
