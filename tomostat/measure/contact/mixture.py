"""Layer values beyond the edges of particles as a mixture of void and carbon-binder, of a field and of one particle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from tomostat.kernels.arrays import Doubles, Floats
from tomostat.measure.shape.averaging import SmoothingWeights, average_over_surface


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
        Share of carbon-binder among the values of one material.
    mixed
        Share of values from borders, where averages hold void and carbon-binder in any proportion; 0 where they are
        not told from the components.
    """

    void: Component
    binder: Component
    share: float = 0.5
    mixed: float = 0.0

    @property
    def middle(self) -> float:
        """Value half way between void and carbon-binder."""
        return 0.5 * (self.void.mean + self.binder.mean)

    @property
    def equal_density(self) -> float:
        """Value between the means above which carbon-binder has the higher density."""
        low, high = (part.spread**-2 for part in (self.void, self.binder))
        square, step = low - high, self.void.mean * low - self.binder.mean * high
        rest = self.void.mean**2 * low - self.binder.mean**2 * high + np.log(high / low)
        if abs(square) < 1e-6 * low:
            return self.middle
        root = np.sqrt(max(step**2 - square * rest, 0.0)) / square
        roots = (step / square - root, step / square + root)
        return next((float(x) for x in roots if self.void.mean <= x <= self.binder.mean), self.middle)

    @property
    def limit(self) -> float:
        """Value from which on a layer is taken for carbon-binder.

        The middle is where borders lie, and where neither is taken for the other more often when both vary alike. Where
        films are porous, carbon-binder varies more than void, and its darkest parts lie below the middle; half the way
        to where both are as likely, as much of one is mistaken as of the other. Where the two do not overlap, as in a
        segmented image, none is mistaken but on borders.
        """
        touching, apart = OVERLAP
        share = 0.5 * min(max((apart - self.separation) / (apart - touching), 0), 1)
        return (1 - share) * self.middle + share * self.equal_density

    @property
    def contrast(self) -> float:
        """Carbon-binder above void."""
        return max(self.binder.mean - self.void.mean, LEAST_CONTRAST)

    def certainty(self, layer: Floats) -> Floats:
        """How sure the decision on a value is, from 0 at the limit to 1 half the contrast away."""
        return np.minimum(2 * np.abs(layer - self.limit) / self.contrast, 1).astype(np.float32)

    @property
    def spread(self) -> float:
        """Standard deviation of values of one material, whichever it is."""
        return float(np.hypot(self.void.spread, self.binder.spread) / np.sqrt(2))

    @property
    def separation(self) -> float:
        """Distance of void and carbon-binder in standard deviations of their values."""
        return self.contrast / self.spread

    def mixed_odds(self, layer: Doubles) -> Doubles:
        """Odds that a value comes from a border, against one material.

        Between the means all proportions are as likely (Santago and Gage, IEEE Trans. Med. Imaging 12, 566, 1993).
        """
        if not self.mixed:
            return np.zeros_like(layer)
        low, high = (ndtr((layer - part.mean) / self.spread) for part in (self.void, self.binder))
        odds: Doubles = self.mixed * (low - high) / self.contrast / np.maximum(self._density_of_one(layer), 1e-300)
        return odds

    def density(self, layer: Doubles) -> Doubles:
        """Probability density of layer values."""
        density: Doubles = self._density_of_one(layer) * (1 + self.mixed_odds(layer))
        return density

    def _density_of_one(self, layer: Doubles) -> Doubles:
        """Density of the values of one material."""
        one = self.share * _density(layer, self.binder) + (1 - self.share) * _density(layer, self.void)
        return (1 - self.mixed) * one

    def log_odds(self, layer: Doubles) -> Doubles:
        """Logarithm of the odds of carbon-binder against void for each layer value, within -10 and 10."""
        share = min(max(self.share, 1e-3), 1 - 1e-3)
        odds = np.log(share / self.binder.spread) - np.log((1 - share) / self.void.spread)
        odds = odds - 0.5 * ((layer - self.binder.mean) / self.binder.spread) ** 2
        odds = odds + 0.5 * ((layer - self.void.mean) / self.void.spread) ** 2
        # the wider component would win again far outside both means: beyond its own mean each one is certain
        odds = np.where(layer >= self.binder.mean, 10.0, odds)
        return np.clip(np.where(layer <= self.void.mean, -10.0, odds), -10.0, 10.0)

    def probability(self, layer: Doubles) -> Doubles:
        """Probability that the material of each layer value is carbon-binder."""
        probability: Doubles = 1 / (1 + np.exp(-self.log_odds(layer)))
        return probability


PRIOR = Mixture(Component(-0.05, 0.12, 0.2), Component(0.75, 0.18, 0.25), mixed=0.1)
"""Prior for a field. Carbon-binder beside a particle is a porous film, darker than carbon-binder in bulk; void is not
quite at 0 where the blur or the level of pores is a little off."""

OVERLAP = (6.0, 10.0)
"""Separations up to which values of void and carbon-binder overlap, and from which on they do not."""

PARTICLE_STD = (0.08, 0.1)
"""Standard deviation of the means of void and carbon-binder of single particles around those of their field, from
shading that is left over and from the density of the carbon-binder."""

LEAST_WEIGHT = 0.005
"""Least weight of the prior for a component's mean: that of so large a share of the values."""

LEAST_GAIN = 0.01
"""Least mean logarithm of the likelihood ratio of two components against one: below it the values are of one kind."""

RARE = 0.02
"""Share of the component of which a field has none."""

LEAST_CONTRAST = 0.1
"""Least contrast of carbon-binder and void."""

HOMOGENEOUS_STD = 0.08
"""Local standard deviation of layer values above which they lie on a border between void and carbon-binder, and
represent neither."""

SAMPLE_SIZE = 40.0
"""Effective number of independent layer values on one particle; the prior is weighed against it."""

SETTLED = 1e-4
"""Change of the means in a round, in units of the contrast, below which they have settled."""

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
        Most rounds of the expectation maximisation, which ends once the means have settled.

    Returns
    -------
    Mixture
        Components close to the prior where they have hardly a member.

    Notes
    -----
    Expectation maximisation of the posterior (Dempster, Laird and Rubin, J. R. Stat. Soc. B 39, 1, 1977), with members
    beyond three spreads pulled in, as Huber's estimator does.
    """
    # a histogram in place of the values: its bins are far narrower than a component
    share = np.bincount(_bins_of(layer), weight, len(BINS) - 1) / max(float(weight.sum()), 1e-300)
    layer = CENTRES
    mixture = prior
    for _ in range(rounds):
        odds = mixture.mixed_odds(layer)
        pure = share / (1 + odds)
        binder = mixture.probability(layer)
        void = _update(prior.void, mixture.void.spread, layer, pure * (1 - binder), sample_size)
        full = _update(prior.binder, mixture.binder.spread, layer, pure * binder, sample_size)
        mixed = float((pure * odds).sum())
        before = mixture
        mixture = Mixture(void, full, (float((pure * binder).sum()) + 0.02) / (float(pure.sum()) + 0.04), mixed)
        if max(abs(void.mean - before.void.mean), abs(full.mean - before.binder.mean)) < SETTLED:
            break
    return mixture


def _density(layer: Doubles, part: Component) -> Doubles:
    """Normal density of a component."""
    density: Doubles = np.exp(-0.5 * ((layer - part.mean) / part.spread) ** 2) / (part.spread * np.sqrt(2 * np.pi))
    return density


def _update(prior: Component, spread: float, x: Doubles, weight: Doubles, sample_size: float) -> Component:
    """One component's mean and spread from its members and the prior; outliers are pulled in to three spreads."""
    total = float(weight.sum())
    # a component without members must not take over the other's
    prior_weight = max((spread / prior.mean_std) ** 2 / sample_size, LEAST_WEIGHT)
    mean = (float((weight * x).sum()) + prior_weight * prior.mean) / (total + prior_weight)
    mean = min(max(mean, prior.mean - 2 * prior.mean_std), prior.mean + 2 * prior.mean_std)
    square = float((weight * np.clip(x - mean, -3 * spread, 3 * spread) ** 2).sum())
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
        `PRIOR` where there are no values. Where one normal distribution describes them as well as two, and lies where
        the prior expects a component, they are of one kind, and the other component stays where it is expected. One
        that lies between them is of both kinds in so much noise that they are hardly distinct.
    """
    if not counts.any():
        return PRIOR
    weight = counts.astype(np.float64)
    found, single = fit_mixture(CENTRES, weight, PRIOR, sample_size=100 * SAMPLE_SIZE), _fit_one(weight)
    ratio = np.log(np.maximum(found.density(CENTRES), 1e-300) / np.maximum(_density(CENTRES, single), 1e-300))
    kinds = [part for part in (PRIOR.void, PRIOR.binder) if abs(single.mean - part.mean) <= part.mean_std]
    if kinds and np.average(ratio, weights=weight) < LEAST_GAIN:
        found = _of_one_kind(single)
    void, binder = (part._replace(mean_std=s) for part, s in zip((found.void, found.binder), PARTICLE_STD, strict=True))
    return Mixture(void, binder, found.share)  # one particle has too few values on borders to tell them


def _fit_one(weight: Doubles) -> Component:
    """One normal distribution of the values in `BINS`."""
    mean = float(np.average(CENTRES, weights=weight))
    spread = float(np.sqrt(np.average((CENTRES - mean) ** 2, weights=weight)))
    return Component(mean, max(spread, 0.5 * PRIOR.void.spread), 0.0)


def _of_one_kind(values: Component) -> Mixture:
    """All values void or all carbon-binder, whichever is nearer, and the other where it is expected."""
    if values.mean < PRIOR.middle:
        return replace(PRIOR, void=values, share=RARE)
    return replace(PRIOR, binder=values, share=1 - RARE)
