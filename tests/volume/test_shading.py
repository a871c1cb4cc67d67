"""Shading: stored, subtracted, removed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from tomostat.volume import (
    interpolate_grid,
    open_flat,
    read_flat,
    read_shading,
    write_shading,
)
from volumes import noise, whole_box


def test_flat_is_grey_less_shading(filled):
    array = noise((9, 40, 300), "uint8")
    path = filled(array)
    assert read_shading(path) is None
    assert np.array_equal(read_flat(path, whole_box(array.shape)), array.astype(np.float32))
    grid = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)
    write_shading(path, grid)
    box = (slice(2, 7), slice(10, 30), slice(250, 280))
    flat = array - interpolate_grid(grid, array.shape, whole_box(array.shape))
    assert np.array_equal(read_flat(path, box), flat[box])
    assert np.array_equal(open_flat(path).compute(scheduler="synchronous"), flat)
    smooth = open_flat(path, smoothing=1.0)
    assert smooth.data.npartitions == open_flat(path).data.npartitions
    np.testing.assert_allclose(smooth.compute(scheduler="synchronous"), ndimage.gaussian_filter(flat, 1.0), rtol=1e-5)
    with pytest.raises(ValueError, match="smoothing is -1"):
        open_flat(path, smoothing=-1)
    write_shading(path, None)
    assert read_shading(path) is None
    write_shading(path, None)
