"""Shading: histograms of cells add up over blocks, and a known shading is found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from properties import examples
from shapes import shaded_blobs
from tomostat.blocks import block_grid
from tomostat.phases.kernels.counts import Bins
from tomostat.phases.kernels.shading import cell_counts, cell_numbers, fit_shading, shading_grid
from tomostat.phases.kernels.thresholds import class_means, multi_otsu
from tomostat.volume import interpolate_grid
from volumes import whole_box


@given(st.tuples(*[st.integers(1, 12)] * 3), st.tuples(*[st.integers(1, 3)] * 3), st.integers(0, 2**20))
@examples(40)
def test_cells_add_up_over_any_blocks(shape, parts, seed):
    rng = np.random.default_rng(seed)
    grey, in_field = rng.normal(size=shape).astype(np.float32), rng.random(shape) > 0.3
    cells = tuple(int(rng.integers(1, n + 1)) for n in shape)
    bins = Bins(-2, 2, 5)
    total = np.zeros((*cells, 5), int)
    core = tuple(-(-n // p) for n, p in zip(shape, parts, strict=True))
    for block in block_grid(shape, core):
        first, counts = cell_counts(grey[block.core], in_field[block.core], block.core, shape, cells, bins)
        total[tuple(slice(a, a + n) for a, n in zip(first, counts.shape, strict=False))] += counts
    expected = np.zeros_like(total)
    for voxel in zip(*np.nonzero(in_field), strict=True):
        cell = tuple(int(p) * m // n for p, m, n in zip(voxel, cells, shape, strict=True))
        expected[cell][bins.index(grey[voxel][None])[0]] += 1
    assert np.array_equal(total, expected)


def test_numbers_of_cells():
    assert cell_numbers((1, 655, 1024), (1, 1, 1), 0) == (1, 12, 12)
    assert cell_numbers((64, 256, 256), (0.2, 0.2, 0.2), 25.6) == (2, 6, 6)
    assert cell_numbers((2048, 2048, 2048), (1, 1, 1), 1) == (16, 16, 16)


@pytest.mark.parametrize(("amplitude", "error"), [(0.0, 1.0), (15.0, 1.5), (40.0, 3.0)])
def test_shading_is_found_whatever_the_content(amplitude, error):
    grey, truth = shaded_blobs(amplitude)
    cells, bins = cell_numbers(grey.shape, (1, 1, 1), 0), Bins(float(grey.min()), float(grey.max()), 256)
    smoothed = ndimage.gaussian_filter(grey, 0.7)
    _, counts = cell_counts(smoothed, None, whole_box(grey.shape), grey.shape, cells, bins)
    fit = fit_shading(counts, bins, 2)
    found = interpolate_grid(shading_grid(fit.cells, grey.shape), grey.shape, whole_box(grey.shape))
    assert (found - truth).std() < error, "of a contrast of 120"
    assert abs(np.average(fit.cells, weights=counts.sum(axis=-1))) < 1e-6
    means, _ = class_means(fit.counts, bins, multi_otsu(fit.counts, bins, 2))
    assert abs(means[1] - means[0] - 120) < 20


def test_a_grid_follows_a_linear_shading():
    """Values that are linear over the centres of cells stay linear, up to the first and the last voxel."""
    shape, cells = (1, 30, 44), (1, 3, 4)
    y, x = (np.arange(n) + 0.5 for n in cells[1:])
    values = (2.0 * y[:, None] * 10 - 1.5 * x * 11)[None]
    found = interpolate_grid(shading_grid(values, shape), shape, whole_box(shape))
    expected = 2.0 * (np.arange(30)[:, None] + 0.5) - 1.5 * (np.arange(44) + 0.5)
    assert np.allclose(found[0], expected, atol=1e-3)
