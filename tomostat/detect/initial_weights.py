"""What training starts from: shipped, random or pretrained weights, in an architecture that fits the particles."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from scipy import ndimage

from tomostat.detect.checkpoint import load_checkpoint, weights_path
from tomostat.detect.crops import Slice
from tomostat.detect.kernels.backbones import fetch, grey_channels, load_imagenet
from tomostat.detect.kernels.maskrcnn import LIGHT, NETWORKS, MaskRCNN, NetworkConfig, anchor_sizes, build
from tomostat.detect.options import TrainOptions

logger = logging.getLogger(__name__)

BARE = ("random", "imagenet", "coco")
"""Weights that bring no architecture; a checkpoint brings its own."""


def initial_network(weights: str = "shipped", config: NetworkConfig = LIGHT, *, seed: int = 0) -> MaskRCNN:
    """What training starts from.

    Parameters
    ----------
    weights
        shipped (the fast one), accurate, random, imagenet (weights of the backbone), coco (torchvision's Mask R-CNN
        with ResNet-50, fetched from the network; what does not fit the architecture stays random) or the path of a
        checkpoint.
    config
        Architecture for random, imagenet and coco; a checkpoint brings its own.
    seed
        Seed of random weights.

    Raises
    ------
    ValueError, FileNotFoundError
        When the weights are none, cannot be fetched, or are of another backbone.
    """
    if weights not in BARE:
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


def slices_seen(weights: str, options: TrainOptions) -> int:
    """Slices that the network sees at once: those of the checkpoint, or of the options where it brings none."""
    return options.slices if weights in BARE else initial_network(weights).config.slices


def fitting_network(weights: str, slices: Sequence[Slice], options: TrainOptions) -> MaskRCNN:
    """What fine-tuning starts from; anchors fit the annotated particles where the weights bring none.

    Raises
    ------
    ValueError, FileNotFoundError
        As in `initial_network`; and when slices come with other neighbours than the network sees.
    """
    config = _fitting_config(weights, slices, options) if weights in BARE else LIGHT
    network = initial_network(weights, config, seed=options.seed)
    seen = network.config.slices
    for grey, _ in slices:
        if grey.ndim == 3 and len(grey) != seen:
            raise ValueError(f"slices: one comes as {len(grey)} neighbouring ones; the network sees {seen}")
    return network


def _fitting_config(weights: str, slices: Sequence[Slice], options: TrainOptions) -> NetworkConfig:
    """The architecture of the options, with anchors of the particles' sizes; pretrained norms are frozen."""
    boxes = [box for _, labels in slices for box in ndimage.find_objects(np.maximum(labels, 0)) if box is not None]
    edges = [float(side.stop - side.start) for box in boxes for side in box]
    norm: Literal["group", "frozen"] = "group" if weights == "random" else "frozen"
    anchors = anchor_sizes(edges) if edges else LIGHT.anchors
    return replace(NETWORKS[options.network], norm=norm, slices=options.slices, anchors=anchors)
