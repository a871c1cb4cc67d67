"""Train the shipped network: flat phantoms and slices of volume phantoms, nothing measured.

``python benchmarks/train_shipped.py FOLDER`` trains; run again to resume. ``--further`` goes on from the shipped
weights, with more electrodes, slices among them that hold no particle, and more weight on the outlines. ``--ship``
writes a mean of both, as float16, into the package and prints the hash of the file.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from tomostat.detect.checkpoint import file_hash, load_checkpoint, save_checkpoint
from tomostat.detect.crops import Slice, Source, mixture
from tomostat.detect.maskrcnn import build
from tomostat.detect.scenes import empty_slice, random_slice, scale_grey
from tomostat.detect.train import initial_network, train
from tomostat.options import TrainOptions
from tomostat.phantom import Scene, make_scene, random_options, render

FIRST_SEED, SCENES = 10_000, 120
"""Seeds of the volume phantoms that are trained on; figures are measured on others."""

OPTIONS = TrainOptions(
    steps=3200, rate=4e-4, warmup=100, average=0.998, zoom=(0.6, 1.6), precision="half", checkpoint_every=100
)
FURTHER = replace(OPTIONS, steps=2200, rate=3e-4, outline=2.0, seed=2, threads=1)
SHARE = 0.3
"""Share of the later weights in the mean that is shipped."""
SHIPPED = Path(__file__).parents[1] / "tomostat" / "detect" / "weights" / "light.safetensors"


@cache
def _scene(seed: int) -> Scene:
    return make_scene(random_options(np.random.default_rng(seed), (16, 320, 320)))


def phantom_stack(slices: int) -> Source:
    """A source of slices of the volume phantoms, with as many neighbours around as make `slices` in all."""

    def draw(rng: np.random.Generator) -> Slice:
        scene = _scene(FIRST_SEED + int(rng.integers(SCENES)))
        nz, ny, nx = scene.options.shape
        drawn = render(scene, (int(rng.integers(nz - slices + 1)), 0, 0), (slices, ny, nx))
        labels = np.ascontiguousarray(drawn.labels[slices // 2], np.int32)
        return scale_grey(drawn.grey.astype(np.float32), rng=rng), labels

    return draw


phantom_slice = phantom_stack(1)


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
    parser.add_argument("--further", action="store_true")
    parser.add_argument("--ship", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    further = arguments.folder / "further"
    if arguments.ship:
        network, about = load_checkpoint(SHIPPED)
        later, steps = load_checkpoint(further / "last.safetensors")
        pairs = zip(network.state_dict().items(), later.state_dict().values(), strict=True)
        weights = {name: (1 - SHARE) * a + SHARE * b for (name, a), b in pairs}
        save_checkpoint(SHIPPED, network, weights=weights, metadata={**about, "further": steps}, half=True)
        print(file_hash(SHIPPED))
    elif arguments.further:
        source = mixture([random_slice, phantom_slice, empty_slice, bare_slice], [0.3, 0.56, 0.07, 0.07])
        train(initial_network("shipped"), source, further, options=FURTHER)
    else:
        train(build(), mixture([random_slice, phantom_slice], [0.5, 0.5]), arguments.folder, options=OPTIONS)


if __name__ == "__main__":
    main()
