"""Functions of tomostat and of libraries give the same on small inputs."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import bench_libraries
from shapes import CUBIC, SPACINGS

DIFFERENCES = {
    "scipy.ndimage.binary_fill_holes": 0,
    "scipy.ndimage.gaussian_filter": 1e-6,
    "scipy.ndimage.distance_transform_edt": 1e-12,
    "scipy.spatial.ConvexHull": 1e-12,
    "skimage convex_hull_image": 0.2,  # pixels, not corners: coarse for small regions
    "numpy": 0,
    "pycocotools.mask.encode, areas": 0,
}
"""By library, how far results may differ."""


@pytest.mark.parametrize("table", bench_libraries.TABLES)
def test_results_agree(table):
    comparisons = list(bench_libraries.TABLES[table]((16,), 128))
    assert comparisons
    for one in comparisons:
        outcome = bench_libraries.compare(one, repeats=1)
        assert outcome.difference <= DIFFERENCES[one.library], one
        assert outcome.identical or DIFFERENCES[one.library] > 0


@pytest.mark.parametrize("spacing", SPACINGS)
def test_particles_have_voids_and_keep_off_the_edge_of_their_box(spacing):
    mask = bench_libraries.particle(40, spacing)
    assert bench_libraries.fill_voids(mask).sum() > mask.sum() + 10
    assert mask.sum() * np.prod(spacing) == pytest.approx(4 / 3 * np.pi * 20**3, rel=0.1)
    for axis in range(3):
        assert not mask.take([0, -1], axis).any()


def test_differences_are_seen():
    values = bench_libraries.particle(16, CUBIC)
    one = bench_libraries.Comparison("a", "b", "particle", lambda: values, lambda: 3 * values)
    outcome = bench_libraries.compare(one, repeats=1)
    assert not outcome.identical
    assert outcome.difference == 2
    assert not bench_libraries.compare(
        bench_libraries.Comparison("a", "b", "particle", lambda: values, lambda: values.astype(int)), repeats=1
    ).identical


def test_four_quantities_of_every_comparison():
    results = list(bench_libraries.compared(bench_libraries.voids((16,), 64), repeats=1))
    assert len(results) == 8
    row = "`fill_voids` and scipy.ndimage.binary_fill_holes, particle 16 across"
    columns = ["tomostat", "the library", "times as fast", "largest difference"]
    assert [one.name for one in results[:4]] == [f"{row}: {column}" for column in columns]
    assert results[2].value == results[1].value / results[0].value
    assert results[3].value == 0
