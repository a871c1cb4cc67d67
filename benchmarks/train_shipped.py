"""Train the shipped network: flat phantoms and slices of volume phantoms, nothing measured.

``python benchmarks/train_shipped.py FOLDER`` trains; run again to resume. Then, with the same FOLDER, ``--polish`` goes
on gently with slices among the others that hold no particle, and ``--ship`` writes the mean of both, as float16, into
the package and prints the hash of the file.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from tomostat.detect.checkpoint import file_hash, load_checkpoint, save_checkpoint
from tomostat.detect.crops import Slice, mixture
from tomostat.detect.maskrcnn import build
from tomostat.detect.scenes import empty_slice, random_slice, scale_grey
from tomostat.detect.train import train
from tomostat.options import TrainOptions
from tomostat.phantom import Scene, make_scene, random_options, render

FIRST_SEED, SCENES = 10_000, 30
"""Seeds of the volume phantoms that are trained on; figures are measured on others."""

OPTIONS = TrainOptions(
    steps=3200, rate=4e-4, warmup=100, average=0.998, zoom=(0.6, 1.6), precision="half", checkpoint_every=100
)
POLISH = TrainOptions(
    steps=260, rate=1e-4, warmup=20, average=0.98, zoom=(0.6, 1.6), precision="half", checkpoint_every=65, seed=1
)
SHIPPED = Path(__file__).parents[1] / "tomostat" / "detect" / "weights" / "light.safetensors"


@cache
def _scene(seed: int) -> Scene:
    return make_scene(random_options(np.random.default_rng(seed), (16, 320, 320)))


def phantom_slice(rng: np.random.Generator) -> Slice:
    """A slice of one of the volume phantoms."""
    scene = _scene(FIRST_SEED + int(rng.integers(SCENES)))
    nz, ny, nx = scene.options.shape
    drawn = render(scene, (int(rng.integers(nz)), 0, 0), (1, ny, nx))
    return scale_grey(drawn.grey[0].astype(np.float32), rng=rng), np.ascontiguousarray(drawn.labels[0], np.int32)


@cache
def _bare_scene(seed: int) -> Scene:
    options = random_options(np.random.default_rng(seed), (16, 320, 320))
    return make_scene(replace(options, active_fraction=0.0))


def bare_slice(rng: np.random.Generator) -> Slice:
    """A slice of a volume phantom without particles."""
    scene = _bare_scene(FIRST_SEED + int(rng.integers(6)))
    drawn = render(scene, (int(rng.integers(16)), 0, 0), (1, 320, 320))
    return scale_grey(drawn.grey[0].astype(np.float32), rng=rng), np.zeros((320, 320), np.int32)


def main() -> None:
    """Train, or write the shipped file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--polish", action="store_true")
    parser.add_argument("--ship", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    if arguments.ship:
        network, about = load_checkpoint(arguments.folder / "polished" / "last.safetensors")
        before, early = load_checkpoint(arguments.folder / "last.safetensors")
        pairs = zip(before.state_dict().items(), network.state_dict().values(), strict=True)
        weights = {name: (a + b) / 2 for (name, a), b in pairs}
        about = {**early, "polish": about, "mean": "of the weights before and after polishing"}
        save_checkpoint(SHIPPED, network, weights=weights, metadata=about, half=True)
        print(file_hash(SHIPPED))
        return
    if arguments.polish:
        network, _ = load_checkpoint(arguments.folder / "last.safetensors")
        source = mixture([random_slice, phantom_slice, empty_slice, bare_slice], [0.38, 0.42, 0.12, 0.08])
        train(network, source, arguments.folder / "polished", options=POLISH)
        return
    train(build(), mixture([random_slice, phantom_slice], [0.5, 0.5]), arguments.folder, options=OPTIONS)


if __name__ == "__main__":
    main()
