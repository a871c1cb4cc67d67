"""Correlation of two maps whose pixels are alike with their neighbours, with intervals by a block bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.special import stdtrit
from scipy.stats import rankdata

from tomostat.kernels.arrays import Doubles, Mask

LEAST_BLOCKS = 4
"""Fewest blocks that the mask must hold for an interval."""


@dataclass(frozen=True)
class BlockCorrelation:
    """A correlation with its interval.

    Attributes
    ----------
    value
        The correlation; NaN where one of the maps does not vary.
    interval
        (2,) confidence interval; NaN with fewer than `LEAST_BLOCKS` blocks.
    """

    value: float
    interval: Doubles


def correlation_length(values: Doubles, mask: Mask) -> float:
    """Distance in pixels at which the autocorrelation of a map inside a mask falls below 1/e.

    Masked autocorrelation by Fourier transforms, averaged over directions.
    """
    centred = np.where(mask, values - values[mask].mean(), 0.0)
    shape = tuple(fft.next_fast_len(2 * n) for n in values.shape)
    power, pairs = (np.abs(fft.rfft2(part, shape)) ** 2 for part in (centred, mask.astype(np.float64)))
    covariance, count = (fft.irfft2(part, shape) for part in (power, pairs))
    lags = np.hypot(*np.meshgrid(*(np.minimum(np.arange(n), n - np.arange(n)) for n in shape), indexing="ij"))
    known = count > 0.25 * count.max()
    ring = np.rint(lags[known]).astype(np.intp)
    total, weight = np.bincount(ring, covariance[known]), np.bincount(ring, count[known])
    curve = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    if curve[0] <= 0:
        return 0.0
    below = np.flatnonzero(curve < curve[0] / np.e)
    if not below.size:
        return float(len(curve))
    last = int(below[0]) - 1
    return last + float((curve[last] - curve[0] / np.e) / (curve[last] - curve[last + 1]))


def block_side(first: Doubles, second: Doubles, mask: Mask) -> int:
    """Side of blocks for the bootstrap: four times the shorter of the correlation lengths.

    The product of two maps, on which their correlation rests, is alike over about the shorter of their lengths.
    """
    return max(int(np.ceil(4 * min(correlation_length(first, mask), correlation_length(second, mask)))), 1)


def block_correlation(
    first: Doubles,
    second: Doubles,
    mask: Mask,
    *,
    side: int,
    confidence: float,
    resamples: int,
    rng: np.random.Generator,
) -> BlockCorrelation:
    """Pearson's correlation inside a mask, with an interval by a moving-block bootstrap.

    Kuensch, Annals of Statistics 17, 1217 (1989), on blocks of pixels. The interval is symmetric in Fisher's z, with
    the standard deviation of the resamples and Student's t for the number of blocks that fit side by side.

    Parameters
    ----------
    first, second, mask
        (h, w) maps and the pixels that count.
    side
        Side of a block in pixels.
    confidence, resamples, rng
        Level, number of resamples, random numbers.
    """
    a, b = (np.where(mask, values - values[mask].mean(), 0.0) for values in (first, second))
    parts = np.stack([mask.astype(np.float64), a, b, a * a, b * b, a * b])
    value = float(_pearson(parts.sum(axis=(1, 2))[None])[0])
    count = float(mask.sum()) / side**2
    if not np.isfinite(value) or count < LEAST_BLOCKS:
        return BlockCorrelation(value, np.full(2, np.nan))
    sums = _window_sums(parts, side).reshape(len(parts), -1)
    sums = sums[:, sums[0] > 0.5]
    number = max(round(mask.sum() / sums[0].mean()), 2)
    picks = rng.integers(0, sums.shape[1], (resamples, number))
    drawn = np.stack([part[picks].sum(axis=1) for part in sums], axis=1)
    spread = np.nanstd(np.arctanh(np.clip(_pearson(drawn), -1 + 1e-12, 1 - 1e-12)), ddof=1)
    reach = stdtrit(count - 1, (1 + confidence) / 2) * spread * np.sqrt(count / (count - 1))
    middle = np.arctanh(np.clip(value, -1 + 1e-12, 1 - 1e-12))
    return BlockCorrelation(value, np.tanh(np.array([middle - reach, middle + reach])))


def _window_sums(parts: Doubles, side: int) -> Doubles:
    """Sums over all square windows of a side that touch the maps, along the last two axes."""
    padded = np.pad(parts, ((0, 0), (side, side - 1), (side, side - 1)))
    total = padded.cumsum(axis=1).cumsum(axis=2)
    low, high = slice(None, -side), slice(side, None)
    return total[:, high, high] - total[:, low, high] - total[:, high, low] + total[:, low, low]


def ranked(values: Doubles, mask: Mask) -> Doubles:
    """A map with the ranks of its values inside a mask, 0 outside: Pearson's correlation of ranks is Spearman's."""
    ranks = np.zeros(values.shape)
    ranks[mask] = rankdata(values[mask])
    return ranks


def _pearson(sums: Doubles) -> Doubles:
    """Correlations (r,) from rows of count, sums, sums of squares and of products (r, 6)."""
    count, a, b, aa, bb, ab = sums.T
    variances = (count * aa - a**2) * (count * bb - b**2)
    found = np.full(len(sums), np.nan)
    known = variances > 1e-12 * (count * aa) * (count * bb) + 1e-300
    np.divide(count * ab - a * b, np.sqrt(np.maximum(variances, 0)), out=found, where=known)
    return np.clip(found, -1, 1)
