"""How large and how rough a particle's surface is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomostat.measure.measures import TOO_SMALL, Arrays, Measure, Values, of_field, of_particle
from tomostat.measure.shape.averaging import SmoothingWeights, average_over_surface
from tomostat.measure.shape.surface import Surface

if TYPE_CHECKING:
    from tomostat.measure.field import FieldParticles
    from tomostat.measure.particle import Particle

ROUGHNESS_ROUNDS = 16
"""Rounds of averaging: 5 voxels."""

UNMEASURED = f"{TOO_SMALL}, and in a single slice"
WHOLE = f"where the field cuts the particle; {UNMEASURED}"


@of_particle(
    Measure(
        name="surface_area", units="micrometer^2", long_name="outer surface inside the field",
        missing=UNMEASURED, needs_volume=True, digits=1,
        definition="Outer voxel faces, each weighted with the cosine between its own normal and that of the smoothed "
        "surface (Windreich, Kiryati and Lohmann 2003); faces cut by the field's border are left out.",
    ),
    Measure(
        name="surface_area_crofton", units="micrometer^2", long_name="whole surface by Crofton's formula, a check",
        definition="S = 2 sum w N V / d over 13 directions: N crossings of the filled particle's surface, voxel "
        "volume V, step d, weight w (Lehmann and Legland 2012). Surface that the field cuts counts too.",
        missing=UNMEASURED, needs_volume=True, digits=1,
    ),
    Measure(
        name="roughness", units="micrometer", missing=UNMEASURED, needs_volume=True,
        long_name="spread of the surface's height over its mean within 5 voxels",
        definition="Area-weighted standard deviation of the distance between the surface and its average over a "
        "Gaussian of 5 voxels.",
    ),
)  # fmt: skip
def surface_area(particle: Particle) -> Values:
    """Area in two ways, and roughness."""
    return {
        "surface_area": particle.surface.total,
        "surface_area_crofton": particle.crofton_area,
        "roughness": roughness(particle.surface, particle.weights),
    }


@of_field(
    Measure(
        name="sphericity", units="1", long_name="surface of the ball of equal volume over the surface",
        definition="pi^(1/3) (6 V)^(2/3) / S with volume V and surface_area S (Wadell 1935).",
        missing=WHOLE, needs_volume=True, shown=("report", "statistics"),
    ),
    Measure(
        name="compactness", units="1", long_name="cubed sphericity", missing=WHOLE, needs_volume=True,
        definition="36 pi V^2 / S^3 with volume V and surface_area S: 1 for a ball.",
    ),
    Measure(
        name="specific_surface", units="micrometer^-1", long_name="outer surface over volume",
        definition="surface_area / volume.", missing=WHOLE, needs_volume=True, heading="specific surface",
    ),
)  # fmt: skip
def surface_of_whole(particles: FieldParticles) -> Arrays:
    """Surface beside volume of particles that the field does not cut."""
    volume = np.where(particles["touches_border"], np.nan, particles["volume"])
    found = sphericity(volume, particles["surface_area"])
    return {"sphericity": found, "compactness": found**3, "specific_surface": particles["surface_area"] / volume}


def roughness(surface: Surface, weights: SmoothingWeights) -> float:
    """Standard deviation of the surface's height over its mean within 5 voxels, area-weighted, in micrometers."""
    mean = average_over_surface(weights, surface.point, ROUGHNESS_ROUNDS)
    height = ((surface.point - mean) * surface.normal).sum(axis=1).astype(np.float64)
    area = surface.area.astype(np.float64)
    if area.sum() <= 0:
        return math.nan
    middle = np.average(height, weights=area)
    return math.sqrt(float(np.average((height - middle) ** 2, weights=area)))


def sphericity(volume: NDArray[np.float64], area: NDArray[np.float64]) -> NDArray[np.float64]:
    """``pi^(1/3) (6 V)^(2/3) / S`` (Wadell 1935); NaN without surface."""
    usable = np.where(area > 0, area, np.nan)
    result: NDArray[np.float64] = math.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / usable
    return result
