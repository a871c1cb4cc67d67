"""Fine-tuning: adapt a network to a few annotated slices, and keep the weights that validate best."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from tomostat.detect.checkpoint import Checkpoint, load_checkpoint
from tomostat.detect.crops import IGNORED, FixedSlices, LabelledSlice
from tomostat.detect.initial_weights import initial_network_for
from tomostat.detect.kernels.maskrcnn import MaskRCNN
from tomostat.detect.options import TrainOptions
from tomostat.detect.predict import NetworkDetector
from tomostat.detect.train import Progress, Validate, keep_best, train
from tomostat.kernels.matching import overlaps_of_labels
from tomostat.kernels.score import score_tables

logger = logging.getLogger(__name__)

VALIDATION_SPLIT = 4
"""Without validation slices, the last one in so many annotated slices validates: the last ones, because neighbouring
slices of a volume are much alike."""

SHARES = (0.25, 0.5, 0.75)
"""Shares of the fine-tuned weights in the means with the initial weights that are validated as well."""


def fine_tune(
    slices: Sequence[LabelledSlice],
    folder: str | Path,
    *,
    weights: str = "shipped",
    options: TrainOptions | None = None,
    validation: Sequence[LabelledSlice] = (),
    progress: Progress | None = None,
) -> Path:
    """Adapt a network to a few annotated slices of a new data set.

    A network may lose on a few slices what it learnt before from many. Means of the weights before and after training
    often keep both (Wortsman et al. 2022, Robust fine-tuning of zero-shot models), so they are validated beside the
    checkpoints.

    Parameters
    ----------
    slices
        Annotated slices, see `annotations.as_slices`.
    folder
        Receives checkpoints and logs; run again with the same arguments to resume.
    weights
        Initial weights, see `initial_weights.initial_network`.
    options
        Schedule; the default is short, with a low learning rate.
    validation
        Annotated slices on which the checkpoints, the initial network, and means of both are validated, by mAP. When
        not given, the last quarter of the slices with particles is used for validation instead of training; with fewer
        than four such slices there is no validation, and the last checkpoint is the result.
    progress
        Called after each step with (step, steps).

    Returns
    -------
    Path
        The checkpoint, to be given as ``DetectOptions(weights=...)``.

    Raises
    ------
    ValueError, FileNotFoundError, FloatingPointError
        When nothing is annotated, there are no such weights, the folder holds another training, or as in `train`.
    """
    options = options or TrainOptions()
    if validation and not any((labels > 0).any() for _, labels in validation):
        raise ValueError(f"validation: none of the {len(validation)} slices contains a particle")
    if not validation:
        slices, validation = _split(slices)
    validate = partial(mean_average_precision, slices=validation) if validation else None
    source = FixedSlices(slices)
    network = initial_network_for(weights, [*slices, *validation], options)
    initial = {name: value.clone() for name, value in network.state_dict().items()}
    data = _hash([*slices, *validation])
    best = train(network, source, folder, options=options, data=data, validate=validate, progress=progress)
    if validate is not None:
        _validate_means(Path(folder), initial, validate, options.device)
    return best


def _hash(slices: Sequence[LabelledSlice]) -> str:
    """SHA-256 of grey values and labels."""
    digest = hashlib.sha256()
    for image in (image for one in slices for image in one):
        digest.update(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()


def _validate_means(folder: Path, initial: dict[str, Tensor], validate: Validate, device: str) -> None:
    """Validate means of the weights before and after training; the best of all is kept."""
    last = load_checkpoint(folder / "last.safetensors")
    trained = {name: value.clone() for name, value in last.network.state_dict().items()}
    for share in SHARES:
        last.network.load_state_dict({name: value.lerp(trained[name], share) for name, value in initial.items()})
        last.network.to(device)
        keep_best(folder, Checkpoint(last.network, replace(last.training, share=share)), validate)


def _split(slices: Sequence[LabelledSlice]) -> tuple[list[LabelledSlice], list[LabelledSlice]]:
    """Slices for training, and the last quarter of those with particles for validation."""
    chosen = [i for i, (_, labels) in enumerate(slices) if (labels > 0).any()]
    chosen = chosen[len(chosen) - len(chosen) // VALIDATION_SPLIT :]
    if chosen:
        logger.info("%d of %d slices are used for validation", len(chosen), len(slices))
    return [one for i, one in enumerate(slices) if i not in chosen], [slices[i] for i in chosen]


def mean_average_precision(network: MaskRCNN, slices: Sequence[LabelledSlice]) -> float:
    """MAP of a network on annotated slices: the mean of the average precision over IoU thresholds 0.5 to 0.95.

    Particles are detected as by `NetworkDetector`, on the device of the network. Detections of which more than half is
    ignored do not count.

    Parameters
    ----------
    network
        The network; set to evaluation mode.
    slices
        Annotated slices.

    Returns
    -------
    float
        0 to 1.
    """
    detector = NetworkDetector(
        weights="",
        fingerprint="",
        halo=network.config.halo,
        score=network.config.score,
        device=next(network.parameters()).device.type,
    )
    tables, scores = [], []
    network.eval()
    for grey, labels in slices:
        stack = grey.reshape(-1, *labels.shape)
        middle = detector.find(network, stack).of_slice(len(stack) // 2)
        found = middle.labels(len(stack) // 2)
        ignored = np.bincount(found[labels == IGNORED], minlength=found.max() + 1)
        counted = 2 * ignored <= np.bincount(found.ravel())
        table = overlaps_of_labels(np.maximum(labels, 0), np.where(counted[found], found, 0))
        tables.append(table)
        scores.append(middle.score[table.second_label - 1])
    return score_tables(tables, scores).map
