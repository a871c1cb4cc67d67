"""Kernels that find thresholds in grey histograms, and decide whether the classes differ by more than noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomostat.phases.kernels.counts import Bins, Counts, quantile

SEPARATION = 2.1
"""Least distance of two class means in units of the noise. Splitting one normal distribution in half gives
1.6 (2 sqrt(2 / pi)); splitting the sum of two whose means are 1.65 standard deviations apart gives 2.1."""
LEAST_SHARE = 0.01
"""Least share of the voxels that counts as a phase."""
LEAST_BRIGHT = 0.002
"""Least share of active material that is looked for above pore and carbon-binder."""


def multi_otsu(counts: Counts, bins: Bins, classes: int) -> NDArray[np.float64]:
    """Thresholds with the largest variance between classes (Otsu 1979; Liao, Chen, Chung 2001 for several thresholds).

    The best of all partitions is found by dynamic programming over the intervals that are not empty.
    (`skimage.filters.threshold_multiotsu` gives the first of them a wrong moment, scikit-image pull request 8252.) All
    thresholds within an empty part of the histogram give the same variance; of these, the middle between the means of
    the classes is taken, where the blurred edge of two phases lies.

    Parameters
    ----------
    counts, bins
        Histogram (bins.number,) int64 and its intervals.
    classes
        Number of classes.

    Returns
    -------
    (classes - 1,) float64
        Grey values between classes, ascending.

    Raises
    ------
    ValueError
        When the histogram has fewer filled intervals than classes.
    """
    filled = np.flatnonzero(counts)
    if len(filled) < classes:
        raise ValueError(f"the grey values fill {len(filled)} intervals; expected {classes} classes or more")
    position = bins.centres[filled] - np.average(bins.centres[filled], weights=counts[filled])
    mass = np.concatenate([[0.0], np.cumsum(counts[filled])])
    moment = np.concatenate([[0.0], np.cumsum(counts[filled] * position)])
    weight = mass - mass[:, None]
    gain = np.where(weight > 0, (moment - moment[:, None]) ** 2 / np.where(weight > 0, weight, 1.0), -np.inf)
    best, starts = gain[0], []
    for _ in range(classes - 1):
        total = best[:, None] + gain
        starts.append(total.argmax(axis=0))
        best = total.max(axis=0)
    ends = [len(filled)]
    for start in reversed(starts):
        ends.append(int(start[ends[-1]]))
    return centred(counts, bins, bins.centres[filled[ends[:0:-1]]] - 0.5 * bins.width)


def centred(counts: Counts, bins: Bins, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move thresholds to the middle between the class means, which never lowers the variance between classes."""
    for _ in range(3):
        means, _ = class_means(counts, bins, thresholds)
        thresholds = 0.5 * (means[1:] + means[:-1])
    return thresholds


def class_means(
    counts: Counts, bins: Bins, thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean grey value and share of each class between the thresholds; the middle of the class where it is empty."""
    kind = np.searchsorted(thresholds, bins.centres)
    mass = np.bincount(kind, counts, len(thresholds) + 1)
    edges = np.concatenate([[bins.low], thresholds, [bins.high]])
    total = np.bincount(kind, counts * bins.centres, len(thresholds) + 1)
    means = np.where(mass > 0, total / np.maximum(mass, 1), 0.5 * (edges[1:] + edges[:-1]))
    return means, mass / max(mass.sum(), 1)


def brighter_class(counts: Counts, bins: Bins, threshold: float) -> float | None:
    """Threshold below a third class, brighter and rarer than the two that a threshold distinguishes.

    Where particles are few, the best two classes are pore and carbon-binder. Carbon-binder is nearer to pores than to
    active material, which distinguishes such a class from a spread of the grey values of active material.

    Parameters
    ----------
    counts, bins
        Histogram and its intervals.
    threshold
        Between two classes.

    Returns
    -------
    float or None
        Half way between the mean of all that is darker and that of the third class; None where there is none, or it
        holds fewer than `LEAST_BRIGHT` of the voxels.
    """
    upper = np.where(bins.centres > threshold, counts, 0)
    if np.count_nonzero(upper) < 2:
        return None
    between = np.array([threshold, *multi_otsu(upper, bins, 2)])
    (dark, middle, bright), shares = class_means(counts, bins, between)
    if bright - middle < middle - dark or shares[2] < LEAST_BRIGHT:
        return None
    return float(centred(counts, bins, between[1:])[0])


def are_distinct(
    counts: Counts, bins: Bins, thresholds: NDArray[np.float64], noise: float, least_share: float = LEAST_SHARE
) -> bool:
    """Whether the classes are more than one class split by thresholds.

    Parameters
    ----------
    counts, bins
        Histogram and its intervals.
    thresholds
        Grey values between the classes.
    noise
        Standard deviation of the grey values of one class.
    least_share
        Least share of the voxels that counts as a class.

    Returns
    -------
    bool
        Whether the means of neighbouring classes differ by `SEPARATION` times the noise or more, and each class holds
        `least_share` of the voxels or more.
    """
    means, shares = class_means(counts, bins, thresholds)
    return bool(np.diff(means).min() >= SEPARATION * noise and shares.min() >= least_share)


def noise_of_differences(counts: Counts, bins: Bins) -> float:
    """Standard deviation of noise from a histogram of absolute differences of two voxels; robust against outliers.

    The median of absolute normal deviates is 0.6745 standard deviations; a difference has sqrt(2) of one.
    """
    return quantile(counts, bins, 0.5) / (0.6745 * 2**0.5) if counts.any() else 0.0
