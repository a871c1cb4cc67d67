"""The brightest voxel of every particle."""

from __future__ import annotations

import numpy as np

from tomostat import Measure, of_particle


@of_particle(
    Measure(
        name="brightest",
        units="1",
        long_name="brightest grey value inside the particle",
        definition="Largest grey value without shading over the filled particle.",
        shown=("report", "statistics"),
        heading="brightest grey",
        digits=1,
    )
)
def brightest(particle):
    """Largest grey value."""
    return {"brightest": float(particle.box.grey[particle.surface.mask > 0].max())}


@of_particle(Measure(name="broken", units="1", long_name="a measure that fails"))
def broken(particle):
    """Fail on the second particle."""
    if particle.label == 2:
        raise ZeroDivisionError("no second particle, please")
    return {"broken": np.float64(1.0)}
