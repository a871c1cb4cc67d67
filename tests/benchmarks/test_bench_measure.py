"""Measuring benchmarks on small shapes: errors keep bounds, and counts equal those of numpy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import bench_measure
from benchmarks.peers import geodesic
from benchmarks.report import Result
from shapes import CUBIC, SPACINGS, ball
from stores import half_ball
from tomostat.measure.shape.moments import block_moments, centroids, covariances, grey_statistics


def values(results: list[Result]) -> dict[str, float]:
    """Values by name."""
    return {result.name: result.value for result in results}


def test_areas():
    assert bench_measure.percent(bench_measure.spheroids(1)).max() < 0.5
    assert bench_measure.percent(bench_measure.boxes(2)).max() < 0.5
    for spacing in SPACINGS:
        assert bench_measure.percent(bench_measure.planes(2, spacing)).max() < 1


def test_surface_paths():
    found = values(bench_measure.path_results((20,), 1, (1.5,)))
    assert found["surface path, R 20, mean error"] < 1
    assert found["surface path, R 20, largest error"] < 5
    assert found["shortest way around a slot of 2 x 75 voxels"] > 140


@pytest.mark.slow
def test_paths_through_the_solid():
    found = values(bench_measure.solid_results((12, 20)))
    assert found["solid path, R 12, mean error"] < 4
    assert found["solid path, R 20, mean error"] < 2.5


@pytest.mark.slow
def test_conduction_against_a_finer_grid():
    for crack in (False, True):
        coarse, fine = (bench_measure.capped_ball(12, k, crack=crack, budget=10**7)() for k in (1, 2))
        assert coarse == pytest.approx(fine, rel=0.05)


def test_a_crack_adds_resistance():
    assert bench_measure.capped_ball(12, crack=True)() > 1.05 * bench_measure.capped_ball(12)()


def test_sums_equal_those_of_numpy():
    """Volume, centroid, second moments and grey of 300 balls from one pass and from `bincount`."""
    labels = bench_measure.packed(64)
    grey = np.random.default_rng(1).integers(0, 60_000, labels.shape, np.uint16)
    moments = block_moments(labels, grey)
    count = np.bincount(labels.ravel())[1:]
    assert moments.label.tolist() == list(range(1, 301))
    grey_sum, grey_squares, *products = (total[1:] / count for total in bench_measure.rest_of_sums(labels, grey))
    mean, deviation = grey_statistics(moments)
    np.testing.assert_allclose(mean, grey_sum, rtol=1e-6)
    np.testing.assert_allclose(deviation, np.sqrt(np.maximum(grey_squares - grey_sum**2, 0)), rtol=1e-5, atol=1e-3)
    flat = labels.ravel()
    axes = (np.broadcast_to(axis, labels.shape).ravel() for axis in np.ogrid[tuple(map(slice, labels.shape))])
    centre = np.stack([np.bincount(flat, axis)[1:] / count for axis in axes], 1)
    np.testing.assert_allclose(centroids(moments, CUBIC), centre, rtol=1e-12)
    found = covariances(moments, CUBIC)
    for (i, j), product in zip(((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)), products, strict=True):
        expected = product - centre[:, i] * centre[:, j] + (1 / 12 if i == j else 0)
        np.testing.assert_allclose(found[:, i, j], expected, rtol=1e-6, atol=1e-6)


def test_sums_are_faster_than_by_regionprops():
    found = values(bench_measure.sums_results(48))
    assert found["regionprops_table for the same columns, times slower"] > 1


def test_state_of_charge():
    assert all(result.met for result in bench_measure.charge_results())


def test_detachment_by_count(tmp_path):
    """A ball of which one half lies in carbon-binder."""
    path = half_ball(tmp_path / "field.zarr")
    assert bench_measure.detachment_by_count(path, 5, np.s_[0:50, 0:50, 0:50]) == pytest.approx(0.5, abs=0.03)


def test_errors_of_detachment():
    particles = pd.DataFrame(
        {
            "found": [0.1, 0.3, 0.8],
            "true": [0.1, 0.2, 0.6],
            "uncertainty": [0.01, 0.05, 0.3],
            "resistance": [0.0, 0.2, 0.5],
            "true_resistance": [0.0, 0.1, 0.3],
            "counted": [0.6, 0.2, 0.1],
        }
    )
    found = bench_measure.contact_errors(particles, "blur 1.2, noise 0.14")
    assert [result.value for result in found[:2]] == pytest.approx([0.1, 0.1])
    assert found[2].value == pytest.approx(np.corrcoef([0.1, 0.3, 0.8], [0.1, 0.2, 0.6])[0, 1])
    assert found[3].value == pytest.approx(2 / 3)
    assert found[4].value == pytest.approx(0.1)
    assert found[6].value == pytest.approx(1 / 3)
    assert [result.required for result in found[:3]] == [0.02, 0.01, 0.98]
    assert bench_measure.contact_errors(particles, "blur 0.8 noise 0.14")[0].required is None


@pytest.mark.parametrize("method", [geodesic.ours, geodesic.voxel_graph])
def test_other_methods_give_distances_over_the_surface(method):
    """From one pole of a ball; paths over voxels are too long."""
    mask = ball(12, seed=1)
    centre = (np.array(mask.shape) - 1) / 2

    def beyond(points):
        direction = (points - centre) / np.linalg.norm(points - centre, axis=1, keepdims=True)
        return 12 * (np.arccos(np.clip(direction[:, 0], -1, 1)) - 0.6)

    points, found = method(mask, beyond)
    true = beyond(points)
    far = true > 5
    assert np.abs(found[far] / true[far] - 1).mean() < (0.03 if method is geodesic.ours else 0.25)
