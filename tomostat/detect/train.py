"""Training: a loop that can be stopped and resumed at any step with the same result."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader

from tomostat.detect.checkpoint import load_checkpoint, save_checkpoint
from tomostat.detect.crops import Crops, Source
from tomostat.detect.kernels.maskrcnn import MaskRCNN
from tomostat.detect.options import TrainOptions
from tomostat.detect.predict import choose_device
from tomostat.files import atomic
from tomostat.options import as_dict

logger = logging.getLogger(__name__)

FREE = ("steps", "checkpoint_every", "threads", "workers", "device")
"""Options that may differ when a training is resumed."""


def _rate(step: int, options: TrainOptions) -> float:
    """Learning rate: linear warm-up, then half a cosine to zero."""
    warm = min(1.0, (step + 1) / options.warmup)
    return options.rate * warm * 0.5 * (1 + math.cos(math.pi * step / options.steps))


def _optimizer(network: MaskRCNN, options: TrainOptions) -> torch.optim.AdamW:
    """AdamW without decay on norms and biases."""
    weights = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in weights if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.rate)


class _Average:
    """Running average of the weights, which detects better than the last step's."""

    def __init__(self, network: MaskRCNN, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: MaskRCNN, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            self.weights[name].lerp_(value, 1 - decay)


def _origin(network: MaskRCNN, options: TrainOptions, data: str) -> str:
    """Hash of all that a training comes from: the start, the options, the data."""
    known = {name: value for name, value in as_dict(options).items() if name not in FREE}
    found = hashlib.sha256(json.dumps([known, as_dict(network.config), data], sort_keys=True).encode())
    for name, value in network.state_dict().items():
        found.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _save_state(
    path: Path, step: int, network: MaskRCNN, average: _Average, optimizer: torch.optim.AdamW, origin: str
) -> None:
    """Everything that a resume needs, in one file: weights, their average, the optimizer's moments."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.weights.items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
    known = {"step": str(step), "origin": origin}
    with atomic(path) as part:
        save_file({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, part, known)


def _resume(path: Path, network: MaskRCNN, average: _Average, optimizer: torch.optim.AdamW, origin: str) -> int:
    """Load the state of an earlier run, if there is one; return its step.

    Raises
    ------
    ValueError
        When the earlier run came from something else.
    """
    if not path.exists():
        return 0
    with safe_open(path, framework="pt") as file:
        known = file.metadata()
    if known.get("origin") != origin:
        raise ValueError(
            f"{path.parent} holds a training of another start, other options or other slices; give a new folder, or "
            "what it was begun with to resume it"
        )
    step = int(known["step"])
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimizer": {}}
    for name, value in load_file(path).items():
        kind, rest = name.split(".", 1)
        parts[kind][rest] = value
    network.load_state_dict(parts["network"])
    for name, value in parts["average"].items():
        average.weights[name].copy_(value)
    moments: dict[int, dict[str, Any]] = {}
    for name, value in parts["optimizer"].items():
        index, which = name.split(".")
        moments.setdefault(int(index), {})[which] = value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    logger.info("resuming at step %d from %s", step, path)
    return step


def train(
    network: MaskRCNN,
    source: Source,
    folder: str | Path,
    *,
    options: TrainOptions,
    data: str = "",
    validate: Callable[[MaskRCNN], float] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Train a network; run again with the same arguments to resume.

    Parameters
    ----------
    network
        What to start from.
    source
        Where slices come from.
    folder
        Receives ``last.safetensors`` (running average of the weights), ``best.safetensors`` (best validation),
        ``state.safetensors`` (for resuming) and ``log.csv``.
    options
        Schedule, augmentation and seed.
    data
        Hash of what `source` draws from: a folder is resumed with the same alone.
    validate
        Judges a network, larger is better (mAP, say); called before the first step and every
        `options.checkpoint_every` steps.
    progress
        Called with (step, steps).

    Returns
    -------
    Path
        The best checkpoint, or the last when there is no validation.

    Raises
    ------
    ValueError
        When the folder holds another training, or a GPU is asked for and absent.
    FloatingPointError
        When loss or gradient are not finite; checkpoints stay as they were after the last good one.
    """
    choose_device(options.device)
    folder, origin = Path(folder), _origin(network, options, data)
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    network.to(options.device).train()
    network.precision = torch.bfloat16 if options.precision == "half" else None
    optimizer = _optimizer(network, options)
    average = _Average(network, options.average)
    start = _resume(folder / "state.safetensors", network, average, optimizer, origin)
    batches = DataLoader(Crops(source, options, start), batch_size=None, num_workers=options.workers)
    began = time.monotonic()
    if validate is not None and start == 0:  # what is worse than the start on the validation slices is not kept
        _checkpoint(folder, 0, network, average, options, validate)
    for step, (images, targets) in enumerate(batches, start=start):
        losses = _step(network, optimizer, images.to(options.device), targets, step, options)
        average.update(network, step)
        if step % 20 == 0:
            _log(folder / "log.csv", {"step": step, "seconds": round(time.monotonic() - began, 1), **losses})
        if progress is not None:
            progress(step + 1, options.steps)
        done = step + 1
        if done % options.checkpoint_every == 0 or done == options.steps:
            _checkpoint(folder, done, network, average, options, validate)
            _save_state(folder / "state.safetensors", done, network, average, optimizer, origin)
    return folder / ("best.safetensors" if validate is not None else "last.safetensors")


def _step(
    network: MaskRCNN,
    optimizer: torch.optim.AdamW,
    images: Tensor,
    targets: list[dict[str, Tensor]],
    step: int,
    options: TrainOptions,
) -> dict[str, float]:
    """One step of descent; returns the losses."""
    torch.manual_seed(options.seed * 1_000_003 + step)  # proposals are sampled: repeatable after a resume
    targets = [{name: value.to(options.device) for name, value in target.items()} for target in targets]
    losses = network(images.expand(-1, network.config.slices, -1, -1), targets)
    weights = {"loss_box_reg": options.outline, "loss_mask": options.outline}
    total = torch.stack([weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum()
    _require_finite("loss", total.item(), step)
    for group in optimizer.param_groups:
        group["lr"] = _rate(step, options)
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    length = torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0).item()
    _require_finite("length of the gradient", length, step)
    optimizer.step()
    return {"loss": total.item(), **{name: value.item() for name, value in losses.items()}}


def _require_finite(what: str, value: float, step: int) -> None:
    if not math.isfinite(value):
        raise FloatingPointError(
            f"{what} is {value} at step {step}; the last good checkpoint is kept, try a lower rate"
        )


def _checkpoint(
    folder: Path,
    step: int,
    network: MaskRCNN,
    average: _Average,
    options: TrainOptions,
    validate: Callable[[MaskRCNN], float] | None,
) -> None:
    """Write the averaged weights; validate them."""
    about = {"step": step, "options": as_dict(options)}
    save_checkpoint(folder / "last.safetensors", network, weights=average.weights, metadata=about)
    if validate is not None:
        averaged, known = load_checkpoint(folder / "last.safetensors")
        keep_best(folder, averaged.to(options.device), known, validate)


def keep_best(folder: Path, network: MaskRCNN, about: dict[str, Any], validate: Callable[[MaskRCNN], float]) -> None:
    """Validate a network; it is written to ``best.safetensors`` when it is the best so far, its score to the log."""
    score, best = validate(network), folder / "best.safetensors"
    _log(folder / "validation.csv", {"step": about["step"], "share": about.get("share", 1.0), "score": score})
    if not best.exists() or score > load_checkpoint(best)[1]["validation"]:
        save_checkpoint(best, network, metadata={**about, "validation": score})


def _log(path: Path, row: dict[str, float]) -> None:
    """Append one row to a CSV file."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
