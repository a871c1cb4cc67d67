"""Maps made up for tests: one particle seen twice, with a planted correlation, rotation, scale, shift and flip."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from tomostat.correlate import PlaneMap
from tomostat.correlate.kernels.registration import Placement, fill_outside

LEVEL = 10.0
"""Mean of the maps, so that no value inside is 0."""


def two_maps(
    seed: int, *, side: int = 90, r: float = 0.54, noise: float = 0.15, width: float = 3.0, ratio: float = 1.3
) -> tuple[PlaneMap, PlaneMap, Placement]:
    """Two maps of a particle, 0 outside it, whose values correlate with `r` before noise; the truth of the second.

    Parameters
    ----------
    side
        Pixels of the particle.
    r
        Correlation.
    noise
        Standard deviation of the noise of both over that of their values.
    width
        Sigma of the values' structure in pixels.
    ratio
        Pixel size of the second over the first.
    """
    rng = np.random.default_rng(seed)
    whole = side + 60
    y, x = np.mgrid[:whole, :whole] - (whole - 1) / 2
    angle = np.arctan2(y, x)
    waves = 0.08 * np.cos(2 * angle + rng.uniform(0, 6)) + 0.05 * np.cos(3 * angle + rng.uniform(0, 6))
    mask = np.hypot(y, x) < 0.42 * side * (1 + waves)
    a, b = (ndimage.gaussian_filter(rng.standard_normal(mask.shape), width) for _ in range(2))
    a = (a - a[mask].mean()) / a[mask].std()
    b = b - b[mask].mean()
    b = b - a * (a[mask] @ b[mask]) / (a[mask] @ a[mask])
    b = r * a + np.sqrt(1 - r * r) * b / b[mask].std()
    truth = Placement(
        scale=ratio * float(rng.uniform(0.95, 1.05)),
        rotation=float(rng.uniform(-180, 180)),
        shift=tuple(rng.uniform(-6, 6, 2).tolist()),
        flip=bool(rng.integers(2)),
    )
    shape = (round(whole / ratio),) * 2
    matrix, offset = truth.transform(mask.shape, shape)
    back = np.linalg.inv(matrix)
    moved = ndimage.affine_transform(fill_outside(b, mask), back, -back @ offset, shape, order=3, mode="nearest")
    inside = ndimage.affine_transform(mask.astype(float), back, -back @ offset, shape, order=1) > 0.5
    first, second = (
        np.where(where, LEVEL + values + noise * rng.standard_normal(values.shape), 0.0)
        for values, where in ((a, mask), (moved, inside))
    )
    return PlaneMap(first, 1.0, "density"), PlaneMap(second, ratio, "valence"), truth
