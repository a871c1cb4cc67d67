"""The form of a particle from the axes of its ellipsoid, long L, middle I and short S."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomostat.measure.measures import Arrays, Measure, of_field
from tomostat.measure.shape.size import RANK, axis_directions

if TYPE_CHECKING:
    from tomostat.measure.field import FieldParticles

ZINGG = 2 / 3
"""Ratio of axes that separates the classes of Zingg."""

IN_SECTION = "in a single slice"


@of_field(
    Measure(
        name="elongation", units="1", long_name="middle over long axis: 1 where it is not elongated",
        definition="I / L of the axes L, I, S in axis_length (Zingg 1935).", missing=IN_SECTION, needs_volume=True,
        shown=("report",),
    ),
    Measure(
        name="flatness", units="1", long_name="short over middle axis: 1 where it is not flat",
        definition="S / I of the axes L, I, S in axis_length (Zingg 1935).", missing=IN_SECTION, needs_volume=True,
        shown=("report",),
    ),
    Measure(
        name="aspect_ratio", units="1", long_name="long over short axis", missing=IN_SECTION, needs_volume=True,
        definition="L / S of the axes in axis_length.",
    ),
    Measure(
        name="zingg_class", dtype="U", units="", long_name="class of form: sphere, disc, rod or blade",
        definition="By whether elongation and flatness exceed 2/3: both sphere, elongation alone disc, flatness alone "
        "rod, none blade (Zingg 1935).",
        missing=f"empty {IN_SECTION}", needs_volume=True, heading="Zingg class",
    ),
    Measure(
        name="krumbein_sphericity", units="1", long_name="sphericity of the ellipsoid after Krumbein",
        definition="(I S / L^2)^(1/3) of the axes in axis_length (Krumbein 1941).", missing=IN_SECTION,
        needs_volume=True,
    ),
    Measure(
        name="axis_polar_angle", units="degree", long_name="angle between an axis and z", dims=(RANK,), digits=1,
        definition="From 0 along z to 90 at right angles to it, for each axis of axis_length.", missing=IN_SECTION,
        needs_volume=True,
    ),
    Measure(
        name="axis_azimuth", units="degree", long_name="direction of an axis in the plane of x and y", dims=(RANK,),
        digits=1, definition="Angle from x towards y of the axis, turned so that its z component is not negative; from "
        "-180 to 180.", missing=IN_SECTION, needs_volume=True,
    ),
)  # fmt: skip
def form(particles: FieldParticles) -> Arrays:
    """Ratios and directions of the axes of the ellipsoid of equal second moments."""
    if particles.is_section:
        return {}
    long, middle, short = particles["axis_length"].T
    elongation, flatness = middle / long, short / middle
    z, y, x = np.moveaxis(axis_directions(particles.moments, particles.spacing), -1, 0)
    return {
        "elongation": elongation,
        "flatness": flatness,
        "aspect_ratio": long / short,
        "zingg_class": zingg_class(elongation, flatness),
        "krumbein_sphericity": np.cbrt(middle * short / long**2),
        "axis_polar_angle": np.degrees(np.arccos(np.minimum(z, 1.0))),
        "axis_azimuth": np.degrees(np.arctan2(y, x)),
    }


def zingg_class(elongation: NDArray[np.float64], flatness: NDArray[np.float64]) -> NDArray[np.str_]:
    """Classes of Zingg (1935), (n,) text, from (n,) I / L and S / I."""
    return np.where(
        elongation > ZINGG, np.where(flatness > ZINGG, "sphere", "disc"), np.where(flatness > ZINGG, "rod", "blade")
    )
