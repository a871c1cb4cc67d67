"""Architectures of the network, and anchors that fit annotated particles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from tomostat.detect.kernels.backbones import BACKBONES, NORMS, Backbone, NormName
from tomostat.options import check


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Architecture of one network; stored inside its checkpoints.

    Attributes
    ----------
    backbone
        Feature extractor: resnet10, resnet18, resnet50, resnet101, mobilenet_v3 or efficientnet_lite0.
    norm
        Normalisation of the backbone: "group" (trained from scratch with small batches) or "frozen" (the statistics of
        ImageNet weights).
    slices
        Input channels: 1 (the slice), or 3 (with its neighbours z - 1 and z + 1).
    channels
        Channels of the feature pyramid.
    box_units, box_convs
        Units of the box head's dense layers, and convolutions in front of them.
    rpn_convs, mask_convs
        Convolutions of the proposal head and of the mask head.
    anchors
        Edge lengths of the square anchors in pixels, one group per pyramid level (strides 4, 8, 16, 32, 64).
    ratios
        Height by width of the anchors.
    roi_scale
        Box edge in pixels that is pooled from the stride 16 level.
    roi_samples
        Samples along each axis of a pooled cell.
    proposals
        Region proposals per 512 x 512 pixels that reach the heads; smaller slices get at least half as many.
    detections
        Largest number of detections per 512 x 512 pixels, likewise.
    nms
        Box IoU above which the less certain of two detections is dropped.
    score
        Detections below this score are dropped.
    """

    backbone: Backbone = "resnet18"
    norm: NormName = "group"
    slices: int = 1
    channels: int = 96
    box_units: int = 256
    box_convs: int = 0
    rpn_convs: int = 1
    mask_convs: int = 1
    anchors: tuple[tuple[float, ...], ...] = ((10, 14), (20, 28), (40, 57), (80, 113), (160, 226))
    ratios: tuple[float, ...] = (1.0,)
    roi_scale: int = 112
    roi_samples: int = 2
    proposals: int = 1000
    detections: int = 1000
    nms: float = 0.4
    score: float = 0.05

    def __post_init__(self) -> None:
        check(self.backbone in BACKBONES, "backbone", self.backbone, f"one of {', '.join(BACKBONES)}")
        check(self.norm in NORMS, "norm", self.norm, "group or frozen")
        check(self.slices in (1, 3), "slices", self.slices, "1 or 3")
        check(len(self.anchors) == 5, "anchors", self.anchors, "five groups of edge lengths")
        check(self.detections > 0, "detections", self.detections, "a positive number")

    @property
    def halo(self) -> int:
        """Neighbouring slices on either side that the network takes as input."""
        return self.slices // 2

    @classmethod
    def from_json(cls, text: str) -> NetworkConfig:
        """The configuration from a checkpoint's metadata."""
        values = json.loads(text)
        for name in ("anchors", "ratios"):
            values[name] = tuple(tuple(v) if isinstance(v, list) else v for v in values[name])
        return cls(**values)


LIGHT = NetworkConfig()
"""ResNet-18 that runs on two CPU cores: the accurate one of the shipped networks."""

FAST = replace(LIGHT, backbone="resnet10", channels=64, roi_samples=1)
"""Half the weights and the time of `LIGHT`: the fast one of the shipped networks, which is the default."""

_WIDE = replace(LIGHT, channels=256, box_units=1024, mask_convs=4)

NETWORKS = {
    "resnet10": FAST,
    "resnet18": LIGHT,
    "mobilenet_v3": replace(LIGHT, backbone="mobilenet_v3"),
    "efficientnet_lite0": replace(LIGHT, backbone="efficientnet_lite0"),
    "resnet50": replace(_WIDE, backbone="resnet50"),
    "resnet50_v2": replace(_WIDE, backbone="resnet50", box_convs=4, rpn_convs=2),
    "resnet101": replace(_WIDE, backbone="resnet101"),
}
"""Architectures by name: four light ones; ResNet-50 with the heads of the first and second version of torchvision's
Mask R-CNN; and ResNet-101, as in the paper."""


def anchor_sizes(diameters: Sequence[float]) -> tuple[tuple[float, ...], ...]:
    """Anchor sizes in pixels that fit annotated particles: two per pyramid level, evenly spaced in log size.

    Parameters
    ----------
    diameters
        Box edges of the annotated particles in pixels.

    Raises
    ------
    ValueError
        When `diameters` is empty.
    """
    if not len(diameters):
        raise ValueError("diameters is empty; expected the size of at least one annotated particle")
    sizes = torch.as_tensor(diameters, dtype=torch.float64)
    low, high = torch.quantile(sizes, 0.02).item(), torch.quantile(sizes, 0.98).item()
    edges = torch.logspace(0, 1, 10, base=max(high / low, 2.0), dtype=torch.float64) * low
    return tuple((round(float(a), 1), round(float(b), 1)) for a, b in edges.reshape(5, 2))
