"""Power of comparing two conditions, by whole samples or whole fields."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import comb, nctdtr, ndtr, stdtrit

from tomostat.kernels.arrays import Doubles

CERTAIN = 6.0
"""Standard errors beyond the critical value from which on a difference is found for certain."""

NORMAL = 200
"""Degrees of freedom from which on Student's distribution is the normal one."""


def attainable_level(units: ArrayLike, level: float) -> Doubles:
    """Largest level, not above the given one, that a permutation test of two groups of so many units can have.

    Parameters
    ----------
    units
        Units in each group.
    level
        The level wanted.

    Returns
    -------
    array
        Whole multiples of 2 / C(2 k, k), since the exchange of both groups is as extreme; 0 for too few units.
    """
    count = np.minimum(np.asarray(units, np.float64), 500)  # the number of ways overflows beyond
    step = 2 / comb(2 * count, count)
    return np.asarray(np.floor(level / step * (1 + 1e-12)) * step)


def comparison_power(difference: ArrayLike, variance: ArrayLike, units: ArrayLike, level: float) -> Doubles:
    """Probability that two conditions are found to differ.

    Parameters
    ----------
    difference
        True difference of the means.
    variance
        Variance of the mean of one condition.
    units
        Units in each condition that are compared whole.
    level
        Level of the two-sided test; what a permutation of the units can attain of it is used.

    Returns
    -------
    array
        Of the arguments' common shape: power of Student's test with 2 (units - 1) degrees of freedom.
    """
    units = np.asarray(units, np.float64)
    freedom, attained = np.maximum(2 * (units - 1), 1), attainable_level(units, level)
    critical = stdtrit(freedom, 1 - attained / 2)
    error = np.sqrt(2 * np.asarray(variance, np.float64))
    shift = np.divide(difference, error, out=np.full(np.broadcast(difference, error).shape, np.inf), where=error > 0)
    certain = shift > critical + CERTAIN
    shift = np.where(certain, 0.0, shift)
    few = np.minimum(freedom, NORMAL)  # the distribution overflows beyond, and for certain differences
    student = 1 - nctdtr(few, shift, critical) + nctdtr(few, shift, -critical)
    found = np.where(freedom < NORMAL, student, ndtr(shift - critical) + ndtr(-shift - critical))
    return np.where((attained > 0) & (units >= 2), np.where(certain, 1.0, np.clip(found, 0, 1)), 0.0)
