"""Particles that end flat at a seam."""

from __future__ import annotations

import numpy as np

from tomostat.stitch.kernels.seams import flat_ends


def test_ends_that_thin_out_are_not_cuts() -> None:
    y, x = np.ogrid[:40, :40]
    radii = [14, 13, 11, 7, 0, 0]
    planes = np.stack([((y - 20) ** 2 + (x - 20) ** 2 < r * r) * np.uint32(3) for r in radii])
    assert flat_ends(planes, 4) == []
    planes[3] = planes[0]
    assert [number for number, *_ in flat_ends(planes, 4)] == [3]
    assert [number for number, *_ in flat_ends(planes[::-1], 2)] == [3]
