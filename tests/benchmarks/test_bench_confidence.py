"""How calibration is measured, and that detections are made worse as it says."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.bench_confidence import area_under_curve, calibration_error, stitched, worsened
from shapes import ball_at
from stitching import instances_of


def test_calibration_error_and_area_under_the_curve():
    random = np.random.default_rng(0)
    confidence = random.uniform(0, 1, 20_000)
    right = random.uniform(0, 1, 20_000) < confidence
    assert calibration_error(confidence, right) < 0.02
    assert calibration_error(np.sqrt(confidence), right) > 0.1
    assert area_under_curve(confidence, right) == pytest.approx(5 / 6, abs=0.01)
    assert area_under_curve(right.astype(float), right) == 1.0
    assert area_under_curve(np.zeros(20_000), right) == 0.5


def test_worse_detections_lower_the_confidence():
    instances = instances_of(ball_at((40, 40, 40), (20, 20, 20), 15).astype(int))
    plain, labels = stitched(instances, 40)
    assert (labels > 0).sum() == instances.area.sum()
    assert worsened(instances, 40, 0, (0.0, 0.0, 0.0)).area.tolist() == instances.area.tolist()
    worse, _ = stitched(worsened(instances, 40, 0, (0.2, 0.2, 0.0)), 40)
    assert worse.confidence.max() < plain.confidence.max()
