"""How calibration is measured, and that detections are made worse as it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.bench_confidence import Judged, area_under_curve, calibration_error, fitted, worsened
from shapes import ball_at
from stitching import instances_of
from tomostat.stitch.kernels.confidence import ParticleEvidence


def test_calibration_error_and_area_under_the_curve():
    random = np.random.default_rng(0)
    confidence = random.uniform(0, 1, 20_000)
    right = random.uniform(0, 1, 20_000) < confidence
    assert calibration_error(confidence, right) < 0.02
    assert calibration_error(np.sqrt(confidence), right) > 0.1
    assert area_under_curve(confidence, right) == pytest.approx(5 / 6, abs=0.01)
    assert area_under_curve(right.astype(float), right) == 1.0
    assert area_under_curve(np.zeros(20_000), right) == 0.5


@pytest.mark.slow
def test_detections_are_made_worse_and_keep_their_scores():
    whole = instances_of(ball_at((40, 40, 40), (20, 20, 20), 15).astype(int))
    whole = replace(whole, score=np.linspace(0.5, 1, len(whole), dtype=np.float32))
    assert worsened(whole, 40, 0, (0.0, 0.0, 0.0)).to_table().equals(whole.to_table())
    worse = worsened(whole, 40, 0, (0.3, 0.3, 0.0))
    assert worse.area.sum() < whole.area.sum()
    scores = dict(zip(whole.slice.tolist(), whole.score.tolist(), strict=True))
    assert all(score == scores[z] for z, score in zip(worse.slice.tolist(), worse.score.tolist(), strict=True))
    assert len(worse) > len(np.unique(worse.slice))


def test_a_fit_finds_what_the_chances_were_made_of():
    random = np.random.default_rng(1)
    count = 20_000
    score, roundness, parts = random.uniform(0, 1, (3, count))
    known = {"score": score, "roundness": roundness, "parts": parts, "agreement": np.full(count, np.nan)}
    rest = dict.fromkeys(("doubt", "unevenness", "missed"), np.zeros(count))
    evidence = ParticleEvidence(particle=np.arange(count, dtype=np.uint32), **known, **rest)
    odds = 3 * evidence.score - 2 * (evidence.parts - 1) - 2.5
    right = random.uniform(0, 1, count) < 1 / (1 + np.exp(-odds))
    found = fitted([Judged(evidence, right, None)], ("score", "parts", "constant"))
    assert found == pytest.approx([3, -2, -2.5], abs=0.2)
