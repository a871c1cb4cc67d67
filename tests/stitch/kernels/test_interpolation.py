"""Signed distances of masks, and the masks between two of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.ndimage import distance_transform_edt

from tomostat.instances import Instances
from tomostat.stitch.kernels.interpolation import interpolate, signed_distance


def test_depth_of_a_mask_counts_pixels_to_its_edge() -> None:
    image = np.zeros((20, 20), int)
    image[5:14, 4:17] = 1
    distance = signed_distance(Instances.from_labels(image, 0), [0])
    assert distance.box == (slice(4, 15), slice(3, 18))
    assert distance.depth.max() == 5
    assert distance.depth[0, 7] == -1


@given(npst.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_depth_is_the_exact_distance_to_the_other_kind(inner: np.ndarray) -> None:
    mask = np.pad(inner, 1)
    mask[1, 1] = True
    expected = distance_transform_edt(mask) - distance_transform_edt(~mask)
    np.testing.assert_allclose(signed_distance(Instances.from_labels(mask.astype(int), 0), [0]).depth,
                               expected[tuple(slice(a, b) for a, b in _around(mask))], rtol=1e-6)  # fmt: skip


def _around(mask: np.ndarray) -> list[tuple[int, int]]:
    """Box of a mask and one pixel around it."""
    return [(int(k.min()) - 1, int(k.max()) + 2) for k in np.nonzero(mask)]


def test_halfway_between_two_disks_lies_the_disk_of_mean_radius() -> None:
    y, x = np.ogrid[:81, :81]
    small, large = (((y - 40) ** 2 + (x - 40) ** 2 <= r * r).astype(int) for r in (10, 30))
    first, second = (signed_distance(Instances.from_labels(image, 0), [0]) for image in (small, large))
    middle = interpolate(first, second, 0.5)
    assert np.sqrt((middle.depth > 0).sum() / np.pi) == pytest.approx(20, abs=0.5)
