"""Shares of random samples with intervals: of single draws, and of what was counted in whole groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit


@dataclass(frozen=True)
class Rate:
    """A share that a random sample estimates.

    Attributes
    ----------
    value
        Hits over trials; NaN without trials.
    low, high
        Interval for the share of the whole population; 0 and 1 where nothing is known of it.
    trials
        What was looked at.
    """

    value: float
    low: float
    high: float
    trials: int


def single_rate(hits: int, trials: int, confidence: float = 0.95) -> Rate:
    """Share of hits among single draws, with Wilson's score interval (E. B. Wilson, JASA 22, 209, 1927)."""
    if not trials:
        return Rate(np.nan, 0.0, 1.0, 0)
    return Rate(hits / trials, *_wilson(hits / trials, trials, confidence), trials)


def grouped_rate(hits: ArrayLike, trials: ArrayLike, confidence: float = 0.95) -> Rate:
    """Share of hits where whole groups were drawn, such as all outlines of some slices.

    What lies in one group is alike, so that the sample says less than as many single draws. Wilson's interval is taken
    at the number of single draws that would scatter as the groups do, lowered once more because few groups tell little
    of their scatter (E. L. Korn, B. I. Graubard, Survey Methodology 24, 193, 1998).

    Parameters
    ----------
    hits, trials
        (groups,) counts.
    confidence
        Level of the interval.

    Returns
    -------
    Rate
        One group alone says nothing of the scatter: its interval is 0 to 1.
    """
    hit, n = np.asarray(hits, float), np.asarray(trials, float)
    total, groups = n.sum(), len(n)
    if not total:
        return Rate(np.nan, 0.0, 1.0, 0)
    share = float(hit.sum() / total)
    if groups < 2:
        return Rate(share, 0.0, 1.0, int(total))
    variance = groups / (groups - 1) * ((hit - share * n) ** 2).sum() / total**2
    draws = min(share * (1 - share) / variance, total) if variance else total
    tails = (1 + confidence) / 2
    draws *= (ndtri(tails) / stdtrit(groups - 1, tails)) ** 2
    return Rate(share, *_wilson(share, float(draws), confidence), int(total))


def _wilson(share: float, draws: float, confidence: float) -> tuple[float, float]:
    """Wilson's interval; `draws` need not be whole."""
    square = float(ndtri((1 + confidence) / 2)) ** 2
    middle = (share + square / (2 * draws)) / (1 + square / draws)
    half = np.sqrt(square * (share * (1 - share) / draws + square / (4 * draws**2))) / (1 + square / draws)
    return max(float(middle - half), 0.0), min(float(middle + half), 1.0)
