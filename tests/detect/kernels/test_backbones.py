"""Feature extractors, and group norm that shares its statistics."""

from __future__ import annotations

import pytest
import torch

from networks import TINY, one_particle
from tomostat.detect.kernels.architecture import NetworkConfig
from tomostat.detect.kernels.backbones import common_statistics
from tomostat.detect.kernels.maskrcnn import build


@pytest.mark.parametrize(
    "name", [pytest.param("resnet50", marks=pytest.mark.slow), "mobilenet_v3", "efficientnet_lite0"]
)
def test_other_backbones_give_losses(name):
    network = build(NetworkConfig(backbone=name, channels=16, box_units=16, slices=3, mask_convs=2)).train()
    losses = network(torch.rand(1, 3, 64, 64), [one_particle()])
    assert set(losses) >= {"loss_mask", "loss_box_reg", "loss_classifier", "loss_objectness", "loss_rpn_box_reg"}
    assert all(torch.isfinite(value) for value in losses.values())


def test_group_norm_of_half_precision_is_torchs():
    layer = build(TINY).body.bn1
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    images = torch.randn(2, 64, 30, 22) * torch.linspace(0.01, 8, 64)[:, None, None] + torch.linspace(-3, 3, 2).reshape(
        2, 1, 1, 1
    )
    with torch.inference_mode():
        got = layer(images.half().contiguous(memory_format=torch.channels_last))
        expected = layer(images)
    assert got.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(got.float(), expected, atol=0.02, rtol=0.01)


def test_common_statistics_are_those_of_the_sample():
    """A layer by its definition; the sample's rim, a sixteenth, counts in no statistics; nothing remains afterwards."""
    layer = build(TINY).body.bn1
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    sample, image = torch.randn(3, 64, 32, 48) * 2 + 1, torch.randn(1, 64, 20, 20)
    with torch.inference_mode():
        alone = layer(image)
        with common_statistics():
            layer(sample)
            got = layer(image)
        assert torch.equal(layer(image), alone)
    groups = sample[:, :, 2:-2, 3:-3].double().reshape(3, layer.num_groups, -1)
    mean, variance = groups.mean((0, 2)), groups.var((0, 2), correction=0)
    each = 64 // layer.num_groups
    scale = layer.weight / torch.sqrt(variance + layer.eps).repeat_interleave(each)
    shift = layer.bias - mean.repeat_interleave(each) * scale
    torch.testing.assert_close(got.double(), image * scale[:, None, None] + shift[:, None, None], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(got, alone, atol=0.1)
