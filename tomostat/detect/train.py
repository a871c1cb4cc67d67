"""Training of the network; it can be stopped at any step and resumed with the same result."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader

from tomostat.detect.checkpoint import Checkpoint, TrainingRecord, load_checkpoint, read_header, save_checkpoint
from tomostat.detect.crops import Crops, Source
from tomostat.detect.kernels.maskrcnn import MaskRCNN
from tomostat.detect.options import TrainOptions
from tomostat.detect.predict import choose_device
from tomostat.files import atomic
from tomostat.options import as_dict

logger = logging.getLogger(__name__)

RESUMABLE_WITH = ("steps", "checkpoint_every", "threads", "workers", "device")
"""Options that may differ when a training is resumed."""

LOG_EVERY = 20
"""Steps between rows of the log."""

Validate = Callable[[MaskRCNN], float]
"""Scores a network; larger is better."""

Progress = Callable[[int, int], None]
"""Called after each step with (step, steps)."""


def _rate(step: int, options: TrainOptions) -> float:
    """Learning rate: linear warm-up, then half a cosine to zero."""
    warm = min(1.0, (step + 1) / options.warmup)
    return options.rate * warm * 0.5 * (1 + math.cos(math.pi * step / options.steps))


def _optimizer(network: MaskRCNN, options: TrainOptions) -> torch.optim.AdamW:
    """AdamW without weight decay on norms and biases."""
    weights = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in weights if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.rate)


class _Average:
    """Running average of the weights; it detects better than the weights of the last step."""

    def __init__(self, network: MaskRCNN, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: MaskRCNN, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            self.weights[name].lerp_(value, 1 - decay)


def _origin(network: MaskRCNN, options: TrainOptions, data: str) -> str:
    """Hash of everything that determines a training: initial weights, options, data."""
    known = {name: value for name, value in as_dict(options).items() if name not in RESUMABLE_WITH}
    digest = hashlib.sha256(json.dumps([known, as_dict(network.config), data], sort_keys=True).encode())
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class _State:
    """Everything that changes during a training, and the hash of its origin."""

    network: MaskRCNN
    average: _Average
    optimizer: torch.optim.AdamW
    origin: str

    def save(self, path: Path, step: int) -> None:
        """Write weights, their average and the moments of the optimizer to one file."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.weights.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
        metadata = {"step": str(step), "origin": self.origin}
        with atomic(path) as part:
            save_file(
                {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, part, metadata
            )

    def resume(self, path: Path) -> int:
        """Load what an earlier run saved, where there is such a file, and return its step.

        Raises
        ------
        ValueError
            When the earlier run had another origin.
        """
        if not path.exists():
            return 0
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        if metadata.get("origin") != self.origin:
            raise ValueError(
                f"{path.parent} holds a training with other initial weights, options or slices; give a new folder, or "
                "those that it was started with to resume it"
            )
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimizer": {}}
        for name, value in load_file(path).items():
            kind, rest = name.split(".", 1)
            parts[kind][rest] = value
        self.network.load_state_dict(parts["network"])
        for name, value in parts["average"].items():
            self.average.weights[name].copy_(value)
        moments: dict[int, dict[str, Any]] = {}
        for name, value in parts["optimizer"].items():
            index, which = name.split(".")
            moments.setdefault(int(index), {})[which] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        step = int(metadata["step"])
        logger.info("resuming at step %d from %s", step, path)
        return step


def train(
    network: MaskRCNN,
    source: Source,
    folder: str | Path,
    *,
    options: TrainOptions,
    data: str = "",
    validate: Validate | None = None,
    progress: Progress | None = None,
) -> Path:
    """Train a network; run again with the same arguments to resume.

    Parameters
    ----------
    network
        The initial network; it is trained in place.
    source
        Draws labelled slices.
    folder
        Receives ``last.safetensors`` (running average of the weights), ``best.safetensors`` (best validation),
        ``state.safetensors`` (for resuming), ``log.csv`` and ``validation.csv``.
    options
        Schedule, augmentation and seed.
    data
        Hash of the data that `source` draws from: only a training with the same hash is resumed.
    validate
        Scores a network, larger is better (such as mAP); called before the first step and every
        `options.checkpoint_every` steps.
    progress
        Called after each step with (step, steps).

    Returns
    -------
    Path
        The best checkpoint, or the last one without validation.

    Raises
    ------
    ValueError
        When the folder holds another training, or a GPU is requested and this machine has no GPU.
    FloatingPointError
        When loss or gradient are not finite; the checkpoints written before remain.
    """
    choose_device(options.device)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    origin = _origin(network, options, data)
    torch.set_num_threads(options.threads)
    network.to(options.device).train()
    network.precision = torch.bfloat16 if options.precision == "half" else None
    state = _State(network, _Average(network, options.average), _optimizer(network, options), origin)
    first = state.resume(folder / "state.safetensors")
    batches = DataLoader(Crops(source, options, first), batch_size=None, num_workers=options.workers)
    began = time.monotonic()
    if validate is not None and first == 0:  # weights that score lower than the initial ones are not kept
        _checkpoint(folder, 0, state, options, validate)
    for step, (images, targets) in enumerate(batches, start=first):
        losses = _step(network, state.optimizer, images.to(options.device), targets, step, options)
        state.average.update(network, step)
        if step % LOG_EVERY == 0:
            _log(folder / "log.csv", {"step": step, "seconds": round(time.monotonic() - began, 1), **losses})
        done = step + 1
        if progress is not None:
            progress(done, options.steps)
        if done % options.checkpoint_every == 0 or done == options.steps:
            _checkpoint(folder, done, state, options, validate)
            state.save(folder / "state.safetensors", done)
    return folder / ("best.safetensors" if validate is not None else "last.safetensors")


def _step(
    network: MaskRCNN,
    optimizer: torch.optim.AdamW,
    images: Tensor,
    targets: list[dict[str, Tensor]],
    step: int,
    options: TrainOptions,
) -> dict[str, float]:
    """Do one step of gradient descent and return the losses by name."""
    torch.manual_seed(options.seed * 1_000_003 + step)  # proposals are sampled: a resumed run samples the same ones
    targets = [{name: value.to(options.device) for name, value in target.items()} for target in targets]
    losses = network(images.expand(-1, network.config.slices, -1, -1), targets)
    weights = {"loss_box_reg": options.outline, "loss_mask": options.outline}
    total = torch.stack([weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum()
    _require_finite("loss", total.item(), step)
    for group in optimizer.param_groups:
        group["lr"] = _rate(step, options)
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0).item()
    _require_finite("norm of the gradient", norm, step)
    optimizer.step()
    return {"loss": total.item(), **{name: value.item() for name, value in losses.items()}}


def _require_finite(what: str, value: float, step: int) -> None:
    if not math.isfinite(value):
        raise FloatingPointError(
            f"{what} is {value} at step {step}; the last good checkpoint is kept, try a lower rate"
        )


def _checkpoint(folder: Path, step: int, state: _State, options: TrainOptions, validate: Validate | None) -> None:
    """Write the averaged weights; validate them."""
    path = folder / "last.safetensors"
    record = TrainingRecord(step=step, options=as_dict(options))
    save_checkpoint(path, state.network, weights=state.average.weights, training=record)
    if validate is not None:
        averaged = load_checkpoint(path)
        averaged.network.to(options.device)
        keep_best(folder, averaged, validate)


def keep_best(folder: Path, candidate: Checkpoint, validate: Validate) -> None:
    """Validate a network, write its score to the log, and the network to ``best.safetensors`` if none scored higher.

    Parameters
    ----------
    folder
        Folder of the training.
    candidate
        The network, on the device that it is to run on, and how it was trained.
    validate
        Scores a network, larger is better.
    """
    score, best, training = validate(candidate.network), folder / "best.safetensors", candidate.training
    _log(folder / "validation.csv", {"step": training.step, "share": training.share, "score": score})
    highest = read_header(best).training.validation if best.exists() else None
    if highest is None or score > highest:
        save_checkpoint(best, candidate.network, training=replace(training, validation=score))


def _log(path: Path, row: Mapping[str, float]) -> None:
    """Append one row to a CSV file."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
