"""VIA files."""

from __future__ import annotations

import numpy as np
import pytest

from annotation_files import SQUARE, write_via
from tomostat.detect.annotations import read_annotations


@pytest.mark.parametrize("version", [1, 2])
def test_via_polygon(folder, version):
    inner = [[14.0, 14.0], [14.0, 18.0], [18.0, 18.0]]
    (got,) = read_annotations(write_via(folder, [(inner, "p"), (SQUARE, "p")], version=version))
    assert got.name == "a.tif"
    assert got.labels.max() == 2
    assert np.count_nonzero(got.labels) == 20 * 20
    assert got.labels[15, 17] != got.labels[25, 25] != 0  # the small one stays on top
