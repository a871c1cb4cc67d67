"""The network that training starts from: shipped, random or pretrained weights, anchors that fit the particles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from tomostat.detect.checkpoint import load_checkpoint, read_header, weights_path
from tomostat.detect.crops import LabelledSlice
from tomostat.detect.kernels.architecture import LIGHT, NETWORKS, NetworkConfig, anchor_sizes
from tomostat.detect.kernels.backbones import NormName
from tomostat.detect.kernels.maskrcnn import MaskRCNN, build
from tomostat.detect.options import TrainOptions
from tomostat.detect.pretrained import load_coco, load_imagenet

WITHOUT_ARCHITECTURE = ("random", "imagenet", "coco")
"""Weights whose architecture is that of the options; a checkpoint contains its own."""


def initial_network(weights: str = "shipped", config: NetworkConfig = LIGHT, *, seed: int = 0) -> MaskRCNN:
    """The network that training starts from.

    Parameters
    ----------
    weights
        shipped (the fast one), accurate, random, imagenet (weights of the backbone), coco (torchvision's Mask R-CNN
        with ResNet-50, downloaded; tensors that do not fit the architecture stay random) or the path of a checkpoint.
    config
        Architecture for random, imagenet and coco; a checkpoint contains its own.
    seed
        Seed of random weights.

    Raises
    ------
    ValueError, FileNotFoundError
        When there are no such weights, they cannot be fetched, or they are of another backbone.
    """
    if weights not in WITHOUT_ARCHITECTURE:
        return load_checkpoint(weights_path(weights)).network
    network = build(config, seed=seed)
    if weights == "imagenet":
        load_imagenet(network)
    if weights == "coco":
        load_coco(network)
    return network


def input_slices(weights: str, options: TrainOptions) -> int:
    """Number of slices that the network takes as input: that of the checkpoint, or of the options without one."""
    return options.slices if weights in WITHOUT_ARCHITECTURE else read_header(weights_path(weights)).config.slices


def initial_network_for(weights: str, slices: Sequence[LabelledSlice], options: TrainOptions) -> MaskRCNN:
    """The network that fine-tuning starts from; without a checkpoint, its anchors fit the annotated particles.

    Raises
    ------
    ValueError, FileNotFoundError
        As in `initial_network`; and when slices have another number of neighbours than the network takes.
    """
    config = _fitting_config(weights, slices, options) if weights in WITHOUT_ARCHITECTURE else LIGHT
    network = initial_network(weights, config, seed=options.seed)
    expected = network.config.slices
    for grey, _ in slices:
        if grey.ndim == 3 and len(grey) != expected:
            raise ValueError(f"slices: one has {len(grey)} neighbouring slices; the network takes {expected}")
    return network


def _fitting_config(weights: str, slices: Sequence[LabelledSlice], options: TrainOptions) -> NetworkConfig:
    """The architecture of the options with anchors of the particles' sizes; pretrained norms are frozen."""
    boxes = [box for _, labels in slices for box in ndimage.find_objects(np.maximum(labels, 0)) if box is not None]
    edges = [float(side.stop - side.start) for box in boxes for side in box]
    norm: NormName = "group" if weights == "random" else "frozen"
    anchors = anchor_sizes(edges) if edges else LIGHT.anchors
    return replace(NETWORKS[options.network], norm=norm, slices=options.slices, anchors=anchors)
