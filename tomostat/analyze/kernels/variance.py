"""How much of a variance lies between samples, between fields of a sample and between particles of a field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomostat.kernels.arrays import Doubles

Codes = NDArray[np.intp]

LEVELS = ("sample", "field", "particle")
"""Levels of the hierarchy, from above."""

DRAWS = 4000
"""Draws from which intervals of the shares are taken."""


@dataclass(frozen=True)
class NestedAnova:
    """Analysis of variance of particles in fields in samples in conditions.

    Attributes
    ----------
    squares, freedom
        (3,) sums of squares within conditions, samples and fields, and their degrees of freedom, as `LEVELS`.
    counts
        (3, 3) how often the variance of every level (column) is contained in the mean square of each (row).
    """

    squares: Doubles
    freedom: Doubles
    counts: Doubles

    def components(self, squares: Doubles | None = None) -> Doubles:
        """Variance of every level (..., 3), none below 0, from mean squares (..., 3); its own when not given.

        NaN where a level has no degrees of freedom. Where each sample has one field, the two cannot be distinguished,
        and their variance is that of the sample.
        """
        if squares is None:
            squares = np.divide(self.squares, self.freedom, out=np.full(3, np.nan), where=self.freedom > 0)
        found = np.full(squares.shape, np.nan)
        for level in (2, 1, 0):
            if self.freedom[level] > 0:
                below = np.nansum(self.counts[level, level + 1 :] * found[..., level + 1 :], axis=-1)
                found[..., level] = np.maximum((squares[..., level] - below) / self.counts[level, level], 0)
        return found


def nested_anova(values: Doubles, stratum: Codes, sample: Codes, field: Codes) -> NestedAnova:
    """Analysis of variance of an unbalanced nested design.

    Searle, Linear models, 1971, chapter 11: mean squares equal their expectations.

    Parameters
    ----------
    values
        (n,) one number for every particle.
    stratum, sample, field
        (n,) number of the condition, sample and field of every particle; a field lies in one sample, a sample in one
        condition.
    """
    units = [np.unique(codes, return_inverse=True)[1] for codes in (stratum, sample, field)]
    number = [np.bincount(unit) for unit in units]
    means = [np.bincount(unit, values) / count for unit, count in zip(units, number, strict=True)]
    fitted = [mean[unit] for mean, unit in zip(means, units, strict=True)] + [values]
    squares = np.array([((fitted[i + 1] - fitted[i]) ** 2).sum() for i in range(3)])
    sizes = [len(count) for count in number] + [len(values)]
    freedom = np.diff(sizes).astype(np.float64)
    # sum over the units of one level of n^2 / n of the unit of a higher one that holds it
    shares = np.zeros((4, 4))
    inverse = [1 / count[unit] for count, unit in zip(number, units, strict=True)] + [np.ones(len(values))]
    for upper in range(4):
        for lower in range(4):
            shares[upper, lower] = (inverse[upper] / inverse[lower]).sum()
    counts = np.zeros((3, 3))
    for row in range(3):
        for column in range(row, 3):
            if freedom[row] > 0:
                counts[row, column] = (shares[row + 1, column + 1] - shares[row, column + 1]) / freedom[row]
    return NestedAnova(squares, freedom, counts)


def variance_shares(anova: NestedAnova, confidence: float, rng: np.random.Generator) -> tuple[Doubles, Doubles]:
    """Shares of the levels in the variance within a condition, with intervals.

    Generalised confidence intervals (Weerahandi, Journal of the American Statistical Association 88, 899, 1993): the
    sums of squares over draws of chi-squared in place of their expectations.

    Returns
    -------
    shares, interval
        (3,) and (3, 2); NaN where a level is unknown or nothing varies.
    """
    squares = np.full((DRAWS, 3), np.nan)
    for level in np.flatnonzero(anova.freedom > 0):
        squares[:, level] = anova.squares[level] / rng.chisquare(anova.freedom[level], DRAWS)
    own, drawn = _shares(anova.components()), _shares(anova.components(squares))
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    known = np.isfinite(own)
    interval = np.full((3, 2), np.nan)
    if known.any():
        interval[known] = np.nanquantile(drawn[:, known], tails, axis=0).T
    return own, interval


def _shares(components: Doubles) -> Doubles:
    total = np.nansum(components, axis=-1, keepdims=True)
    return np.divide(components, total, out=np.full(components.shape, np.nan), where=total > 0)
