"""Box and mask heads: what a proposal is, and which of its pixels are the particle."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads, maskrcnn_inference
from torchvision.ops import MultiScaleRoIAlign, clip_boxes_to_image

from tomostat.detect.kernels.architecture import NetworkConfig
from tomostat.detect.kernels.backbones import group_norm
from tomostat.detect.kernels.proposals import mostly_ignored

MASK_SIZE = 28
"""Side of the masks in pixels."""

_FINEST = 4
"""Stride of the finest level of the pyramid."""

CUT_SIDE = 0.5
"""Share of a side of its box from which on a mask that reaches it counts as cut."""

GROWTH = 0.2
"""How far a cut side is moved outwards, as a share of the size of the box."""

MAX_GROWTHS = 3
"""A box is grown so many times at most."""


def in_precision(precision: torch.dtype | None, images: Tensor) -> torch.autocast:
    """Context in which convolutions and dense layers compute in half precision; in single when it is None."""
    return torch.autocast(images.device.type, precision, enabled=precision is not None)


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


class Heads(RoIHeads):
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
        """Detections of every image, and losses while training; see `RoIHeads.forward`."""
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
        """Samples to train on; see `RoIHeads.select_training_samples`."""
        kept = [p[~mostly_ignored(p, t["ignored"])] for p, t in zip(proposals, targets, strict=True)]
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


def make_heads(config: NetworkConfig) -> Heads:
    """The box and mask heads."""
    levels = ["0", "1", "2", "3"]
    channels = config.channels
    box_pool = _Pooling(levels, 7, config.roi_samples, canonical_scale=config.roi_scale)
    mask_pool = _Pooling(levels, MASK_SIZE // 2, config.roi_samples, canonical_scale=config.roi_scale)
    if config.box_convs:
        head = _BoxConvHead((channels, 7, 7), [channels] * config.box_convs, [config.box_units], group_norm)
    else:
        head = _BoxHead(channels * 49, config.box_units)
    return Heads(
        box_pool,
        head,
        FastRCNNPredictor(config.box_units, 2),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=112,  # of 512 in COCO, whose images are ten times as large as the crops
        positive_fraction=0.4,
        bbox_reg_weights=None,
        score_thresh=config.score,
        nms_thresh=config.nms,
        detections_per_img=config.detections,
        mask_roi_pool=mask_pool,
        mask_head=_MaskHead(channels, [channels] * config.mask_convs, 1),
        mask_predictor=_MaskPredictor(channels, channels, 2),
    )
