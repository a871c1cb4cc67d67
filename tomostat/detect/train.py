"""Training and fine-tuning: a loop that can be stopped and resumed at any step with the same result."""

from __future__ import annotations

import csv
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader

from tomostat.detect.backbones import fetch, grey_channels, load_imagenet
from tomostat.detect.checkpoint import load_checkpoint, save_checkpoint, weights_path
from tomostat.detect.crops import IGNORED, Crops, Slice, Source, slice_source, targets_of
from tomostat.detect.maskrcnn import LIGHT, NETWORKS, MaskRCNN, NetworkConfig, anchor_sizes, build
from tomostat.detect.outline import snap_outlines
from tomostat.detect.predict import detect_tiles, found_in_tile
from tomostat.matching import overlaps_of_labels
from tomostat.options import TrainOptions, as_dict
from tomostat.score import score_tables

logger = logging.getLogger(__name__)

SET_ASIDE = 4
"""One in so many annotated slices judges the checkpoints, where nothing else does."""

SHARES = (0.25, 0.5, 0.75)
"""Shares of the fine-tuned weights in the means with those before that are judged as well."""


def initial_network(weights: str = "shipped", config: NetworkConfig = LIGHT, *, seed: int = 0) -> MaskRCNN:
    """What training starts from.

    Parameters
    ----------
    weights
        shipped, fast, random, imagenet (weights of the backbone), coco (torchvision's Mask R-CNN with ResNet-50,
        fetched from the network; what does not fit the architecture stays random) or the path of a checkpoint.
    config
        Architecture for random, imagenet and coco; a checkpoint brings its own.
    seed
        Seed of random weights.

    Raises
    ------
    ValueError, FileNotFoundError
        When the weights are none, cannot be fetched, or are of another backbone.
    """
    if weights not in ("random", "imagenet", "coco"):
        return load_checkpoint(weights_path(weights))[0]
    network = build(config, seed=seed)
    if weights == "imagenet":
        load_imagenet(network.body, config.backbone, config.norm, config.slices)
    if weights == "coco":
        _load_coco(network)
    return network


def _load_coco(network: MaskRCNN) -> None:
    """Take what fits of torchvision's Mask R-CNN, which saw COCO."""
    config = network.config
    if config.backbone != "resnet50" or config.norm != "frozen":
        raise ValueError(
            f"weights is 'coco' with {config.backbone} and {config.norm} norm; expected resnet50 and frozen"
        )
    given = fetch("maskrcnn_resnet50_fpn_v2" if config.box_convs else "maskrcnn_resnet50_fpn", "coco")
    parts = {"backbone.body.": "body.", "backbone.fpn.": "fpn.", "rpn.": "rpn.", "roi_heads.": "heads."}
    named = {
        new + name.removeprefix(old): v
        for old, new in parts.items()
        for name, v in given.items()
        if name.startswith(old)
    }
    named["body.conv1.weight"] = grey_channels(named["body.conv1.weight"], config.slices)
    own = network.state_dict()
    fit = {name: value for name, value in named.items() if name in own and own[name].shape == value.shape}
    logger.info("%d of the network's %d tensors come from COCO", len(fit), len(own))
    network.load_state_dict(own | fit)


def fine_tune(
    slices: Sequence[Slice],
    folder: str | Path,
    *,
    weights: str = "shipped",
    options: TrainOptions | None = None,
    validation: Sequence[Slice] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Adapt a network to a few annotated crops of a new data set.

    A few crops do not show all that the network will meet: what it learns of them may cost what it knew. Means of the
    weights before and after often keep both (Wortsman et al. 2022, Robust fine-tuning of zero-shot models), so that
    they are judged beside the checkpoints.

    Parameters
    ----------
    slices
        Annotated crops, as `annotations.as_slices` gives them.
    folder
        Receives checkpoints and log; run again to resume.
    weights
        What to start from.
    options
        Schedule; the default is short and gentle.
    validation
        Annotated slices that judge the checkpoints, the network as it was, and means of both, by mAP. When not given,
        every fourth of the crops with particles is set aside for it; of fewer than four the last checkpoint wins.
    progress
        Called with (step, steps).

    Returns
    -------
    Path
        The checkpoint, to be given as ``DetectOptions(weights=...)``.
    """
    options = options or TrainOptions()
    if not validation:
        slices, validation = _set_aside(slices)
    judge = partial(mean_average_precision, slices=validation) if validation else None
    source = slice_source(slices)
    network = initial_network(weights, _fitting_config(weights, slices, options), seed=options.seed)
    start = {name: value.clone() for name, value in network.state_dict().items()}
    best = train(network, source, folder, options=options, validate=judge, progress=progress)
    if judge is not None:
        _judge_means(Path(folder), start, judge)
    return best


def _judge_means(folder: Path, start: dict[str, Tensor], judge: Callable[[MaskRCNN], float]) -> None:
    """Judge means of the weights before and after; the best of all is kept."""
    network, about = load_checkpoint(folder / "last.safetensors")
    last = {name: value.clone() for name, value in network.state_dict().items()}
    for share in SHARES:
        network.load_state_dict({name: value.lerp(last[name], share) for name, value in start.items()})
        _keep_best(folder, network, {**about, "share": share}, judge)


def _set_aside(slices: Sequence[Slice]) -> tuple[list[Slice], list[Slice]]:
    """Slices to train on, and every fourth of those with particles to judge by."""
    judges = [i for i, (_, labels) in enumerate(slices) if (labels > 0).any()][SET_ASIDE - 1 :: SET_ASIDE]
    if judges:
        logger.info("%d of %d slices judge the checkpoints", len(judges), len(slices))
    return [one for i, one in enumerate(slices) if i not in judges], [slices[i] for i in judges]


def _fitting_config(weights: str, slices: Sequence[Slice], options: TrainOptions) -> NetworkConfig:
    """Architecture for weights that bring none: anchors fit the annotated particles; pretrained norms are frozen."""
    boxes = torch.cat([targets_of(labels)["boxes"] for _, labels in slices])
    edges = (boxes[:, 2:] - boxes[:, :2]).flatten().tolist()
    norm: Literal["group", "frozen"] = "group" if weights == "random" else "frozen"
    anchors = anchor_sizes(edges) if edges else LIGHT.anchors
    return replace(NETWORKS[options.network], norm=norm, slices=options.slices, anchors=anchors)


def mean_average_precision(network: MaskRCNN, slices: Sequence[Slice]) -> float:
    """MAP of a network on annotated slices, on the network's own device."""
    device = next(network.parameters()).device.type
    tables, scores = [], []
    network.eval()
    for grey, labels in slices:
        image = torch.from_numpy(grey.reshape(-1, *labels.shape)).expand(network.config.slices, -1, -1)
        tile = found_in_tile(next(detect_tiles(network, iter([image]), 1, device)), labels.shape)
        found = snap_outlines(tile.labels, image[network.config.slices // 2].numpy())
        outside = np.bincount(found[labels == IGNORED], minlength=found.max() + 1)
        counted = 2 * outside <= np.bincount(found.ravel())
        table = overlaps_of_labels(np.maximum(labels, 0), np.where(counted[found], found, 0))
        tables.append(table)
        scores.append(tile.scores[table.second_label - 1])
    return score_tables(tables, scores).map


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


def _save_state(path: Path, step: int, network: MaskRCNN, average: _Average, optimizer: torch.optim.AdamW) -> None:
    """Everything that a resume needs, in one file: weights, their average, the optimizer's moments."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.weights.items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
    aside = path.with_name(f".{path.name}.part")
    save_file({n: t.detach().cpu().contiguous().clone() for n, t in tensors.items()}, aside, {"step": str(step)})
    aside.replace(path)


def _resume(path: Path, network: MaskRCNN, average: _Average, optimizer: torch.optim.AdamW) -> int:
    """Load the state of an earlier run, if there is one; return its step."""
    if not path.exists():
        return 0
    with safe_open(path, framework="pt") as file:
        step = int(file.metadata()["step"])
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
    FloatingPointError
        When the loss is not finite; checkpoints stay as they were after the last good one.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    network.to(options.device).train()
    network.precision = torch.bfloat16 if options.precision == "half" else None
    optimizer = _optimizer(network, options)
    average = _Average(network, options.average)
    start = _resume(folder / "state.safetensors", network, average, optimizer)
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
            _save_state(folder / "state.safetensors", done, network, average, optimizer)
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
    if not math.isfinite(total.item()):
        raise FloatingPointError(
            f"loss is {total.item()} at step {step}; the last good checkpoint is kept, try a lower rate"
        )
    for group in optimizer.param_groups:
        group["lr"] = _rate(step, options)
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimizer.step()
    return {"loss": total.item(), **{name: value.item() for name, value in losses.items()}}


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
        _keep_best(folder, *load_checkpoint(folder / "last.safetensors"), validate)


def _keep_best(folder: Path, network: MaskRCNN, about: dict[str, Any], validate: Callable[[MaskRCNN], float]) -> None:
    """Validate a network and write it down when it is the best so far."""
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
