"""Intervals and tests for particles that lie in fields that lie in samples.

Particles of one field are more alike than particles of different fields, so a bootstrap over particles alone gives
intervals that are far too narrow, and one over few whole fields gives intervals whose width is itself uncertain. Each
level that has several units is therefore resampled separately (whole samples; whole fields within their sample;
particles within their field), its percentile interval is widened about the estimate to allow for few units, and the
widest of all levels is taken. Differences between conditions add the errors of both in squares, with the degrees of
freedom of both (Welch).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr, stdtrit

from tomostat.kernels.arrays import Doubles

Codes = NDArray[np.intp]
Statistic = Callable[[Doubles], Doubles]
Key = TypeVar("Key", bound=Hashable)

CHUNK = 1_000_000
"""Weights (resamples x particles) held at a time."""

EXACT = 10_000
"""Permutations are enumerated up to this number, and drawn beyond."""


@dataclass(frozen=True)
class Level:
    """One level of the hierarchy.

    Attributes
    ----------
    unit
        (n,) unit of every particle, 0 to units - 1.
    parent
        (units,) the group within which units are drawn.
    """

    unit: Codes
    parent: Codes


@dataclass(frozen=True)
class Estimator:
    """A statistic and the particles that it uses.

    Attributes
    ----------
    mask
        (n,) bool.
    function
        Weights (r, particles in the mask) -> (r, ...).
    bounds
        Smallest and largest value that the statistic can take.
    """

    mask: NDArray[np.bool_]
    function: Statistic
    bounds: tuple[float, float] = (-np.inf, np.inf)


@dataclass(frozen=True)
class Estimate:
    """Values with their standard errors, arrays of one shape; errors are NaN where no level has two units.

    Attributes
    ----------
    value
        The estimates.
    below, above
        Standard errors towards smaller and larger values: the distance to the end of the interval over Student's t.
    freedom
        Degrees of freedom of the errors.
    bounds
        Smallest and largest value that there can be.
    """

    value: Doubles
    below: Doubles
    above: Doubles
    freedom: Doubles
    bounds: tuple[float, float] = (-np.inf, np.inf)

    def interval(self, confidence: float) -> Doubles:
        """Confidence interval (..., 2)."""
        reach = stdtrit(self.freedom, (1 + confidence) / 2)
        ends = np.stack([self.value - reach * self.below, self.value + reach * self.above], axis=-1)
        return np.clip(ends, *self.bounds)

    def p_value(self, null: float = 0.0) -> Doubles:
        """Two-sided p-values (...): one less the confidence of the interval that ends at `null`."""
        distance = np.abs(self.value - null)
        error = np.where(self.value > null, self.below, self.above)
        ratio = np.divide(distance, error, out=np.where(distance > 0, np.inf, 0.0), where=error != 0)
        return np.where(np.isnan(self.value), np.nan, 2 * stdtr(self.freedom, -ratio))


def group_numbers(*columns: NDArray[np.str_]) -> Codes:
    """Number of the group (n,) of every element: one group for each distinct combination of the columns."""
    code: Codes = np.zeros(len(columns[0]), np.intp)
    for column in columns:
        inner = np.unique(column, return_inverse=True)[1]
        code = np.unique(code * (inner.max(initial=0) + 1) + inner, return_inverse=True)[1]
    return code


def hierarchy(sample: Codes, field: Codes, stratum: Codes | None = None) -> tuple[Level, ...]:
    """Levels of nested units.

    Parameters
    ----------
    sample, field
        (n,) unit of every particle; a field lies in one sample.
    stratum
        (n,) group within which whole samples are drawn, such as the condition; one group when not given.
    """
    first_of_sample, first_of_field = (np.unique(unit, return_index=True)[1] for unit in (sample, field))
    among = np.zeros(len(sample), np.intp) if stratum is None else stratum
    return (
        Level(sample, among[first_of_sample]),
        Level(field, sample[first_of_field]),
        Level(np.arange(len(field)), field),
    )


def resample_units(parent: Codes, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each unit is drawn (count, units), with replacement among the units of one parent."""
    drawn = np.empty((count, len(parent)), np.int64)
    for group in np.unique(parent):
        members = np.flatnonzero(parent == group)
        size = len(members)
        picks = rng.integers(0, size, (count, size)) + size * np.arange(count)[:, None]
        drawn[:, members] = np.bincount(picks.ravel(), minlength=count * size).reshape(count, size)
    return drawn


def units_and_freedom(level: Level, mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Number of units of a level among some particles, and of those less the groups in which they are drawn."""
    units = np.unique(level.unit[mask])
    return len(units), len(units) - len(np.unique(level.parent[units]))


def estimate(
    estimators: Mapping[Key, Estimator],
    weight: Doubles,
    levels: Sequence[Level],
    *,
    confidence: float,
    resamples: int,
    rng: np.random.Generator,
) -> dict[Key, Estimate]:
    """Statistics with standard errors.

    Parameters
    ----------
    estimators
        What to compute; all use the same resamples.
    weight
        (n,) weight of every particle.
    levels
        From `hierarchy`.
    confidence
        Level of the percentile intervals from which the errors are taken.
    resamples
        Number of resamples of each level.
    rng
        Random numbers; equal seeds give equal errors.

    Returns
    -------
    dict of Estimate
        With the shape that the statistic has.
    """
    found = {key: _without_error(one, weight) for key, one in estimators.items()}
    for level in levels:
        freedom = {key: units_and_freedom(level, one.mask) for key, one in estimators.items()}
        wanted = {key: one for key, one in estimators.items() if freedom[key][1] > 0}
        for key, drawn in _evaluate(wanted, weight, level, resamples, rng).items():
            found[key] = _wider(found[key], _with_errors(found[key], drawn, *freedom[key], confidence), confidence)
    return found


def _without_error(one: Estimator, weight: Doubles) -> Estimate:
    value = one.function(weight[None, one.mask])[0]
    unknown = np.full(value.shape, np.nan)
    return Estimate(value, unknown, unknown, unknown, one.bounds)


def _evaluate(
    estimators: Mapping[Key, Estimator], weight: Doubles, level: Level, resamples: int, rng: np.random.Generator
) -> dict[Key, Doubles]:
    """Statistics of all resamples of one level."""
    parts: dict[Key, list[Doubles]] = {key: [] for key in estimators}
    for count in _portions(resamples if estimators else 0, len(weight)):
        weights = resample_units(level.parent, count, rng)[:, level.unit] * weight
        for key, one in estimators.items():
            parts[key].append(one.function(weights[:, one.mask]))
    return {key: np.concatenate(part) for key, part in parts.items()}


def _portions(total: int, width: int) -> Iterator[int]:
    """Divide a number of rows into portions that fit into memory."""
    step = max(CHUNK // max(width, 1), 1)
    for start in range(0, total, step):
        yield min(step, total - start)


def _with_errors(one: Estimate, drawn: Doubles, units: int, freedom: int, confidence: float) -> Estimate:
    """The estimate with errors from the percentiles of its resamples.

    The bootstrap over k units underestimates the variance by the factor (k - 1) / k, and Student's t replaces the
    normal distribution (Hesterberg, The American Statistician 69, 371, 2015, "expanded percentile"; here as factors, so
    that no extreme percentiles are needed).
    """
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    empty = np.isnan(drawn).all(axis=0)
    drawn = np.where(empty, 0.0, drawn)
    # the quantile that allows for NaN goes through the columns one by one
    low, high = (np.nanquantile if np.isnan(drawn).any() else np.quantile)(drawn, tails, axis=0)
    scale = np.where(empty | np.isnan(one.value), np.nan, math.sqrt(units / freedom) / ndtri(tails[1]))
    below, above = (scale * np.maximum(side, 0) for side in (one.value - low, high - one.value))
    return replace(one, below=below, above=above, freedom=np.full(one.value.shape, float(freedom)))


def _wider(first: Estimate, second: Estimate, confidence: float) -> Estimate:
    """Of two estimates of the same, place by place the errors whose interval is wider."""
    widths = [stdtrit(one.freedom, (1 + confidence) / 2) * (one.below + one.above) for one in (first, second)]
    take = np.isnan(widths[0]) | (widths[1] > widths[0])
    parts = {
        name: np.where(take, getattr(second, name), getattr(first, name)) for name in ("below", "above", "freedom")
    }
    return replace(first, **parts)


def difference(first: Estimate, second: Estimate, bounds: tuple[float, float] = (-np.inf, np.inf)) -> Estimate:
    """Difference second - first of independent groups.

    Errors by the method of variance estimates recovery (Zou and Donner, Statistics in Medicine 27, 1693, 2008), with
    the degrees of freedom of Welch (Biometrika 34, 28, 1947).
    """
    squares = [((one.below + one.above) / 2) ** 2 for one in (first, second)]
    parts = sum(square**2 / one.freedom for square, one in zip(squares, (first, second), strict=True))
    together = first.freedom + second.freedom
    freedom = np.divide((squares[0] + squares[1]) ** 2, parts, out=np.array(together), where=parts > 0)
    return Estimate(
        second.value - first.value,
        np.hypot(second.below, first.above),
        np.hypot(second.above, first.below),
        np.where(np.isnan(parts), np.nan, freedom),
        bounds,
    )


def permute_groups(first: int, second: int, limit: int, rng: np.random.Generator) -> tuple[NDArray[np.bool_], int]:
    """Ways to divide units into two groups of the same sizes as observed.

    Parameters
    ----------
    first, second
        Units in each group; the first `first` columns are the first group's as observed.
    limit
        Number of random ways, taken when there are more than `EXACT`.
    rng
        Random numbers.

    Returns
    -------
    ways
        (ways, units) True where a unit belongs to the second group; the observed way comes first.
    possible
        Number of different ways.
    """
    units = first + second
    possible = math.comb(units, second)
    observed = np.arange(units) >= first
    if possible <= EXACT:
        ways = np.zeros((possible, units), bool)
        # from the last columns backwards: the observed way comes first
        for row, chosen in enumerate(combinations(range(units - 1, -1, -1), second)):
            ways[row, list(chosen)] = True
        return ways, possible
    random = rng.permuted(np.tile(observed, (limit, 1)), axis=1)
    return np.concatenate([observed[None], random]), possible


def permutation_p(function: Statistic, weight: Doubles, unit: Codes, ways: NDArray[np.bool_]) -> Doubles:
    """Two-sided p-value: the share of ways whose difference is at least as large as the observed one.

    Parameters
    ----------
    function
        Weights (r, n) -> (r, ...).
    weight
        (n,) weight of every particle of both groups.
    unit
        (n,) unit of every particle; column of `ways`.
    ways
        From `permute_groups`; the observed way counts, so p is never zero.
    """
    differences = []
    start = 0
    for count in _portions(len(ways), len(weight)):
        second = ways[start : start + count][:, unit]
        differences.append(function(second * weight) - function(~second * weight))
        start += count
    size = np.abs(np.concatenate(differences))
    observed = size[0]
    # ways that leave one group without particles cannot be compared, and count as large
    share = (np.isnan(size) | (size >= observed - 1e-9)).mean(axis=0)
    return np.where(np.isnan(observed), np.nan, share)


def sign_flip_p(contrast: Doubles, limit: int, rng: np.random.Generator) -> tuple[float, float]:
    """Two-sided p-value of the sum of contrasts that are as likely negative as positive.

    Parameters
    ----------
    contrast
        (units,) one number for each independent unit.
    limit
        Number of random ways to flip the signs, taken when there are more than `EXACT`.
    rng
        Random numbers.

    Returns
    -------
    p, ways
        Share of the ways whose sum is at least as large as the observed one, and the number of different ways; the
        observed way counts, so p is never zero. NaN without any contrast.
    """
    if not contrast.size:
        return math.nan, math.nan
    possible = 2.0**contrast.size if contrast.size < sys.float_info.max_exp else math.inf
    if possible <= EXACT:
        flips = 1 - 2 * ((np.arange(int(possible))[:, None] >> np.arange(contrast.size)) & 1)
    else:
        flips = np.concatenate([np.ones((1, contrast.size)), rng.choice([-1, 1], (limit, contrast.size))])
    sums = np.abs(flips @ contrast)
    return float((sums >= sums[0] * (1 - 1e-12)).mean()), possible
