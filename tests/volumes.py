"""Small volumes of noise, of shapes that are hard on chunks and levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tomostat.blocks import Box, Shape

ODD_SHAPES: list[Shape] = [(1, 1, 1), (1, 70, 90), (70, 1, 33), (5, 7, 300), (33, 65, 129), (130, 20, 64)]


def noise(shape: Shape, dtype: DTypeLike = "uint16", seed: int = 0) -> NDArray:
    """Whole numbers from 0 to 199."""
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


def whole_box(shape: Shape) -> Box:
    """The box that is the whole volume."""
    z, y, x = (slice(0, n) for n in shape)
    return z, y, x
