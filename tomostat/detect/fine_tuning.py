"""Fine-tuning: adapt a network to a few annotated crops, and keep what judges best on slices set aside."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from tomostat.detect.checkpoint import load_checkpoint
from tomostat.detect.crops import IGNORED, Given, Slice
from tomostat.detect.initial_weights import fitting_network
from tomostat.detect.kernels.maskrcnn import MaskRCNN
from tomostat.detect.options import TrainOptions
from tomostat.detect.predict import NetworkDetector
from tomostat.detect.train import keep_best, train
from tomostat.kernels.matching import overlaps_of_labels
from tomostat.kernels.score import score_tables

logger = logging.getLogger(__name__)

SET_ASIDE = 4
"""One in so many annotated slices judges the checkpoints where nothing else does: the last ones, for slices of a volume
are much like their neighbours."""

SHARES = (0.25, 0.5, 0.75)
"""Shares of the fine-tuned weights in the means with those before that are judged as well."""


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
        the last quarter of the slices with particles is set aside for it; of fewer than four the last checkpoint wins.
    progress
        Called with (step, steps).

    Returns
    -------
    Path
        The checkpoint, to be given as ``DetectOptions(weights=...)``.

    Raises
    ------
    ValueError, FileNotFoundError, FloatingPointError
        When nothing is annotated, the weights are none, the folder holds another training, or as in `train`.
    """
    options = options or TrainOptions()
    if validation and not any((labels > 0).any() for _, labels in validation):
        raise ValueError(f"validation: none of the {len(validation)} slices holds a particle to judge by")
    if not validation:
        slices, validation = _set_aside(slices)
    judge = partial(mean_average_precision, slices=validation) if validation else None
    source = Given(slices)
    network = fitting_network(weights, [*slices, *validation], options)
    start = {name: value.clone() for name, value in network.state_dict().items()}
    data = _hash([*slices, *validation])
    best = train(network, source, folder, options=options, data=data, validate=judge, progress=progress)
    if judge is not None:
        _judge_means(Path(folder), start, judge, options.device)
    return best


def _hash(slices: Sequence[Slice]) -> str:
    """SHA-256 of grey values and labels."""
    found = hashlib.sha256()
    for image in (image for one in slices for image in one):
        found.update(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes())
    return found.hexdigest()


def _judge_means(folder: Path, start: dict[str, Tensor], judge: Callable[[MaskRCNN], float], device: str) -> None:
    """Judge means of the weights before and after; the best of all is kept."""
    network, about = load_checkpoint(folder / "last.safetensors")
    last = {name: value.clone() for name, value in network.state_dict().items()}
    for share in SHARES:
        network.load_state_dict({name: value.lerp(last[name], share) for name, value in start.items()})
        keep_best(folder, network.to(device), {**about, "share": share}, judge)


def _set_aside(slices: Sequence[Slice]) -> tuple[list[Slice], list[Slice]]:
    """Slices to train on, and the last quarter of those with particles to judge by: neighbours stay together."""
    judges = [i for i, (_, labels) in enumerate(slices) if (labels > 0).any()]
    judges = judges[len(judges) - len(judges) // SET_ASIDE :]
    if judges:
        logger.info("%d of %d slices judge the checkpoints", len(judges), len(slices))
    return [one for i, one in enumerate(slices) if i not in judges], [slices[i] for i in judges]


def mean_average_precision(network: MaskRCNN, slices: Sequence[Slice]) -> float:
    """MAP of a network on annotated slices, found as `NetworkDetector` finds them, on the network's own device."""
    reach = network.config.slices // 2
    detector = NetworkDetector(
        weights="",
        fingerprint="",
        halo=reach,
        score=network.config.score,
        device=next(network.parameters()).device.type,
    )
    tables, scores = [], []
    network.eval()
    for grey, labels in slices:
        stack = grey.reshape(-1, *labels.shape)
        middle = detector.find(network, stack).of_slice(len(stack) // 2)
        found = middle.labels(len(stack) // 2)
        outside = np.bincount(found[labels == IGNORED], minlength=found.max() + 1)
        counted = 2 * outside <= np.bincount(found.ravel())
        table = overlaps_of_labels(np.maximum(labels, 0), np.where(counted[found], found, 0))
        tables.append(table)
        scores.append(middle.score[table.second_label - 1])
    return score_tables(tables, scores).map


__all__ = ["fine_tune", "mean_average_precision"]
