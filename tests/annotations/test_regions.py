"""Drawn regions and the pixels that they cover."""

from __future__ import annotations

import numpy as np

from annotation_files import SQUARE
from tomostat.annotations.kernels.crossing import find_crossing


def test_crossing_is_found_and_touching_allowed():
    assert find_crossing(np.array([[0, 0], [2, 2], [0, 2], [2, 0.0]])) == (0, 2)
    assert find_crossing(np.array(SQUARE)) is None
    touching = np.array([[0, 0], [0, 4], [2, 2], [4, 4], [4, 0], [2, 2.0]])
    assert find_crossing(touching) is None
