"""Tiny networks, the slices that they are trained on, and their checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tomostat.detect.checkpoint import file_hash, load_checkpoint, save_checkpoint
from tomostat.detect.crops import LabelledSlice
from tomostat.detect.fine_tuning import fine_tune
from tomostat.detect.kernels.architecture import NetworkConfig
from tomostat.detect.kernels.maskrcnn import build
from tomostat.detect.options import TrainOptions
from tomostat.detect.predict import NetworkDetector
from tomostat.instances import Instances

TINY = NetworkConfig(backbone="resnet10", channels=16, box_units=16, proposals=50)
"""Fast to train."""

EAGER = NetworkConfig(backbone="resnet10", channels=16, box_units=16, score=0.0, nms=0.9, detections=300, proposals=300)
"""Detects something with random weights."""

SHORT = TrainOptions(steps=4, batch=1, crop=64, checkpoint_every=2, workers=0, threads=1, warmup=1)


def squares(rng: np.random.Generator) -> LabelledSlice:
    """A source of slices: bright squares on dark ground."""
    labels = np.zeros((96, 96), np.int32)
    for i in range(4):
        y, x = 8 + 44 * (i // 2), 8 + 44 * (i % 2)
        labels[y : y + int(rng.integers(10, 36)), x : x + int(rng.integers(10, 36))] = i + 1
    return ((labels > 0) + rng.normal(0, 0.05, labels.shape)).astype(np.float32), labels


def slices_of_squares(count: int) -> list[LabelledSlice]:
    """Slices of squares, always the same ones."""
    return [squares(np.random.default_rng(i)) for i in range(count)]


def one_particle() -> dict[str, torch.Tensor]:
    """Training target of 64 x 64 pixels: a particle at the top, the lower half ignored."""
    masks = torch.zeros(1, 64, 64, dtype=torch.uint8)
    masks[0, 10:30, 20:44] = 1
    ignored = torch.zeros(64, 64, dtype=torch.bool)
    ignored[32:] = True
    boxes, labels = torch.tensor([[20.0, 10, 44, 30]]), torch.ones(1, dtype=torch.int64)
    return {"boxes": boxes, "labels": labels, "masks": masks, "ignored": ignored}


def detector(weights: Path, **changes) -> NetworkDetector:
    """A detector of all that a checkpoint finds, in small tiles."""
    given = {"score": 0.0, "tile": 96, "overlap": 32} | changes
    return NetworkDetector(weights=str(weights), fingerprint=file_hash(weights), **given)


def equal(a: Instances, b: Instances) -> bool:
    """Whether two tables of instances are the same."""
    return a.to_table().equals(b.to_table())


def same_weights(a: Path, b: Path) -> bool:
    """Whether two checkpoints have the same weights."""
    states = (load_checkpoint(path).network.state_dict().values() for path in (a, b))
    return all(torch.equal(x, y) for x, y in zip(*states, strict=True))


def fine_tune_tiny(folder: Path, slices: list[LabelledSlice], seed: int = 1, **changes) -> Path:
    """Fine-tune a tiny network of a seed; the folder of the training is `folder` / "out"."""
    initial = folder / f"initial{seed}.safetensors"
    save_checkpoint(initial, build(TINY, seed=seed))
    given = {"weights": str(initial), "options": SHORT, "validation": slices[:1]} | changes
    return fine_tune(slices, folder / "out", **given)
