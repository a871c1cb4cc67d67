"""The network: torchvision's Mask R-CNN for grey slices at their own scale (He et al. 2017).

Built from torchvision's components (backbone, feature pyramid, region proposals, heads) without its
``GeneralizedRCNN``, which rescales images to 800 pixels, keeps 100 detections and pastes every mask into a full-size
float image. Here a slice keeps its scale, and the network returns masks of 28 x 28 pixels with their boxes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads, maskrcnn_inference
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign, clip_boxes_to_image
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from tomostat.detect.kernels.backbones import (
    BACKBONES,
    NORMS,
    Backbone,
    NormName,
    build_body,
    common_statistics,
    group_norm,
)
from tomostat.options import check

MASK_SIZE = 28
"""Side of the masks in pixels."""

_FINEST = 4
"""Stride of the finest level of the pyramid."""
_MULTIPLE = 64
"""Slices are padded to multiples of the coarsest stride. Torchvision takes image size // feature size as the stride of
the anchors: for 766 pixels that is 3 instead of 4, which would move every anchor."""

_MIDDLE = 0.5
"""Grey value that becomes 0 in the network, the value that its convolutions pad with."""

CUT_SIDE = 0.5
"""Share of a side of its box from which on a mask that reaches it counts as cut."""

GROWTH = 0.2
"""How far a cut side is moved outwards, as a share of the size of the box."""

MAX_GROWTHS = 3
"""A box is grown so many times at most."""

MIN_OBJECTNESS = 0.05
"""Least score of a region proposal that reaches the heads at inference: below it hardly any becomes a detection."""

_MIN_SHARE = 0.5
"""Smallest share of the proposals of 512 x 512 pixels that a slice gets: small slices may be denser than large ones."""


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


class MaskRCNN(nn.Module):
    """Mask R-CNN at native scale; masks stay 28 x 28.

    Parameters
    ----------
    config
        The architecture.

    Attributes
    ----------
    precision
        Half type of the feature extractor and of the box and mask heads (torch.float16 or bfloat16); None computes in
        single precision, as boxes and scores always do.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.precision: torch.dtype | None = None
        body, widths = build_body(config.backbone, config.norm, config.slices)
        self.body = body
        self.fpn = FeaturePyramidNetwork(widths, config.channels, LastLevelMaxPool())
        self.rpn = _proposals(config)
        self.heads = _heads(config)

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """Feature pyramid of images (n, slices, ny, nx): level name to (n, channels, ny / stride, nx / stride)."""
        with in_precision(self.precision, images):
            pyramid: dict[str, Tensor] = self.fpn(self.body(_centred(images)))
        return {name: level.float() for name, level in pyramid.items()}  # boxes need single precision

    @contextmanager
    def shared_statistics(self, sample: Tensor) -> Iterator[None]:
        """Context in which all images are normalised by the statistics of a sample (n, slices, ny, nx) of one slice.

        Outside of it, group norm normalises each image by its own statistics, so that the same particle gives other
        features in another tile. Frozen norm uses the same statistics everywhere.
        """
        if self.config.norm == "frozen":
            yield
            return
        with common_statistics():
            with in_precision(self.precision, sample):
                self.body(_centred(sample))
            yield

    def forward(self, images: Tensor, targets: list[dict[str, Tensor]] | None = None) -> Any:
        """Losses while training, detections otherwise.

        Parameters
        ----------
        images
            (n, slices, ny, nx) float, grey scaled so that the volume's robust percentiles are 0 and 1.
        targets
            While training, per image: boxes (k, 4) float x0 y0 x1 y1, labels (k,) int64 of ones, masks (k, ny, nx)
            uint8, ignored (ny, nx) bool.

        Returns
        -------
        dict or list of dict
            Losses by name; or per image boxes (k, 4), scores (k,), labels (k,), masks (k, 1, 28, 28) probabilities.
        """
        shape = (int(images.shape[-2]), int(images.shape[-1]))
        shapes = [shape] * len(images)
        missing = [-n % _MULTIPLE for n in shape]
        images = nn.functional.pad(images, (0, missing[1], 0, missing[0]), value=_MIDDLE)
        features = self.features(images)
        self._scale_limits(shape)
        self.rpn.score_thresh = 0.0 if self.training else MIN_OBJECTNESS
        self.heads.box_head.precision = self.heads.mask_head.precision = self.precision
        self.heads.mask_predictor.precision = self.precision
        proposals, losses = self.rpn(ImageList(images, shapes), features, targets)
        detections, head_losses = self.heads(features, proposals, shapes, targets)
        return {**losses, **head_losses} if self.training else detections

    def _scale_limits(self, shape: tuple[int, int]) -> None:
        """Scale the numbers of proposals and detections with the area: their density is limited, not their number."""
        share = max(_MIN_SHARE, shape[0] * shape[1] / 512**2)
        for limits in (self.rpn._pre_nms_top_n, self.rpn._post_nms_top_n):
            limits["testing"] = round(self.config.proposals * share)
        self.heads.detections_per_img = round(self.config.detections * share)


def in_precision(precision: torch.dtype | None, images: Tensor) -> torch.autocast:
    """Context in which convolutions and dense layers compute in half precision; in single when it is None."""
    return torch.autocast(images.device.type, precision, enabled=precision is not None)


def _centred(images: Tensor) -> Tensor:
    """Grey values around 0 with a spread of about 1, in the memory layout that convolutions are fastest with."""
    return ((images - _MIDDLE) * 4.0).contiguous(memory_format=torch.channels_last)


def build(config: NetworkConfig = LIGHT, *, seed: int = 0) -> MaskRCNN:
    """Build a network with random weights drawn from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = MaskRCNN(config)
    converted: MaskRCNN = network.to(memory_format=torch.channels_last)
    return converted


class _Autocast(nn.Module):
    """Lets a part of the network compute in half precision; what comes out is of single precision."""

    precision: torch.dtype | None = None

    def forward(self, x: Tensor) -> Tensor:
        with in_precision(self.precision, x):
            out: Tensor = super().forward(x)
        return out.float()


class _BoxHead(_Autocast, TwoMLPHead):
    pass


class _BoxConvHead(_Autocast, FastRCNNConvFCHead):
    pass


class _MaskHead(_Autocast, MaskRCNNHeads):
    pass


class _MaskPredictor(_Autocast, MaskRCNNPredictor):
    pass


class _Proposals(RegionProposalNetwork):
    """Region proposals; anchors in ignored places are not trained on."""

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        labels, boxes = super().assign_targets_to_anchors(anchors, targets)
        for label, anchor, target in zip(labels, anchors, targets, strict=True):
            label[(label == 0) & _mostly_ignored(anchor, target["ignored"])] = -1
        return labels, boxes


class _Pooling(MultiScaleRoIAlign):
    """Pooling with the strides of the pyramid, whatever the size of the image.

    torchvision infers them from the first image that a process sees, wrongly where padding makes up much of it, and
    keeps them for all later ones.
    """

    def forward(self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]) -> Tensor:
        """Pool boxes from the levels `x`, whose finest has a stride of 4; see `MultiScaleRoIAlign.forward`."""
        ny, nx = (_FINEST * int(n) for n in x["0"].shape[-2:])
        pooled: Tensor = super().forward(x, boxes, [(ny, nx)] * len(image_shapes))
        return pooled


class _Heads(RoIHeads):
    """Box and mask heads.

    Proposals in ignored places are not trained on. A box that cuts its particle is grown, and the mask predicted again.
    """

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        detections, losses = super().forward(features, proposals, image_shapes, targets)
        if not self.training:
            for _ in range(MAX_GROWTHS):
                if not self._predict_grown(features, detections, image_shapes):
                    break
        return detections, losses

    def _predict_grown(
        self, features: dict[str, Tensor], detections: list[dict[str, Tensor]], shapes: list[tuple[int, int]]
    ) -> bool:
        """Grow boxes where masks are cut by them, in place; returns whether any grew."""
        cut = [
            cut_sides(found["masks"][:, 0], found["boxes"], shape)
            for found, shape in zip(detections, shapes, strict=True)
        ]
        chosen = [sides.any(1) for sides in cut]
        if not any(some.any() for some in chosen):
            return False
        grown = [
            grow_boxes(found["boxes"][some], sides[some], shape)
            for found, some, sides, shape in zip(detections, chosen, cut, shapes, strict=True)
        ]
        pooled = self.mask_roi_pool(features, grown, shapes)
        logits = self.mask_predictor(self.mask_head(pooled))
        labels = [found["labels"][some] for found, some in zip(detections, chosen, strict=True)]
        masks = maskrcnn_inference(logits, labels)
        for found, some, boxes, mask in zip(detections, chosen, grown, masks, strict=True):
            found["boxes"][some], found["masks"][some] = boxes, mask
        return True

    def select_training_samples(
        self, proposals: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        kept = [p[~_mostly_ignored(p, t["ignored"])] for p, t in zip(proposals, targets, strict=True)]
        samples: tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]
        samples = super().select_training_samples(kept, targets)
        return samples


def cut_sides(masks: Tensor, boxes: Tensor, shape: tuple[int, int]) -> Tensor:
    """Sides x0, y0, x1, y1 of boxes (n, 4) that cut their masks (n, m, m) within the image, (n, 4) bool.

    A round particle fills a quarter of the outermost row of its mask, one that the box cuts most of it.
    """
    filled = (masks > 0.5).float()
    along = torch.stack([filled[:, :, 0], filled[:, 0], filled[:, :, -1], filled[:, -1]], 1).mean(2)
    low, high = boxes[:, :2] > 1, boxes[:, 2:] < torch.tensor(shape[::-1], device=boxes.device) - 1
    return (along > CUT_SIDE) & torch.cat([low, high], 1)


def grow_boxes(boxes: Tensor, sides: Tensor, shape: tuple[int, int]) -> Tensor:
    """Move sides of boxes outwards, as far as the image reaches."""
    size = boxes[:, 2:] - boxes[:, :2]
    step = GROWTH * torch.cat([-size, size], 1) * sides
    return clip_boxes_to_image(boxes + step, shape)


def _mostly_ignored(boxes: Tensor, ignored: Tensor) -> Tensor:
    """Which boxes (n, 4) have more than half of their pixels ignored, (n,) bool."""
    sums = nn.functional.pad(ignored.float().cumsum(0).cumsum(1), (1, 0, 1, 0))
    ny, nx = ignored.shape
    x0, x1 = (boxes[:, i].round().long().clamp(0, nx) for i in (0, 2))
    y0, y1 = (boxes[:, i].round().long().clamp(0, ny) for i in (1, 3))
    count = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    return count > 0.5 * (y1 - y0) * (x1 - x0)


def _proposals(config: NetworkConfig) -> RegionProposalNetwork:
    """The region proposal network, with anchors of the sizes of particles."""
    generator = AnchorGenerator(config.anchors, (config.ratios,) * len(config.anchors))
    count = generator.num_anchors_per_location()[0]
    return _Proposals(
        generator,
        RPNHead(config.channels, count, config.rpn_convs),
        fg_iou_thresh=0.6,
        bg_iou_thresh=0.3,
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_top_n={"training": 600, "testing": config.proposals},
        post_nms_top_n={"training": 400, "testing": config.proposals},
        nms_thresh=0.7,
    )


def _heads(config: NetworkConfig) -> RoIHeads:
    """The box and mask heads."""
    levels = ["0", "1", "2", "3"]
    channels = config.channels
    box_pool = _Pooling(levels, 7, config.roi_samples, canonical_scale=config.roi_scale)
    mask_pool = _Pooling(levels, MASK_SIZE // 2, config.roi_samples, canonical_scale=config.roi_scale)
    if config.box_convs:
        head = _BoxConvHead((channels, 7, 7), [channels] * config.box_convs, [config.box_units], group_norm)
    else:
        head = _BoxHead(channels * 49, config.box_units)
    return _Heads(
        box_pool,
        head,
        FastRCNNPredictor(config.box_units, 2),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=112,
        positive_fraction=0.4,
        bbox_reg_weights=None,
        score_thresh=config.score,
        nms_thresh=config.nms,
        detections_per_img=config.detections,
        mask_roi_pool=mask_pool,
        mask_head=_MaskHead(channels, [channels] * config.mask_convs, 1),
        mask_predictor=_MaskPredictor(channels, channels, 2),
    )


def activation_map(
    network: MaskRCNN, image: Tensor, level: str = "0", kind: Literal["change", "strength"] = "change"
) -> Tensor:
    """Where the features of a network respond to a slice.

    Parameters
    ----------
    network
        The network.
    image
        (slices, ny, nx) float, scaled grey.
    level
        Pyramid level: "0" to "3" for strides 4 to 32.
    kind
        "change", the magnitude of the spatial gradient of the features: outlines of what the network recognises as
        particles are bright, cracks in them are not. "strength", the mean absolute feature.

    Returns
    -------
    Tensor
        (ny, nx) float; its 1st and 99th percentiles are 0 and 1, values beyond are clipped.

    Raises
    ------
    ValueError
        When there is no such level or kind.
    """
    check(level in ("0", "1", "2", "3"), "level", level, "0 to 3")
    check(kind in ("change", "strength"), "kind", kind, "change or strength")
    network.eval()
    ny, nx = (int(n) for n in image.shape[-2:])
    pad = (
        _MULTIPLE,
        _MULTIPLE + -nx % _MULTIPLE,
        _MULTIPLE,
        _MULTIPLE + -ny % _MULTIPLE,
    )  # the border of the slice is not an outline
    with torch.inference_mode():
        features = network.features(nn.functional.pad(image[None], pad, mode="replicate"))[level]
        strength = features.abs().mean(1, keepdim=True)
        if kind == "change":
            down, right = torch.gradient(features, dim=(2, 3))
            strength = (down**2 + right**2).sum(1, keepdim=True).sqrt()
        whole = (pad[2] + ny + pad[3], pad[0] + nx + pad[1])
        full = nn.functional.interpolate(strength, size=whole, mode="bilinear", align_corners=False)[0, 0]
        full = full[_MULTIPLE : _MULTIPLE + ny, _MULTIPLE : _MULTIPLE + nx]
    low, high = torch.quantile(full.flatten()[:: max(full.numel() // 10**6, 1)], torch.tensor([0.01, 0.99]))
    return ((full - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)


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
