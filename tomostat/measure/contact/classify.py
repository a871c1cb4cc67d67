"""Carbon-binder or void: the layer values beyond a particle's edge as a mixture of two groups, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tomostat.kernels.smoothing import Floats
from tomostat.measure.shape.averaging import SmoothingWeights, average_over_surface, connected_regions

Doubles = NDArray[np.float64]


class Component(NamedTuple):
    """One component of a mixture of layer values, or the prior for one.

    Attributes
    ----------
    mean, spread
        Mean and standard deviation of the component's values.
    mean_std
        Standard deviation of the prior for `mean`.
    """

    mean: float
    spread: float
    mean_std: float


@dataclass(frozen=True)
class Mixture:
    """Layer values as a mixture of void and carbon-binder, each normally distributed.

    Attributes
    ----------
    void, binder
        The components.
    share
        Share of the surface in the component `binder`.
    """

    void: Component
    binder: Component
    share: float = 0.5

    def log_odds(self, layer: Doubles) -> Doubles:
        """Logarithm of the odds of carbon-binder against void for each layer value, within -10 and 10."""
        share = min(max(self.share, 1e-3), 1 - 1e-3)
        odds = np.log(share / self.binder.spread) - np.log((1 - share) / self.void.spread)
        odds = odds - 0.5 * ((layer - self.binder.mean) / self.binder.spread) ** 2
        odds = odds + 0.5 * ((layer - self.void.mean) / self.void.spread) ** 2
        # the wider component would win again far outside both means: beyond its own mean each one is certain
        odds = np.where(layer >= self.binder.mean, 10.0, odds)
        return np.clip(np.where(layer <= self.void.mean, -10.0, odds), -10.0, 10.0)


PRIOR = Mixture(Component(-0.05, 0.09, 0.1), Component(0.75, 0.18, 0.2))
"""Prior for a field. Carbon-binder beside a particle is a porous film, darker than carbon-binder in bulk."""

PARTICLE_STD = (0.03, 0.12)
"""Standard deviation of the means of void and carbon-binder of single particles around those of their field, from
shading that is left over and from the density of the carbon-binder."""

HOMOGENEOUS_STD = 0.08
"""Local standard deviation of layer values above which they lie on a border between void and carbon-binder, and
represent neither."""

SAMPLE_SIZE = 40.0
"""Effective number of independent layer values on one particle; the prior is weighed against it."""

BINS = np.arange(-1.0, 3.01, 0.02)
"""Edges of the histogram of layer values to which a mixture is fitted."""

CENTRES = 0.5 * (BINS[:-1] + BINS[1:])
"""Layer values in the middle of its bins."""


def homogeneity_weights(layer: Floats, open_area: Floats, weights: SmoothingWeights) -> Doubles:
    """Weights of layer values for fitting a mixture: their area, less where values vary within the neighbourhood.

    Parameters
    ----------
    layer
        (n,) layer values.
    open_area
        (n,) area in micrometer^2, 0 for points that do not count, see `tomostat.measure.contact.layers.Layers`.
    weights
        Weights of one round of averaging.

    Returns
    -------
    numpy.ndarray
        (n,) float64; the plain area where hardly anything is homogeneous.
    """
    is_open = (open_area > 0).astype(np.float32)
    columns = np.stack([is_open, is_open * layer, is_open * layer * layer], axis=1)
    count, first, second = average_over_surface(weights, columns, 3).T
    divisor = np.maximum(count, 1e-6)
    variance = np.maximum(second / divisor - (first / divisor) ** 2, 0)
    weight: Doubles = open_area * np.exp(-variance / (2 * HOMOGENEOUS_STD**2))
    return weight if weight.sum() > 0.05 * open_area.sum() else open_area.astype(np.float64)


def _bins_of(layer: NDArray[np.floating]) -> NDArray[np.intp]:
    """Bin of each layer value; the first and the last take what lies beyond."""
    return np.clip(np.searchsorted(BINS, layer) - 1, 0, len(BINS) - 2)


def histogram(layer: Floats, weight: Doubles, face: float) -> NDArray[np.int64]:
    """Weighted histogram of layer values.

    Parameters
    ----------
    layer, weight
        (n,) values, and weights in micrometer^2.
    face
        Area of a voxel's face in micrometer^2.

    Returns
    -------
    numpy.ndarray
        (len(BINS) - 1,) int64, in thousandths of a voxel face: sums of integers do not depend on their order.
    """
    counts: NDArray[np.int64] = np.zeros(len(BINS) - 1, np.int64)
    np.add.at(counts, _bins_of(layer), np.rint(weight * (1000 / face)).astype(np.int64))
    return counts


def fit_mixture(
    layer: Doubles, weight: Doubles, prior: Mixture, *, sample_size: float = SAMPLE_SIZE, rounds: int = 60
) -> Mixture:
    """Fit a mixture of void and carbon-binder to layer values.

    Parameters
    ----------
    layer, weight
        (n,) float64, values and weights.
    prior
        Means, spreads and standard deviations of the means before any value is seen.
    sample_size
        Effective number of independent values.
    rounds
        Rounds of the expectation maximisation.

    Returns
    -------
    Mixture
        Components close to the prior where they have hardly a member.

    Notes
    -----
    Expectation maximisation of the posterior (Dempster, Laird and Rubin, J. R. Stat. Soc. B 39, 1, 1977), with members
    beyond a fixed distance pulled in, as Huber's estimator does.
    """
    # a histogram in place of the values: its bins are far narrower than a component
    share = np.bincount(_bins_of(layer), weight, len(BINS) - 1) / max(float(weight.sum()), 1e-300)
    layer = CENTRES
    mixture = prior
    for _ in range(rounds):
        binder = 1 / (1 + np.exp(-mixture.log_odds(layer)))
        void = _update(prior.void, mixture.void.spread, layer, share * (1 - binder), 0.3, sample_size)
        full = _update(prior.binder, mixture.binder.spread, np.minimum(layer, 1.5), share * binder, 0.5, sample_size)
        mixture = Mixture(void, full, (float((share * binder).sum()) + 0.02) / 1.04)
    return mixture


def _update(prior: Component, spread: float, x: Doubles, weight: Doubles, most: float, sample_size: float) -> Component:
    """One component's mean and spread from its members and the prior; outliers beyond `most` are pulled in."""
    total = float(weight.sum())
    prior_weight = (spread / prior.mean_std) ** 2 / sample_size
    mean = (float((weight * x).sum()) + prior_weight * prior.mean) / (total + prior_weight)
    # a component without members must not take over the other's
    mean = min(max(mean, prior.mean - 2 * prior.mean_std), prior.mean + 2 * prior.mean_std)
    square = float((weight * np.clip(x - mean, -most, most) ** 2).sum())
    spread_weight = 12 / sample_size  # the prior's spread counts as twelve values
    deviation = float(np.sqrt((square + spread_weight * prior.spread**2) / (total + spread_weight)))
    return Component(mean, min(max(deviation, 0.5 * prior.spread), 2 * prior.spread), prior.mean_std)


def field_mixture(counts: NDArray[np.int64]) -> Mixture:
    """Void and carbon-binder of a field, the prior for each of its particles.

    Parameters
    ----------
    counts
        (len(BINS) - 1,) int64, sum of the histograms of some of its particles.

    Returns
    -------
    Mixture
        `PRIOR` where there are no values.
    """
    total = float(counts.sum())
    if total == 0:
        return PRIOR
    found = fit_mixture(CENTRES, counts.astype(np.float64), PRIOR, sample_size=100 * SAMPLE_SIZE)
    void, binder = (part._replace(mean_std=s) for part, s in zip((found.void, found.binder), PARTICLE_STD, strict=True))
    return Mixture(void, binder, found.share)


def locate_borders(
    layer: Floats,
    open_area: Floats,
    mixture: Mixture,
    weights: SmoothingWeights,
    *,
    initial: Floats | None = None,
    rounds: int = 3,
    level: float = 1.0,
) -> Floats:
    """Decide between void and carbon-binder, with borders half way between the levels found on their two sides.

    Away from borders the odds decide, which allow for the different spread of the components. Across a border the
    averaged layer passes gradually from one level to the other, and only half way is the border's place unbiased.

    Parameters
    ----------
    layer, open_area
        (n,) float32, layer value and area of each surface point; points of area 0 do not count.
    mixture
        Void and carbon-binder on this particle.
    weights
        Weights of one round of averaging.
    initial
        (n,) float32, contact to begin with; by the odds when not given.
    rounds
        Repetitions; each takes the levels from the contact that the one before found.
    level
        What the levels of carbon-binder that are found are taken to be, as a multiple of them.

    Returns
    -------
    numpy.ndarray
        (n,) float32: contact, from 0 (void) to 1 (carbon-binder) with 1/2 on the border.
    """
    full = mixture.binder._replace(mean=level * mixture.binder.mean)
    mixture = replace(mixture, binder=full)
    by_odds = 0.5 + np.clip(mixture.log_odds(layer.astype(np.float64)), -6, 6) / 12
    contact = by_odds if initial is None else initial.astype(np.float64)
    is_open = open_area > 0
    for _ in range(rounds):
        binder, void = (contact > 0.5) & is_open, (contact <= 0.5) & is_open
        both = average_over_surface(weights, np.stack([binder, void], axis=1).astype(np.float32), 4)
        near = both[:, 0] / np.maximum(both.sum(axis=1), 1e-12)
        # levels from points far from any border; the particle's own where there are none
        deep = np.stack([binder * np.maximum(near - 0.5, 0) ** 4, void * np.maximum(0.5 - near, 0) ** 4], axis=1)
        columns = np.concatenate([deep, deep * layer[:, None]], axis=1).astype(np.float32)
        weight, total = np.split(average_over_surface(weights, columns, 8).astype(np.float64), 2, axis=1)
        levels = (total + 0.005 * np.array([mixture.binder.mean, mixture.void.mean])) / (weight + 0.005)
        high, low = level * levels[:, 0], np.minimum(levels[:, 1], mixture.void.mean + mixture.void.spread)
        place = 0.5 + (layer - 0.5 * (high + low)) / np.maximum(high - low, 0.1)
        contact = np.where((near > 0.05) & (near < 0.95), np.clip(place, 0, 1), by_odds)
    return contact.astype(np.float32)


SMALLEST_REGION, MODEST_BLUR = 25.0, 1.2
"""Area in voxel faces, weighted with its certainty, below which a region of contact or of void within the other is
noise; it grows with the cube of a blur above `MODEST_BLUR` voxels, since undoing more blur raises more noise."""


def remove_small_regions(
    contact: Floats, open_area: Floats, weights: SmoothingWeights, face: float, blur: float
) -> Floats:
    """Turn small or doubtful regions of contact or of void into what surrounds them.

    A single false point of contact inside a gap would halve the detour to the nearest contact, so that a region counts
    by its area times its certainty, 0 on the border of contact and 1 where it is sure.

    Parameters
    ----------
    contact, open_area
        (n,) float32: 0 void to 1 carbon-binder; area in micrometer^2, 0 where a point does not count.
    weights
        Which points are neighbours.
    face
        Area of a voxel's face in micrometer^2.
    blur
        Sigma of the image in voxels.

    Returns
    -------
    numpy.ndarray
        (n,) float32.
    """
    kind = np.where(open_area > 0, np.where(contact > 0.5, 2, 1), 0).astype(np.int8)
    region = connected_regions(weights, kind)
    sure = np.bincount(region, open_area.astype(np.float64) * np.abs(2 * contact - 1))
    least = SMALLEST_REGION * face * max(1.0, blur / MODEST_BLUR) ** 3
    small = (sure[region] < least) & (sure.max(initial=0.0) >= least) & (kind > 0)
    return np.where(small, np.where(kind == 2, 0, 1), contact).astype(np.float32)


CORRELATED_AREA, COMMON_ERROR = 110.0, 0.45
"""How the variances of points add up: points within `CORRELATED_AREA` voxel faces err together, and `COMMON_ERROR` of
the mean variance is shared by the whole surface. Fitted to phantoms with true labels."""

BORDER_ERROR = 4.0
"""Voxels by which the border between contact and gap is misplaced over the whole of a particle, times the squares of
the noise, relative to the contrast of void and carbon-binder, and of the blur in voxels. Fitted to particles that the
network found in electrodes of `benchmarks.electrodes`, of blur 1.2 and 2 voxels and noise 0.12 and 0.25, one of them
with faint carbon-binder: one standard deviation covers the truth in 72 %, two in 91 %."""


def contact_share_std(
    layer: Floats, open_area: Floats, mixture: Mixture, face: float, contact: Floats, border: float
) -> float:
    """Standard deviation of the share of the surface in contact with carbon-binder.

    Parameters
    ----------
    layer, open_area
        (n,) float32: layer value, and area in micrometer^2 (0 where a point does not count) of each surface point.
    mixture
        Void and carbon-binder on this particle.
    face
        Area of a voxel's face in micrometer^2.
    contact
        (n,) float32, 0 void to 1 carbon-binder.
    border
        Voxels by which the border of the contact may be misplaced.

    Returns
    -------
    float
        From the odds of each point, which has the variance p (1 - p) where carbon-binder has the probability p, and
        from the border, whose length is that of two halves with the shares of contact and gap on a ball; NaN where no
        point counts.
    """
    total = float(open_area.sum(dtype=np.float64))
    if total <= 0:
        return float("nan")
    binder = 1 / (1 + np.exp(-mixture.log_odds(layer.astype(np.float64))))
    variance = float((open_area * binder * (1 - binder)).sum(dtype=np.float64)) / total
    share = float((open_area * contact).sum(dtype=np.float64)) / total
    # a circle that leaves the share p of a ball of diameter D on one side is pi D 2 sqrt(p (1 - p)) long
    length = 2 * float(np.sqrt(np.pi * total / face * share * (1 - share))) * face / total
    points = CORRELATED_AREA * face * variance / total + (COMMON_ERROR * variance) ** 2
    return float(np.sqrt(points + (border * length) ** 2))
