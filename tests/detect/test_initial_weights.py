"""The network that training starts from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from networks import SHORT, TINY, fine_tune_tiny, slices_of_squares, squares
from tomostat.detect.checkpoint import load_checkpoint, save_checkpoint
from tomostat.detect.fine_tuning import fine_tune
from tomostat.detect.initial_weights import input_slices
from tomostat.detect.kernels.maskrcnn import build


def test_anchors_of_a_new_network_fit_the_annotated_particles(tmp_path):
    crops = slices_of_squares(2)
    path = fine_tune(crops, tmp_path, weights="random", options=replace(SHORT, steps=1, slices=3))
    config = load_checkpoint(path).network.config
    assert (config.norm, config.slices) == ("group", 3)
    assert 10 <= config.anchors[0][0] < config.anchors[-1][-1] <= 36


def test_slices_have_as_many_neighbours_as_the_network_takes(tmp_path):
    grey, labels = squares(np.random.default_rng(0))
    with pytest.raises(ValueError, match="one has 3 neighbouring slices; the network takes 1"):
        fine_tune_tiny(tmp_path, [(np.stack([grey] * 3), labels)], validation=())
    save_checkpoint(tmp_path / "three.safetensors", build(replace(TINY, slices=3)))
    assert input_slices(str(tmp_path / "three.safetensors"), SHORT) == 3
    assert input_slices("random", replace(SHORT, slices=3)) == 3
