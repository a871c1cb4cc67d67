"""The shipped network on slices that hold no particle."""

from __future__ import annotations

import numpy as np

from tomostat.detect.instances import make_detector
from tomostat.detect.options import DetectOptions
from tomostat.detect.scenes import scale_grey


def test_next_to_nothing_is_found_in_noise():
    """Noise stretched to full contrast: before training saw empty slices, 20 particles in each of these."""
    rng = np.random.default_rng(0)
    noise = np.concatenate([scale_grey(rng.normal(size=(1, 128, 128)).astype(np.float32)) for _ in range(4)])
    assert len(make_detector(DetectOptions())(noise, noise, 0)) <= 4
