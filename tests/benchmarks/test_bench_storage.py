"""Storage benchmarks on a small electrode."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import bench_storage


@pytest.mark.parametrize("layouts", [bench_storage.Layouts, bench_storage.Labels])
def test_stored_values_are_read_back(layouts):
    sizes = {}
    for codec in ("none", "gzip 5"):
        layout = layouts()
        layout.setup(codec)
        try:
            layout.time_write(codec)
            layout.time_boxes(codec)
            layout.time_slices(codec)
            np.testing.assert_array_equal(layout.store.array[:], layout.store.data)
            sizes[codec] = layout.track_ratio(codec)
        finally:
            layout.teardown(codec)
        assert not layout.store.folder.exists()
    assert sizes["none"] == pytest.approx((128 / 96) ** 2, abs=0.02)  # whole chunks of 64 pixels
    assert sizes["gzip 5"] < 0.6 * sizes["none"]
