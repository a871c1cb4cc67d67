"""Slices as pictures of three channels."""

from __future__ import annotations

import numpy as np

from tomostat.report.kernels.layers import MOST_ROWS, PHASE_CODES, grey_layer, label_layer, map_layer
from tomostat.report.kernels.surface import STEPS, UNKNOWN


def test_grey_values_fill_the_range() -> None:
    layer = grey_layer(np.linspace(100, 4000, 600).reshape(20, 30))
    assert layer.shape == (20, 30, 3)
    assert (layer.min(), layer.max()) == (0, 255)
    assert (layer[..., 0] == layer[..., 2]).all()
    assert not grey_layer(np.full((3, 3), 7.0)).any()  # a constant slice


def test_labels_become_rows_of_the_table() -> None:
    labels = np.array([[0, 3], [900, 4]], np.uint32)
    layer = label_layer(labels.shape, labels, np.array([[0, 2], [2, 1]], np.uint8), {3: 0, 900: 700})
    row = layer[..., 0].astype(int) + 256 * layer[..., 1].astype(int) - 1
    np.testing.assert_array_equal(row, [[-1, 0], [700, -1]])
    np.testing.assert_array_equal(layer[..., 2], [[0, 2], [2, 1]])
    assert not label_layer((2, 2), None, None, {}).any()


def test_rows_beyond_two_bytes_and_phases_share_a_byte() -> None:
    labels, phases = np.array([[1, 2, 3, 0]], np.uint32), np.array([[2, 4, 1, 3]], np.uint8)
    rows = {1: 65535, 2: MOST_ROWS - 1, 3: MOST_ROWS}
    low, middle, last = np.moveaxis(label_layer(labels.shape, labels, phases, rows).astype(int), -1, 0)
    row = low + 256 * middle + 65536 * (last // PHASE_CODES) - 1
    np.testing.assert_array_equal(row, [[65535, MOST_ROWS - 1, -1, -1]])  # no number tells the third
    np.testing.assert_array_equal(last % PHASE_CODES, phases)


def test_maps_in_steps() -> None:
    values = np.array([[np.nan, 0.0], [1.0, 9.0]], np.float32)
    layer = map_layer(values.shape, [(values, 2.0), (None, 1.0)])
    np.testing.assert_array_equal(layer[..., 0], [[UNKNOWN, 0], [STEPS // 2, STEPS]])
    assert (layer[..., 1:] == UNKNOWN).all()
