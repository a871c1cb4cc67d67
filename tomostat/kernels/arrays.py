"""Types of arrays by what they hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Ints32 = NDArray[np.int32]
Mask = NDArray[np.bool_]
ByteMask = NDArray[np.uint8]
"""1 inside and 0 outside, as numba kernels and arithmetic take it."""
