"""How wide a particle is between parallel planes, and how much of its convex hull it fills."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tomostat.measure.measures import TOO_SMALL, Arrays, Measure, Values, of_field, of_particle
from tomostat.measure.shape.hull import convex_hull, feret_diameters

if TYPE_CHECKING:
    from tomostat.measure.field import FieldParticles
    from tomostat.measure.particle import Particle

UNMEASURED = f"{TOO_SMALL}, and in a single slice"

OVER_HULL = (
    "Exact over the convex hull of the outermost points, one for each cell of directions, of the filled particle's "
    "surface (where its smoothed mask is 1/2) and of its voxels' centres. Of a particle that the field cuts: of the "
    "part inside."
)


@of_particle(
    Measure(
        name="feret_max", units="micrometer", long_name="largest Feret diameter", digits=2,
        definition=f"Largest distance of two parallel planes that touch the particle on both sides. {OVER_HULL}",
        missing=UNMEASURED, needs_volume=True, shown=("report",), heading="largest Feret diameter",
    ),
    Measure(
        name="feret_min", units="micrometer", long_name="smallest Feret diameter", digits=2,
        definition="Smallest distance of two parallel planes that touch the particle on both sides: those of a face "
        "and a corner, or of two edges (Houle and Toussaint 1988). Over the same hull as feret_max.",
        missing=UNMEASURED, needs_volume=True,
    ),
    Measure(
        name="feret_orthogonal", units="micrometer", digits=2,
        long_name="largest Feret diameter at right angles to the largest",
        definition="Largest distance of two parallel planes that touch the particle on both sides and whose normal is "
        "at right angles to that of feret_max (the breadth of Avizo). Over the same hull as feret_max.",
        missing=UNMEASURED, needs_volume=True,
    ),
    Measure(
        name="convex_volume", units="micrometer^3", long_name="volume of the convex hull", digits=0,
        definition="Volume of the hull of feret_max.", missing=UNMEASURED, needs_volume=True,
    ),
)  # fmt: skip
def feret(particle: Particle) -> Values:
    """Feret diameters and the volume of the convex hull."""
    if particle.is_section:
        return {}
    hull = convex_hull(particle.mask, particle.spacing)
    found = feret_diameters(hull)
    return {
        "feret_max": found.longest,
        "feret_min": found.shortest,
        "feret_orthogonal": found.across,
        "convex_volume": float(hull.volume),
    }


@of_field(
    Measure(
        name="convexity", units="1", long_name="volume over that of the convex hull",
        definition="volume / convex_volume, the solidity of ISO 9276-6; 1 at most.",
        missing=UNMEASURED, needs_volume=True, shown=("report", "statistics"),
    )
)  # fmt: skip
def convexity(particles: FieldParticles) -> Arrays:
    """Share of its convex hull that a particle fills."""
    return {"convexity": np.minimum(particles["volume"] / particles["convex_volume"], 1.0)}
