"""Electrodes of another generator: their truth is right, and particles found in them meet their bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from benchmarks import bench_boundaries
from benchmarks.bench_boundaries import Condition, Measured, ball_results, boundary_bias, electrode_results
from benchmarks.electrodes import Electrode, Image, Recipe, make_balls, make_electrode
from tomostat.kernels.score import score_labels
from tomostat.phase import Phase


def test_truth_of_the_nine_balls() -> None:
    electrode = make_balls(12, 4, Image(), 0)
    truth = electrode.truth
    assert len(truth) == 9
    np.testing.assert_allclose(truth.surface_area, 4 * np.pi * 12**2, rtol=0.01)
    np.testing.assert_allclose(truth.voxels, 4 / 3 * np.pi * 12**3, rtol=0.02)
    np.testing.assert_allclose(truth.sampled_detachment, truth.detachment, atol=0.01)
    assert (electrode.phases[electrode.labels > 0] == Phase.ACTIVE).all()
    assert np.array_equal(np.bincount(electrode.labels.ravel())[1:], truth.voxels)


def test_bias_of_a_boundary_is_signed() -> None:
    electrode = make_balls(12, 4, Image(), 0)
    assert boundary_bias(electrode, electrode.labels) == (0, 0)
    larger = np.where(ndimage.binary_dilation(electrode.labels > 0), 1, 0).astype(np.uint32)
    assert all(0.5 < bias < 1.5 for bias in boundary_bias(electrode, larger))
    smaller = np.where(ndimage.binary_erosion(electrode.labels > 0), 1, 0).astype(np.uint32)
    assert all(-1.5 < bias < -0.5 for bias in boundary_bias(electrode, smaller))


def test_electrodes_repeat_and_hold_what_their_recipe_says() -> None:
    recipe = replace(Recipe(), shape=(40, 64, 64), count=6, diameters=(12.0, 24.0))
    first, second = make_electrode(recipe, 4), make_electrode(recipe, 4)
    assert np.array_equal(first.grey, second.grey)
    assert set(np.unique(first.phases)) <= {Phase.PORE, Phase.CBD, Phase.ACTIVE}
    assert first.truth.detachment.dropna().between(0, 1).all()
    assert first.labels.max() <= len(first.truth)


@pytest.mark.slow
def test_figures_are_of_all_electrodes_of_a_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of several electrodes are joined; the truth itself has no error."""

    def measured(electrode: Electrode) -> Measured:
        truth = electrode.truth.assign(volume=electrode.truth.voxels, detachment_std=0.01, iou=1.0)
        rows = pd.concat([truth, truth.add_prefix("true_")], axis=1)
        return Measured(score_labels(electrode.labels, electrode.labels), (0.0, 0.0), rows, rows)

    monkeypatch.setattr(bench_boundaries, "measure", measured)
    monkeypatch.setattr(bench_boundaries, "SHAPE", (32, 48, 48))
    monkeypatch.setattr(bench_boundaries, "COUNT", 2)
    found = {result.name: result.value for result in electrode_results(Condition(Image()), (4, 5), strict=False)}
    assert found["particles"] == 2  # one has place in each
    assert found["detachment, found labels, mean absolute error"] == 0
    assert found["uncertainty covers at 1 sigma"] == 1


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize(("radius", "gap", "blur"), [(16, 3, 1.2), (32, 5, 1.2), (32, 5, 0.8)])
def test_nine_balls_found_by_the_network(radius: float, gap: float, blur: float) -> None:
    """Detachment, mean and largest resistance; theory is (1 - cos t) / 2, (t - sin t) / 2 and t."""
    errors = [result.value for result in ball_results(radius, gap, blur, 11)]
    assert errors[0] < 0.015
    assert errors[1] < 0.03
    assert errors[2] < 0.2
