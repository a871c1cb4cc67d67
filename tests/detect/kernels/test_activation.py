"""What the network looks at, as an image."""

from __future__ import annotations

import torch

from tomostat.detect.checkpoint import load_checkpoint
from tomostat.detect.kernels.activation import activation_map


def test_activation_map_is_a_picture_of_the_slice(weights):
    network = load_checkpoint(weights).network
    image = torch.rand(1, 80, 96)
    seen = activation_map(network, image)
    assert seen.shape == (80, 96)
    assert (seen.min(), seen.max()) == (0, 1)
