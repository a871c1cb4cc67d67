"""Kernels that part the phases by their grey histograms, and tell whether what they parted is real."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomostat.phases.kernels.counts import Bins, Counts, quantile

SEPARATION = 2.1
"""Least distance of two class means in units of the noise. Cutting one normal distribution in half gives 1.6, which is
2 sqrt(2 / pi); cutting two that lie 1.65 standard deviations apart gives 2.1."""
LEAST_SHARE = 0.01
"""Least share of the voxels that makes a phase."""


def multi_otsu(counts: Counts, bins: Bins, classes: int) -> NDArray[np.float64]:
    """Grey values between classes, (classes - 1,) ascending: the largest variance between classes (Liao et al. 2001).

    The best of all partitions, by dynamic programming over the filled intervals. (`skimage.filters.threshold_multiotsu`
    gives the first filled interval a wrong moment, scikit-image pull request 8252.) Any cut in an empty valley is as
    good for Otsu: of these, the middle between the classes' means is taken, where the blurred edge of two phases lies.

    Raises
    ------
    ValueError
        When the histogram has fewer filled intervals than classes.
    """
    filled = np.flatnonzero(counts)
    if len(filled) < classes:
        raise ValueError(f"the grey values fill {len(filled)} intervals; expected {classes} classes or more")
    place = bins.centres[filled] - np.average(bins.centres[filled], weights=counts[filled])
    mass = np.concatenate([[0.0], np.cumsum(counts[filled])])
    moment = np.concatenate([[0.0], np.cumsum(counts[filled] * place)])
    weight = mass - mass[:, None]
    gain = np.where(weight > 0, (moment - moment[:, None]) ** 2 / np.where(weight > 0, weight, 1.0), -np.inf)
    best, starts = gain[0], []
    for _ in range(classes - 1):
        total = best[:, None] + gain
        starts.append(total.argmax(axis=0))
        best = total.max(axis=0)
    cuts = [len(filled)]
    for start in reversed(starts):
        cuts.append(int(start[cuts[-1]]))
    return _in_the_middle(counts, bins, bins.centres[filled[cuts[:0:-1]]] - 0.5 * bins.width)


def _in_the_middle(counts: Counts, bins: Bins, cuts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cuts moved to the middle between the means of their classes, which never lowers the variance between them."""
    for _ in range(3):
        means, _ = class_means(counts, bins, cuts)
        cuts = 0.5 * (means[1:] + means[:-1])
    return cuts


def class_means(
    counts: Counts, bins: Bins, cuts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean grey value and share of each class between the cuts; the middle of the class where it is empty."""
    kind = np.searchsorted(cuts, bins.centres)
    mass = np.bincount(kind, counts, len(cuts) + 1)
    ends = np.concatenate([[bins.low], cuts, [bins.high]])
    total = np.bincount(kind, counts * bins.centres, len(cuts) + 1)
    means = np.where(mass > 0, total / np.maximum(mass, 1), 0.5 * (ends[1:] + ends[:-1]))
    return means, mass / max(mass.sum(), 1)


def is_real(counts: Counts, bins: Bins, cuts: NDArray[np.float64], noise: float) -> bool:
    """Whether neighbouring classes lie apart by more than noise parts one class, and none is all but empty."""
    means, shares = class_means(counts, bins, cuts)
    return bool(np.diff(means).min() >= SEPARATION * noise and shares.min() >= LEAST_SHARE)


def spread_of(counts: Counts, bins: Bins) -> float:
    """Standard deviation of noise from the histogram of absolute differences of two voxels, robust.

    The median of absolute normal deviates is 0.6745 standard deviations; a difference has sqrt(2) of one.
    """
    return quantile(counts, bins, 0.5) / (0.6745 * 2**0.5) if counts.any() else 0.0
