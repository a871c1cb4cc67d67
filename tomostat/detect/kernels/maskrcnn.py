"""The network: torchvision's Mask R-CNN for grey slices at their own scale (He et al. 2017).

Built from torchvision's components (backbone, feature pyramid, region proposals, heads) without its
``GeneralizedRCNN``, which rescales images to 800 pixels, keeps 100 detections and pastes every mask into a full-size
float image. Here a slice keeps its scale, and the network returns masks of 28 x 28 pixels with their boxes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from tomostat.detect.kernels.architecture import LIGHT, NetworkConfig
from tomostat.detect.kernels.backbones import build_body, common_statistics
from tomostat.detect.kernels.heads import in_precision, make_heads
from tomostat.detect.kernels.proposals import MIN_OBJECTNESS, make_proposals

MULTIPLE = 64
"""Slices are padded to multiples of the coarsest stride. Torchvision takes image size // feature size as the stride of
the anchors: for 766 pixels that is 3 instead of 4, which would move every anchor."""

_MIDDLE = 0.5
"""Grey value that becomes 0 in the network, the value that its convolutions pad with."""

_MIN_SHARE = 0.5
"""Smallest share of the proposals of 512 x 512 pixels that a slice gets: small slices may be denser than large ones."""


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
        self.rpn = make_proposals(config)
        self.heads = make_heads(config)

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
        missing = [-n % MULTIPLE for n in shape]
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
