"""Painted boxes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stitching import instances_of, labels_of, stacks
from tomostat.stitch.kernels.masks import Masks
from tomostat.stitch.kernels.paint import paint_box


@given(stacks([0, 0, 1, 2, 5]), st.data())
def test_a_painted_box_is_the_box_of_the_painted_volume(stack: np.ndarray, data: st.DataObject) -> None:
    instances = instances_of(stack)
    masks = Masks(instances, labels_of(stack, instances), np.zeros(len(instances), np.uint8))
    starts = [data.draw(st.integers(0, n - 1)) for n in stack.shape]
    stops = [data.draw(st.integers(a + 1, n)) for a, n in zip(starts, stack.shape, strict=True)]
    box = tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))
    np.testing.assert_array_equal(paint_box(masks, box), stack[box])  # type: ignore[arg-type]
