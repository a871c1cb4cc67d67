"""Carbon-binder or void at every surface point of a particle, and how sure the share of both is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tomostat.kernels.arrays import Floats
from tomostat.measure.contact.mixture import Mixture
from tomostat.measure.contact.profiles import MODEST_BLUR
from tomostat.measure.shape.averaging import SmoothingWeights, average_over_surface, connected_regions

BORDER_SLOPE = 2.0
"""Contact gained where the layer gains the contrast of carbon-binder and void, near a border."""

BORDER_ROUNDS, BORDER_SHARE = 4, 0.05
"""Rounds of averaging that make up the neighbourhood of a point, and the least share of it that void and carbon-binder
each must have for the point to lie near a border."""


def classify_contact(
    layer: Floats, open_area: Floats, mixture: Mixture, weights: SmoothingWeights, level: float = 1.0
) -> Floats:
    """Decide between void and carbon-binder, at the limit between their levels (`Mixture.limit`).

    Shares do not count here, though they do for the uncertainty (`contact_share_std`): by them, the more frequent of
    the two would win wherever a value is in doubt, and gaps shrink.

    Parameters
    ----------
    layer, open_area
        (n,) float32, layer value and area of each surface point; points of area 0 do not count.
    mixture
        Void and carbon-binder on this particle.
    weights
        Weights of one round of averaging.
    level
        What the level of carbon-binder is taken to be, as a multiple of the one found.

    Returns
    -------
    numpy.ndarray
        (n,) float32: contact, 0 (void) or 1 (carbon-binder), between them near a border with 1/2 on it.
    """
    mixture = replace(mixture, binder=mixture.binder._replace(mean=level * mixture.binder.mean))
    relative = 0.5 + (layer.astype(np.float64) - mixture.limit) / mixture.contrast  # 1/2 at the limit
    is_binder, is_open = relative > 0.5, open_area > 0
    kinds = np.stack([is_binder & is_open, ~is_binder & is_open], axis=1).astype(np.float32)
    around = average_over_surface(weights, kinds, BORDER_ROUNDS)
    binder_around = around[:, 0] / np.maximum(around.sum(axis=1), 1e-12)
    near_border = (binder_around > BORDER_SHARE) & (binder_around < 1 - BORDER_SHARE)
    gradual = np.clip(0.5 + BORDER_SLOPE * (relative - 0.5), 0, 1)
    return np.where(near_border, gradual, is_binder).astype(np.float32)


SMALLEST_CONTACT, SMALLEST_GAP = 25.0, 12.0
"""Areas in voxel faces, weighted with their certainty, below which a contact in a gap and a gap in a contact are noise.
Above `MODEST_BLUR` voxels, undoing the blur raises more noise: the second grows with the blur, the first, which
would halve the detour of a whole gap, with its cube."""


def remove_small_regions(
    contact: Floats, certainty: Floats, open_area: Floats, weights: SmoothingWeights, face: float, blur: float
) -> Floats:
    """Turn small or doubtful regions of contact or of void into what surrounds them.

    A single false point of contact inside a gap would halve the detour to the nearest contact, so that a region counts
    by its area times its certainty.

    Parameters
    ----------
    contact, certainty, open_area
        (n,) float32: 0 void to 1 carbon-binder; see `Mixture.certainty`; area in micrometer^2, 0 where a point does not
        count.
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
    sure = np.bincount(region, open_area.astype(np.float64) * certainty)
    growth = max(1.0, blur / MODEST_BLUR)
    least = face * np.where(kind == 2, SMALLEST_CONTACT * growth**3, SMALLEST_GAP * growth)
    small = (sure[region] < least) & (sure.max(initial=0.0) >= least) & (kind > 0)
    return np.where(small, np.where(kind == 2, 0, 1), contact).astype(np.float32)


CORRELATED_AREA = 150.0
"""Area in voxel faces within which points err together. Fitted to 244 particles that the network found in electrodes of
blur 1.2 and 2 voxels and noise 0.12 and 0.25, some with faint carbon-binder."""


def contact_share_std(layer: Floats, open_area: Floats, mixture: Mixture, face: float) -> float:
    """Standard deviation of the share of the surface in contact with carbon-binder.

    Parameters
    ----------
    layer, open_area
        (n,) float32: layer value, and area in micrometer^2 (0 where a point does not count) of each surface point.
    mixture
        Void and carbon-binder on this particle.
    face
        Area of a voxel's face in micrometer^2.

    Returns
    -------
    float
        From the odds of each point, which has the variance p (1 - p) where carbon-binder has the probability p. Points
        near each other err together (`CORRELATED_AREA`), and all of the surface errs by the mean variance, since
        doubtful surface errs one way where an outline is off or a film is porous. NaN where no point counts.
    """
    total = float(open_area.sum(dtype=np.float64))
    if total <= 0:
        return float("nan")
    binder = mixture.probability(layer.astype(np.float64))
    variance = float((open_area * binder * (1 - binder)).sum(dtype=np.float64)) / total
    return math.sqrt(CORRELATED_AREA * face * variance / total + variance**2)
