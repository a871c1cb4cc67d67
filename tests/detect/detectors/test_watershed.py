"""The watershed as a detector."""

from __future__ import annotations

import numpy as np

from tomostat.detect.detectors.watershed import WatershedDetector
from tomostat.kernels.watershed import split


def test_watershed_parts_touching_discs_and_keeps_hollow_ones_whole():
    yy, xx = np.mgrid[:80, :120]
    active = (np.hypot(yy - 40, xx - 30) < 18) | (np.hypot(yy - 40, xx - 64) < 18)
    active[38:42, 28:32] = False
    labels = split(active, smoothing=1.0, depth=1.0, fill=200)
    assert len(np.unique(labels)) == 3
    assert labels[40, 30] == labels[40, 20] > 0
    found = WatershedDetector()(np.zeros((1, 80, 120), np.float32), np.where(active, np.uint8(2), np.uint8(0))[None], 4)
    assert len(found) == 2
    assert found.score.min() > 0.9


def test_empty_slices():
    nothing = np.zeros((2, 30, 30), np.uint8)
    assert len(WatershedDetector()(nothing.astype(np.float32), nothing, 0)) == 0
