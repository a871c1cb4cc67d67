"""The network: scale, ignored places, tiles, anchors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from networks import EAGER, one_particle
from tomostat.detect.checkpoint import load_checkpoint
from tomostat.detect.kernels.maskrcnn import build


def test_same_seed_same_weights():
    a, b, c = (build(EAGER, seed=s).state_dict()["rpn.head.cls_logits.weight"] for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_masks_stay_small_and_more_than_100_are_found(weights):
    network = load_checkpoint(weights).network.eval()
    with torch.inference_mode():
        found = network(torch.rand(1, 1, 160, 160))[0]
    assert found["masks"].shape[1:] == (1, 28, 28)
    assert len(found["boxes"]) > 100


def test_scale_is_native():
    """Boxes come in the image's own pixels: none larger than the image, no rescaling to 800 pixels."""
    network = build(EAGER, seed=3).eval()
    with torch.inference_mode():
        found = network(torch.rand(1, 1, 96, 128))[0]["boxes"]
    assert found[:, [0, 2]].max() <= 128
    assert found[:, [1, 3]].max() <= 96


@pytest.mark.slow
def test_the_first_slice_does_not_set_the_scale_of_all_others():
    """72 pixels are padded to 128, from which torchvision would infer a stride of 2."""
    first, second = build(EAGER, seed=3).eval(), build(EAGER, seed=3).eval()
    image = torch.rand(1, 1, 96, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        first(torch.rand(1, 1, 72, 40))
        assert torch.equal(first(image)[0]["masks"], second(image)[0]["masks"])
    for pool in (first.heads.box_roi_pool, first.heads.mask_roi_pool):
        assert pool.scales == [1 / 4, 1 / 8, 1 / 16, 1 / 32]


def test_nothing_is_learnt_from_ignored_places():
    network, target = build(EAGER), one_particle()
    rng = np.random.default_rng(0)
    low = rng.uniform(-4, 60, (300, 2))
    boxes = torch.from_numpy(np.hstack([low, low + rng.uniform(1, 40, (300, 2))])).float()
    corners = boxes.round().int().clamp(0, 64)
    ignored = torch.stack([target["ignored"][y0:y1, x0:x1].float().mean() > 0.5 for x0, y0, x1, y1 in corners])
    assert 50 < ignored.sum() < 250
    (labels,), _ = network.rpn.assign_targets_to_anchors([boxes], [target])
    assert (labels[ignored] == -1).all()
    assert (labels[~ignored] == 0).any()
    assert (labels == 1).any()
    sampled = network.heads.select_training_samples([boxes[ignored]], [target])[0][0]
    assert sampled.tolist() == target["boxes"].tolist()


@pytest.mark.parametrize("norm", ["group", pytest.param("frozen", marks=pytest.mark.slow)])
def test_tiles_of_a_slice_are_normalised_alike(norm):
    """With the statistics of the slice, features of a place do not depend on the rest of the image."""
    network = build(replace(EAGER, norm=norm)).eval()
    image = torch.rand(1, 1, 128, 512)
    other = image.clone()
    other[..., 320:] = 0.1
    with torch.inference_mode():
        here, there = (network.features(view)["1"][..., :4] for view in (image, other))
        with network.shared_statistics(image):
            alike = [network.features(view)["1"][..., :4] for view in (image, other)]
    torch.testing.assert_close(*alike, atol=2e-3, rtol=0)
    assert torch.allclose(here, there, atol=2e-3) == (norm == "frozen")


@pytest.mark.parametrize("shape", [(64, 64), (70, 100), (96, 61), pytest.param((383, 200), marks=pytest.mark.slow)])
def test_anchors_sit_on_their_pixels_for_any_size(shape):
    """A zero box regression leaves the anchors: their centres are whole strides in any slice size."""
    network = build(EAGER).eval()
    seen = []
    network.rpn.anchor_generator.register_forward_hook(lambda module, given, anchors: seen.append(anchors[0]))
    with torch.inference_mode():
        network(torch.rand(1, 1, *shape))
    centres = (seen[0][:, :2] + seen[0][:, 2:]) / 2
    wide, finest = -(-shape[1] // 64) * 64, 4
    count = 2 * (wide // finest)
    assert torch.equal(centres[:count:2, 0], torch.arange(0, wide, finest).float())
    assert torch.equal(centres[: count * 2 : count, 1], torch.tensor([0.0, finest]))
