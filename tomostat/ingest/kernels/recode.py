"""Labels and phases of other programs by tomostat's own numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tomostat.phase import Phase


def renumber(labels: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Labels by their rank among (n,) ascending `ids`, from 1; 0 stays."""
    rank = np.searchsorted(ids, labels).astype(np.uint32) + np.uint32(1)
    rank[labels == 0] = 0
    return rank


def recode(values: NDArray[np.int64], codes: Mapping[int, Phase]) -> NDArray[np.uint8]:
    """Phases, uint8, from other values that stand for them; all values have a code."""
    known = np.array(sorted(codes), np.int64)
    phases = np.array([codes[value] for value in known.tolist()], np.uint8)
    return phases[np.searchsorted(known, values)]
