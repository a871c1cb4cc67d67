"""Local resistance: how far electrons detour from the surface to the nearest contact (Jiang et al. 2020)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomostat.kernels.arrays import Floats
from tomostat.measure.measures import TOO_SMALL, Measure, Value, Values, of_particle

if TYPE_CHECKING:
    from tomostat.measure.particle import Particle

NONE = f"without any contact, where the image shows no carbon-binder, and {TOO_SMALL}"
NEXT = 2.0
"""Voxels from a contact within which a point lies next to its border."""
DETOUR = "Shortest path over the surface (or through the solid, by the option path) to the nearest contact"


@of_particle(
    Measure(
        name="resistance_mean", units="1", missing=NONE, shown=("report", "statistics"), heading="resistance, mean",
        long_name="detour to the nearest contact over equivalent radius, mean over the surface",
        definition=f"{DETOUR}, over the radius of the ball of equal volume (Jiang et al. 2020); area-weighted "
        "mean, 0 in contact.",
    ),
    Measure(
        name="resistance_mean_std", units="1", missing=NONE,
        long_name="uncertainty of the mean resistance, one standard deviation",
        definition="When the border of the contact moves by a distance d, every detour beyond it changes by d: the "
        "detached share of the surface times d over the radius, with d such that the detachment changes by "
        "detachment_std. The length of the border follows from the area next to it.",
    ),
    Measure(
        name="resistance_max", units="1", missing=NONE, shown=("statistics",), heading="resistance, largest",
        long_name="detour to the nearest contact over equivalent radius, largest",
        definition=f"{DETOUR}, over the radius of the ball of equal volume; largest over the surface.",
    ),
    Measure(
        name="resistance_std", units="1", missing=NONE, shown=("report", "statistics"), heading="resistance, spread",
        long_name="detour to the nearest contact over equivalent radius, spread over the surface",
        definition="Area-weighted standard deviation of the detour over the radius of the ball of equal volume, over "
        "the whole surface; 0 when intact.",
    ),
    Measure(
        name="resistance_detached_mean", units="1", missing=NONE,
        long_name="detour over equivalent radius, mean over the detached surface",
        definition="As resistance_mean, over the points that are not in contact; 0 when all are.",
    ),
    Measure(
        name="detour_mean", units="micrometer", missing=NONE, digits=2,
        long_name="detour to the nearest contact, mean over the surface", definition=f"{DETOUR}; area-weighted mean.",
    ),
    Measure(
        name="detour_max", units="micrometer", missing=NONE, digits=2,
        long_name="detour to the nearest contact, largest", definition=f"{DETOUR}; largest.",
    ),
    Measure(
        name="detour_std", units="micrometer", missing=NONE, digits=2,
        long_name="detour to the nearest contact, spread over the surface",
        definition=f"{DETOUR}; area-weighted standard deviation.",
    ),
    Measure(
        name="fully_detached", dtype="?", units="", long_name="no contact to carbon-binder at all",
        definition="No surface point is in contact with carbon-binder or the current collector.",
        missing=f"false where the image shows no carbon-binder, and {TOO_SMALL}",
    ),
)  # fmt: skip
def resistance(particle: Particle) -> Values:
    """Detour from the surface to the nearest contact, absolute and relative to the equivalent radius.

    Means and spreads are weighted with the area. A particle without any contact has no finite detour: NaN, and
    ``fully_detached``. Pieces of a particle that no contact reaches are left out of the means.
    """
    conducting, distance = particle.conducting, particle.detour
    if np.isnan(conducting).any():
        return {}
    weight = np.where(np.isfinite(distance), particle.surface.area, 0).astype(np.float64)
    if not (conducting >= 0.5).any() or weight.sum() <= 0:
        return {"fully_detached": True}
    found = _spread(distance, weight, conducting, particle.radius)
    unsure = particle.contact.deviation * particle.contact.open_area
    found["resistance_mean_std"] = _mean_std(distance, weight, unsure, particle.spacing) / particle.radius
    return {"fully_detached": False, **found}


def _mean_std(
    distance: NDArray[np.float64], weight: NDArray[np.float64], unsure: float, spacing: tuple[float, float, float]
) -> float:
    """Standard deviation of the mean detour, from that of the area in contact, both by how far its border may move."""
    free = (weight > 0) & (distance > 0)
    width = NEXT * math.cbrt(math.prod(spacing))
    beside = float(weight[free & (distance <= width)].sum())
    if beside == 0:
        return 0.0 if not free.any() else math.nan
    return unsure * width / beside * float(weight[free].sum() / weight.sum())


def _spread(
    distance: NDArray[np.float64], weight: NDArray[np.float64], conducting: Floats, radius: float
) -> dict[str, Value]:
    """Area-weighted figures of the detour over the whole surface and over its detached part."""
    detour = np.where(np.isfinite(distance), distance, 0.0)
    mean = float(np.average(detour, weights=weight))
    spread = math.sqrt(float(np.average((detour - mean) ** 2, weights=weight)))
    free = weight * (conducting < 0.5)
    apart = float(np.average(detour, weights=free)) if free.sum() > 0 else 0.0
    longest = float(detour[weight > 0].max())
    return {
        "detour_mean": mean,
        "detour_max": longest,
        "detour_std": spread,
        "resistance_mean": mean / radius,
        "resistance_max": longest / radius,
        "resistance_std": spread / radius,
        "resistance_detached_mean": apart / radius,
    }
