"""From the grey of the layer beyond a particle's edge to a verdict: carbon-binder or void, and how sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tomostat.measure.contact.averaging import Links, average_along, find_pieces
from tomostat.measure.shape.smoothing import Floats

Doubles = NDArray[np.float64]


class Cluster(NamedTuple):
    """A group of layer values, or what is expected of one.

    Attributes
    ----------
    mean, spread
        Centre and standard deviation of the group.
    doubt
        Standard deviation of the centre before any value is seen.
    """

    mean: float
    spread: float
    doubt: float


@dataclass(frozen=True)
class Groups:
    """Void and carbon-binder as layer values show them.

    Attributes
    ----------
    void, binder
        The groups.
    share
        Share of the surface in the group `binder`.
    """

    void: Cluster
    binder: Cluster
    share: float = 0.5

    def log_odds(self, layer: Doubles) -> Doubles:
        """Logarithm of the odds of carbon-binder against void for each layer value, within -10 and 10."""
        share = min(max(self.share, 1e-3), 1 - 1e-3)
        odds = np.log(share / self.binder.spread) - np.log((1 - share) / self.void.spread)
        odds = odds - 0.5 * ((layer - self.binder.mean) / self.binder.spread) ** 2
        odds = odds + 0.5 * ((layer - self.void.mean) / self.void.spread) ** 2
        # beyond its own centre no group loses to a wider one
        odds = np.where(layer >= self.binder.mean, 10.0, odds)
        return np.clip(np.where(layer <= self.void.mean, -10.0, odds), -10.0, 10.0)


EXPECTED = Groups(Cluster(-0.05, 0.09, 0.1), Cluster(0.75, 0.18, 0.2))
"""Before a field is seen. Binder beside a particle is a porous film, darker than binder in bulk."""

SCATTER = (0.03, 0.12)
"""How far the centres of void and carbon-binder on one particle may lie from the field's: leftover shading, density."""

STEADY = 0.08
"""Local standard deviation of layer values beyond which they lie on a border and tell neither group."""

EVIDENCE = 40.0
"""Number of independent values that one surface is taken to hold, against what is expected of it."""

BINS = np.arange(-1.0, 3.01, 0.02)
"""Edges of the histogram of layer values from which a field's groups are found."""


def steady_weights(layer: Floats, voice: Floats, links: Links) -> Doubles:
    """Weights (n,) of layer values for finding groups: their area, less where values change along the surface."""
    heard = (voice > 0).astype(np.float32)
    columns = np.stack([heard, heard * layer, heard * layer * layer], axis=1)
    count, first, second = average_along(links, columns, 3).T
    divisor = np.maximum(count, 1e-6)
    variance = np.maximum(second / divisor - (first / divisor) ** 2, 0)
    weight: Doubles = voice * np.exp(-variance / (2 * STEADY**2))
    return weight if weight.sum() > 0.05 * voice.sum() else voice.astype(np.float64)


def histogram(layer: Floats, weight: Doubles, face: float) -> NDArray[np.int64]:
    """Counts of layer values in `BINS`, in thousandths of a voxel face: integers, whose sum no order changes."""
    place = np.clip(np.searchsorted(BINS, layer) - 1, 0, len(BINS) - 2)
    counts: NDArray[np.int64] = np.zeros(len(BINS) - 1, np.int64)
    np.add.at(counts, place, np.rint(weight * (1000 / face)).astype(np.int64))
    return counts


def find_groups(
    layer: Doubles, weight: Doubles, expected: Groups, *, evidence: float = EVIDENCE, rounds: int = 60
) -> Groups:
    """Part layer values into void and carbon-binder by expectation maximisation with priors.

    Parameters
    ----------
    layer, weight
        (n,) float64, values and weights.
    expected
        Centres, spreads and doubts before any value is seen.
    evidence
        Number of independent values among all.
    rounds
        Rounds of the expectation maximisation.

    Returns
    -------
    Groups
        What is expected, where a group has hardly a member.
    """
    # a histogram stands for the values: its bins are far narrower than a group
    place = np.clip(np.searchsorted(BINS, layer) - 1, 0, len(BINS) - 2)
    share = np.bincount(place, weight, len(BINS) - 1) / max(float(weight.sum()), 1e-300)
    layer = 0.5 * (BINS[:-1] + BINS[1:])
    groups = expected
    for _ in range(rounds):
        binder = 1 / (1 + np.exp(-groups.log_odds(layer)))
        void = _update(expected.void, groups.void.spread, layer, share * (1 - binder), 0.3, evidence)
        full = _update(expected.binder, groups.binder.spread, np.minimum(layer, 1.5), share * binder, 0.5, evidence)
        groups = Groups(void, full, (float((share * binder).sum()) + 0.02) / 1.04)
    return groups


def _update(prior: Cluster, spread: float, x: Doubles, weight: Doubles, most: float, evidence: float) -> Cluster:
    """One group's centre and spread from its members and the prior; outliers beyond `most` are pulled in."""
    total = float(weight.sum())
    hold = (spread / prior.doubt) ** 2 / evidence
    mean = (float((weight * x).sum()) + hold * prior.mean) / (total + hold)
    # a group without members must not take over the other's
    mean = min(max(mean, prior.mean - 2 * prior.doubt), prior.mean + 2 * prior.doubt)
    square = float((weight * np.clip(x - mean, -most, most) ** 2).sum())
    belief = 12 / evidence  # the prior's spread counts as twelve values
    deviation = float(np.sqrt((square + belief * prior.spread**2) / (total + belief)))
    return Cluster(mean, min(max(deviation, 0.5 * prior.spread), 2 * prior.spread), prior.doubt)


def field_groups(counts: NDArray[np.int64]) -> Groups:
    """Groups of a field from the histograms of some of its particles; what is expected where there are none."""
    centres = 0.5 * (BINS[:-1] + BINS[1:])
    total = float(counts.sum())
    if total == 0:
        return EXPECTED
    found = find_groups(centres, counts.astype(np.float64), EXPECTED, evidence=100 * EVIDENCE)
    return Groups(found.void._replace(doubt=SCATTER[0]), found.binder._replace(doubt=SCATTER[1]), found.share)


def place_borders(
    layer: Floats, voice: Floats, groups: Groups, links: Links, *, start: Floats | None = None, rounds: int = 3
) -> Floats:
    """Decide between void and carbon-binder; borders lie half way between the levels found on their two sides.

    Away from borders the odds decide, which allow for the different spread of the groups. Across a border the averaged
    layer slides from one level to the other, and only half way is the border's place unbiased.

    Parameters
    ----------
    layer, voice
        (n,) float32, first layer and area of each surface point; points of area 0 have no voice.
    groups
        Void and carbon-binder on this particle.
    links
        Weights of one round of averaging.
    start
        A verdict to start from; by the odds when not given.
    rounds
        Repetitions; each uses the levels that the one before leads to.

    Returns
    -------
    numpy.ndarray
        (n,) float32: the verdict, from 0 (void) to 1 (carbon-binder) with 1/2 on the border.
    """
    alone = 0.5 + np.clip(groups.log_odds(layer.astype(np.float64)), -6, 6) / 12
    verdict = alone if start is None else start.astype(np.float64)
    heard = voice > 0
    for _ in range(rounds):
        binder, void = (verdict > 0.5) & heard, (verdict <= 0.5) & heard
        both = average_along(links, np.stack([binder, void], axis=1).astype(np.float32), 4)
        near = both[:, 0] / np.maximum(both.sum(axis=1), 1e-12)
        # levels from points well inside their own group, held by the particle's where there are none
        deep = np.stack([binder * np.maximum(near - 0.5, 0) ** 4, void * np.maximum(0.5 - near, 0) ** 4], axis=1)
        columns = np.concatenate([deep, deep * layer[:, None]], axis=1).astype(np.float32)
        weight, total = np.split(average_along(links, columns, 8).astype(np.float64), 2, axis=1)
        level = (total + 0.005 * np.array([groups.binder.mean, groups.void.mean])) / (weight + 0.005)
        high, low = level[:, 0], np.minimum(level[:, 1], groups.void.mean + groups.void.spread)
        place = 0.5 + (layer - 0.5 * (high + low)) / np.maximum(high - low, 0.1)
        verdict = np.where((near > 0.05) & (near < 0.95), np.clip(place, 0, 1), alone)
    return verdict.astype(np.float32)


SPECK = 25.0
"""Area in voxel faces below which a spot of one verdict within the other is noise: averages reach as far."""


def drop_specks(verdict: Floats, voice: Floats, links: Links, face: float) -> Floats:
    """Turn spots of either verdict that are smaller than `SPECK` into what surrounds them.

    Parameters
    ----------
    verdict, voice
        (n,) float32: 0 void to 1 carbon-binder; area in micrometer^2, 0 where a point has no voice.
    links
        Which points are neighbours.
    face
        Area of a voxel's face in micrometer^2.

    Returns
    -------
    numpy.ndarray
        (n,) float32.
    """
    kind = np.where(voice > 0, np.where(verdict > 0.5, 2, 1), 0).astype(np.int8)
    piece = find_pieces(links, kind)
    area = np.bincount(piece, voice.astype(np.float64))
    speck = (area[piece] < SPECK * face) & (area.max(initial=0.0) >= SPECK * face) & (kind > 0)
    return np.where(speck, np.where(kind == 2, 0, 1), verdict).astype(np.float32)


PATCH, COMMON = 110.0, 0.45
"""How doubts of points add up: points within `PATCH` voxel faces err together, and `COMMON` of the mean doubt is shared
by the whole surface. Fitted to phantoms of blur 0.8 to 2 voxels, noise 0.08 to 0.25 and both smooth and mottled binder,
where it covers the truth in 60 to 76 % at one standard deviation."""


def share_uncertainty(layer: Floats, area: Floats, groups: Groups, face: float) -> float:
    """Standard deviation of the share of the surface in contact.

    Parameters
    ----------
    layer, area
        (n,) float32: first layer, and area in micrometer^2 (0 where a point does not count) of each surface point.
    groups
        Void and carbon-binder on this particle.
    face
        Area of a voxel's face in micrometer^2.

    Returns
    -------
    float
        From the odds of each point: a point of probability p has the doubt p (1 - p).
    """
    total = float(area.sum(dtype=np.float64))
    if total <= 0:
        return float("nan")
    binder = 1 / (1 + np.exp(-groups.log_odds(layer.astype(np.float64))))
    doubt = float((area * binder * (1 - binder)).sum(dtype=np.float64)) / total
    return float(np.sqrt(PATCH * face * doubt / total + (COMMON * doubt) ** 2))
