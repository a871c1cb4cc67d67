"""Region proposals: where particles may be."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

from tomostat.detect.kernels.architecture import NetworkConfig

MIN_OBJECTNESS = 0.05
"""Least score of a region proposal that reaches the heads at inference: below it hardly any becomes a detection."""


class Proposals(RegionProposalNetwork):
    """Region proposals; anchors in ignored places are not trained on."""

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Label of every anchor and its true box; see `RegionProposalNetwork.assign_targets_to_anchors`."""
        labels, boxes = super().assign_targets_to_anchors(anchors, targets)
        for label, anchor, target in zip(labels, anchors, targets, strict=True):
            label[(label == 0) & mostly_ignored(anchor, target["ignored"])] = -1
        return labels, boxes


def mostly_ignored(boxes: Tensor, ignored: Tensor) -> Tensor:
    """Which boxes (n, 4) have more than half of their pixels ignored, (n,) bool."""
    sums = nn.functional.pad(ignored.float().cumsum(0).cumsum(1), (1, 0, 1, 0))
    ny, nx = ignored.shape
    x0, x1 = (boxes[:, i].round().long().clamp(0, nx) for i in (0, 2))
    y0, y1 = (boxes[:, i].round().long().clamp(0, ny) for i in (1, 3))
    count = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    return count > 0.5 * (y1 - y0) * (x1 - x0)


def make_proposals(config: NetworkConfig) -> RegionProposalNetwork:
    """The region proposal network, with anchors of the sizes of particles."""
    generator = AnchorGenerator(config.anchors, (config.ratios,) * len(config.anchors))
    count = generator.num_anchors_per_location()[0]
    return Proposals(
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
