"""Feature extractors of the network, from torchvision's components."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_large, resnet
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.mobilenetv3 import InvertedResidual, InvertedResidualConfig
from torchvision.ops import Conv2dNormActivation, FrozenBatchNorm2d

Backbone = Literal["resnet10", "resnet18", "resnet50", "resnet101", "mobilenet_v3", "efficientnet_lite0"]
NormName = Literal["group", "frozen"]
BACKBONES = get_args(Backbone)
NORMS = get_args(NormName)

Norm = Callable[[int], nn.Module]

_RESNETS: dict[str, tuple[type[resnet.BasicBlock | resnet.Bottleneck], list[int]]] = {
    "resnet10": (resnet.BasicBlock, [1, 1, 1, 1]),
    "resnet18": (resnet.BasicBlock, [2, 2, 2, 2]),
    "resnet50": (resnet.Bottleneck, [3, 4, 6, 3]),
    "resnet101": (resnet.Bottleneck, [3, 4, 23, 3]),
}
"""Kind and number of blocks per stage (He et al. 2016); ResNet-10 has one of ResNet-18's two."""
_RESNET_STAGES = {"layer1": "0", "layer2": "1", "layer3": "2", "layer4": "3"}
_MOBILE_STAGES = {"3": "0", "6": "1", "12": "2", "16": "3"}
_LITE_STAGES = {"3": "0", "5": "1", "11": "2", "16": "3"}
_LITE_BLOCKS = (
    (1, 16, 3, 1, 1),
    (6, 24, 3, 2, 2),
    (6, 40, 5, 2, 2),
    (6, 80, 3, 2, 3),
    (6, 112, 5, 1, 3),
    (6, 192, 5, 2, 4),
    (6, 320, 3, 1, 1),
)
"""Blocks of EfficientNet-Lite0: expansion, channels, kernel, first stride, repeats (Tan and Le 2019, without
squeeze-and-excitation)."""


BORDER_FRACTION = 16
"""The outermost 1 / `BORDER_FRACTION` of a sample is left out of the statistics, because convolutions pad there with
values that are not those of the slice."""

_statistics: ContextVar[dict[nn.Module, tuple[Tensor, Tensor]] | None] = ContextVar("_statistics", default=None)


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation, which needs no large batches."""
    return nn.GroupNorm(_groups(channels), channels)


def _groups(channels: int) -> int:
    return min(32, channels // 8)


@contextmanager
def common_statistics() -> Iterator[None]:
    """Context in which every group norm of a feature extractor keeps the means and variances of its first images.

    Group norm makes the detections in a tile depend on everything else in that tile. When a sample of the slice goes
    through the extractor first, all tiles of the slice are normalised by the statistics of that sample. Applies to the
    current thread only.
    """
    token = _statistics.set({})
    try:
        yield
    finally:
        _statistics.reset(token)


class _SliceNorm(nn.GroupNorm):
    """Group norm that can share its statistics between the tiles of a slice; see `common_statistics`."""

    def __init__(self, channels: int) -> None:
        super().__init__(_groups(channels), channels)

    def forward(self, images: Tensor) -> Tensor:
        kept = _statistics.get()
        if kept is None:
            return self._in_half(images) if images.dtype == torch.float16 else super().forward(images)
        if self not in kept:
            kept[self] = self._moments(images)
        return nn.functional.batch_norm(images, *kept[self], self.weight, self.bias, eps=self.eps)

    def _in_half(self, images: Tensor) -> Tensor:
        """Group norm of images (n, c, ny, nx) of half precision, in channels-last layout as convolutions leave it.

        On a GPU torch's own turns them to single precision and to another layout and back, which takes longer than the
        convolution before it.
        """
        n, channels, ny, nx = images.shape
        pixels = images.permute(0, 2, 3, 1).reshape(n, ny * nx, self.num_groups, -1)
        variance, mean = torch.var_mean(pixels, (1, 3), correction=0, keepdim=True)
        scale = self.weight.reshape(self.num_groups, -1) * torch.rsqrt(variance.float() + self.eps)
        shift = self.bias.reshape(self.num_groups, -1) - mean * scale
        scale, shift = (by.to(images.dtype).reshape(n, channels, 1, 1) for by in (scale, shift))
        return torch.addcmul(shift, images, scale)

    def _moments(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel's group over all images, (channels,) each."""
        n, _, ny, nx = images.shape
        top, left = ny // BORDER_FRACTION, nx // BORDER_FRACTION
        inner = images[:, :, top : ny - top, left : nx - left].float()
        variance, mean = torch.var_mean(inner.reshape(n, self.num_groups, -1), (0, 2), correction=0)
        each = self.num_channels // self.num_groups
        return mean.repeat_interleave(each), variance.repeat_interleave(each)


def build_body(backbone: str, norm: str, slices: int) -> tuple[nn.Module, list[int]]:
    """Feature extractor with outputs at strides 4, 8, 16 and 32.

    Parameters
    ----------
    backbone
        One of `BACKBONES`.
    norm
        group, or frozen for the statistics of pretrained weights.
    slices
        Input channels.

    Returns
    -------
    body : nn.Module
        Maps (n, slices, ny, nx) float32 to features by level name "0" to "3".
    channels : list of int
        Channels of each level.
    """
    layer: Norm = _SliceNorm if norm == "group" else FrozenBatchNorm2d
    if backbone == "efficientnet_lite0":
        layer = _SliceNorm if norm == "group" else partial(FrozenBatchNorm2d, eps=1e-3)
        return IntermediateLayerGetter(_efficientnet_lite0(layer, slices), _LITE_STAGES), [24, 40, 112, 320]
    if backbone == "mobilenet_v3":
        trunk = mobilenet_v3_large(norm_layer=layer).features
        trunk[0][0] = nn.Conv2d(slices, 16, 3, stride=2, padding=1, bias=False)
        return IntermediateLayerGetter(trunk, _MOBILE_STAGES), [24, 40, 112, 960]
    trunk = resnet.ResNet(*_RESNETS[backbone], norm_layer=layer)
    trunk.conv1 = nn.Conv2d(slices, 64, 7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(trunk.conv1.weight, mode="fan_out", nonlinearity="relu")
    width = trunk.fc.in_features
    return IntermediateLayerGetter(trunk, _RESNET_STAGES), [width // 8, width // 4, width // 2, width]


def _efficientnet_lite0(norm: Norm, slices: int) -> nn.Sequential:
    """EfficientNet-Lite0 up to its last block, built from the blocks that it shares with MobileNetV3."""
    layers: list[nn.Module] = [
        Conv2dNormActivation(slices, 32, 3, stride=2, norm_layer=norm, activation_layer=nn.ReLU6)
    ]
    channels = 32
    for expansion, out, kernel, first, repeats in _LITE_BLOCKS:
        for i in range(repeats):
            config = InvertedResidualConfig(
                channels, kernel, expansion * channels, out, False, "RE", first if i == 0 else 1, 1, 1.0
            )
            layers.append(InvertedResidual(config, norm))
            channels = out
    return nn.Sequential(*layers)
