"""Weighted statistics of many resamples at once.

Every function takes values (n,) and weights (r, n), one row per resample, and gives one row per resample. A weight is
how often a particle was drawn, times its border weight. A row whose weights are all 0 gives NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tomostat.kernels.arrays import Doubles

MIN_BANDWIDTH = 0.02
MAX_BANDWIDTH = 0.25


def _divide(numerator: Doubles, denominator: Doubles) -> Doubles:
    """Quotient, NaN where the denominator is zero."""
    out = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out


def mean(values: Doubles, weights: Doubles) -> Doubles:
    """Weighted means (r,)."""
    return _divide(weights @ values, weights.sum(axis=1))


def spread(values: Doubles, weights: Doubles) -> Doubles:
    """Weighted standard deviations (r,), about the mean of each row; NaN for a single value."""
    if values.size < 2:
        return np.full(len(weights), np.nan)
    centred = values - values.mean()  # avoids cancellation in the difference of squares
    squares = mean(centred**2, weights) - mean(centred, weights) ** 2
    return np.sqrt(np.maximum(squares, 0.0))


def quantile(values: Doubles, weights: Doubles, probability: float) -> Doubles:
    """Weighted quantiles (r,): the inverse of the distribution function, averaged where it is flat.

    For whole weights this is ``numpy.quantile`` of the repeated values with method ``averaged_inverted_cdf``
    (definition 2 of Hyndman and Fan, The American Statistician 50, 361, 1996); the median is the usual one.
    """
    if not values.size:
        return np.full(len(weights), np.nan)
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    reached = np.cumsum(weights[:, order], axis=1)
    target = probability * reached[:, -1:]
    slack = 1e-12 * reached[:, -1:]
    last = len(ordered) - 1
    low = np.minimum((reached < target - slack).sum(axis=1), last)
    high = np.minimum((reached <= target + slack).sum(axis=1), last)
    found = (ordered[low] + ordered[high]) / 2
    return np.where(reached[:, -1] > 0, found, np.nan)


def size_percentiles(diameter: Doubles, weights: Doubles, percentiles: Sequence[float], power: int) -> Doubles:
    """Percentiles of the diameter and their span.

    Parameters
    ----------
    diameter
        (n,) diameters.
    weights
        (r, n).
    percentiles
        The lowest first, then the median, then the highest.
    power
        Power of the diameter with which a particle counts: 0 by number, 3 by volume.

    Returns
    -------
    array
        (r, 4): the percentiles, and (highest - lowest) / median.
    """
    counted = weights * diameter**power
    low, middle, high = (quantile(diameter, counted, percentile / 100) for percentile in percentiles)
    return np.stack([low, middle, high, (high - low) / middle], axis=-1)


def histogram(values: Doubles, weights: Doubles, edges: Doubles) -> Doubles:
    """Probability densities (r, bins) in bins between ascending edges; the last bin holds its upper edge."""
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    counts = _collect(place, np.ones_like(values), weights, len(edges) - 1)
    return _divide(counts, weights.sum(axis=1, keepdims=True)) / np.diff(edges)


def _collect(columns: NDArray[np.intp], shares: Doubles, weights: Doubles, width: int) -> Doubles:
    """Sum of weights per column (r, width), each value adding its share to one column."""
    rows = np.arange(len(columns))
    table = sparse.csr_array((shares, (rows, columns)), shape=(len(columns), width))
    return np.asarray((table.T @ weights.T).T)


def effective_number(weights: Doubles) -> Doubles:
    """How many values of equal weight count as much (...): (sum w)^2 / sum w^2 along the last axis; 0 without any."""
    squares = (weights**2).sum(axis=-1)
    return np.asarray(np.divide(weights.sum(axis=-1) ** 2, squares, out=np.zeros_like(squares), where=squares > 0))


def silverman_width(values: Doubles, weights: Doubles) -> float:
    """Kernel width by Silverman's rule, 0.9 min(spread, IQR / 1.34) n^(-1/5); 0 for values that do not vary.

    Parameters
    ----------
    values, weights
        (n,) numbers and weights; n in the rule is the effective number.
    """
    if not values.size:
        return float("nan")
    row = weights[None]
    widths = spread(values, row)[0], (quantile(values, row, 0.75) - quantile(values, row, 0.25))[0] / 1.34
    scale = min((w for w in widths if w > 0), default=0.0)
    return float(0.9 * scale * effective_number(weights) ** -0.2)


def bandwidth(values: Doubles, weights: Doubles) -> float:
    """Width by Silverman's rule of the kernel of a density on [0, 1], kept within 0.02 and 0.25."""
    return float(np.clip(silverman_width(values, weights), MIN_BANDWIDTH, MAX_BANDWIDTH))


def density(values: Doubles, weights: Doubles, grid: Doubles, width: float) -> Doubles:
    """Kernel estimates (r, grid) of the probability density on [0, 1], reflected at both ends.

    Reflection keeps the part of a kernel that would lie beyond 0 and 1, so that the estimate integrates to one and is
    not biased low at the boundary (Silverman, Density estimation, 1986, section 2.10). Values are first divided between
    their two neighbours on the grid; the error is far below the kernel width.

    Parameters
    ----------
    values
        (n,) numbers in [0, 1].
    grid
        Evenly spaced from 0 to 1.
    width
        Standard deviation of the Gaussian kernel.
    """
    step = grid[1] - grid[0]
    low = np.minimum((values / step).astype(np.intp), len(grid) - 2)
    share = values / step - low
    counts = _collect(low, 1 - share, weights, len(grid)) + _collect(low + 1, share, weights, len(grid))
    return _divide(counts @ _kernel(grid.tobytes(), width), weights.sum(axis=1, keepdims=True))


@lru_cache(maxsize=64)
def _kernel(nodes: bytes, width: float) -> Doubles:
    """Reflected Gaussian of every node (row), integrating to one by the trapezoidal rule.

    Resamples share their kernels: the nodes come as bytes, so that a kernel is computed once.
    """
    grid = np.frombuffer(nodes).copy()
    images = [grid, -grid, 2 - grid, grid - 2, grid + 2]
    total = sum(np.exp(-0.5 * ((image[:, None] - grid) / width) ** 2) for image in images)
    kernel = np.asarray(total / np.trapezoid(total, grid, axis=1)[:, None])
    kernel.setflags(write=False)
    return kernel


def peak(densities: Doubles, grid: Doubles) -> Doubles:
    """Place (r,) of the highest density."""
    found = grid[np.argmax(densities, axis=1)]
    return np.where(np.isnan(densities[:, 0]), np.nan, found)


def ranks(values: Doubles, weights: Doubles) -> Doubles:
    """Middle ranks (r, n) among the weighted values; ties share their rank."""
    if not values.size:
        return weights
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sums = np.add.reduceat(weights[:, order], starts, axis=1)
    middle = np.cumsum(sums, axis=1) - sums / 2
    out = np.empty_like(weights)
    out[:, order] = np.repeat(middle, np.diff(np.r_[starts, len(values)]), axis=1)
    return out


def spearman(first: Doubles, second: Doubles, weights: Doubles) -> Doubles:
    """Weighted rank correlations (r,) of two columns; NaN where one of them does not vary."""
    if first.size < 2:
        return np.full(len(weights), np.nan)
    total = weights.sum(axis=1, keepdims=True)
    a, b = (ranks(column, weights) - total / 2 for column in (first, second))
    squares = (weights * a**2).sum(axis=1) * (weights * b**2).sum(axis=1)
    return _divide((weights * a * b).sum(axis=1), np.where(squares > 1e-12, np.sqrt(squares), 0.0))


def rank_correlations(columns: Doubles, weights: Doubles) -> Doubles:
    """Weighted rank correlations (r, k, k) between all of (k, n) columns; NaN where one of them does not vary."""
    total = weights.sum(axis=1, keepdims=True)
    centred = np.stack([(ranks(column, weights) - total / 2) * np.sqrt(weights) for column in columns], axis=1)
    products = centred @ centred.swapaxes(1, 2)
    squares = np.diagonal(products, axis1=1, axis2=2)
    both = squares[:, :, None] * squares[:, None, :]
    return np.clip(_divide(products, np.where(both > 1e-12, np.sqrt(both), 0.0)), -1.0, 1.0)


def mean_deviation(values: Doubles, weights: Doubles) -> Doubles:
    """Weighted mean absolute deviations (r,) from the median of each row; NaN for a single value."""
    if values.size < 2:
        return np.full(len(weights), np.nan)
    distances = np.abs(values - quantile(values, weights, 0.5)[:, None])
    return _divide((weights * distances).sum(axis=1), weights.sum(axis=1))


def standardized_difference(values: Doubles, second: NDArray[np.bool_], weights: Doubles) -> Doubles:
    """Difference (r,) of the means of two groups over the root mean square of their standard deviations.

    Cohen, Statistical power analysis for the behavioral sciences, 1988, with both groups counting alike.

    Parameters
    ----------
    values
        (n,) of both groups.
    second
        (n,) whether a value belongs to the second group.
    """
    groups = [(values[mask], weights[:, mask]) for mask in (~second, second)]
    means, spreads = ([function(*group) for group in groups] for function in (mean, spread))
    return _divide(means[1] - means[0], np.sqrt((spreads[0] ** 2 + spreads[1] ** 2) / 2))


def dominance(values: Doubles, second: NDArray[np.bool_], weights: Doubles) -> Doubles:
    """Cliff's delta (r,): how much more often a value of the second group is the larger one of a pair than the smaller.

    Cliff, Psychological Bulletin 114, 494 (1993); 1 where all values of the second group are larger, 0 for equal
    groups. Arguments as of `standardized_difference`.
    """
    if not values.size:
        return np.full(len(weights), np.nan)
    below = ranks(values, np.where(second, 0.0, weights))
    of_second = weights * second
    pairs = (weights * ~second).sum(axis=1) * of_second.sum(axis=1)
    return 2 * _divide((of_second * below).sum(axis=1), pairs) - 1


def running_quantiles(
    values: Doubles,
    places: Doubles,
    weights: Doubles,
    at: Doubles,
    width: float,
    probabilities: tuple[float, ...],
    least: float,
) -> Doubles:
    """Weighted quantiles of values around places, with Gaussian weights of the distance.

    Parameters
    ----------
    values, places, weights
        (n,) of every particle.
    at
        (m,) places at which the quantiles are wanted.
    width
        Standard deviation of the Gaussian.
    probabilities
        Which quantiles.
    least
        Effective number of values below which there is none.

    Returns
    -------
    array
        (m, len(probabilities)), NaN where there are too few values.
    """
    if not width > 0:
        return np.full((len(at), len(probabilities)), np.nan)
    near = weights * np.exp(-0.5 * ((at[:, None] - places) / width) ** 2)
    found = np.stack([quantile(values, near, probability) for probability in probabilities], axis=-1)
    return np.where(effective_number(near)[:, None] >= least, found, np.nan)
