"""How near and how dense the other particles around a particle are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomostat.kernels.arrays import ByteMask
from tomostat.kernels.smoothing import Spacing
from tomostat.measure.contact.neighbours import count_contacts, nearest_distances
from tomostat.measure.measures import TOO_SMALL, Arrays, Measure, Values, of_field, of_particle
from tomostat.measure.shape.distance import distance_to

if TYPE_CHECKING:
    from tomostat.measure.field import FieldParticles
    from tomostat.measure.particle import Particle


@of_field(
    Measure(
        name="neighbours",
        dtype="i8",
        units="1",
        long_name="particles that it touches",
        digits=0,
        definition="Its coordination number: particles that share a voxel face with it, or whose surface touches it or "
        "is touched by its own; those left out that come no closer than balls of the same volumes with a gap between "
        "them do.",
        shown=("report",),
    ),
    Measure(
        name="nearest_distance",
        units="micrometer",
        long_name="distance to the centre of the nearest particle",
        definition="Distance between the centres of gravity.",
        missing="for the only particle of a field",
        digits=2,
    ),
)
def neighbours(particles: FieldParticles) -> Arrays:
    """Contacts with other particles, and the nearest one."""
    contacts = particles.contacts
    return {
        "neighbours": count_contacts(particles.moments.label, contacts.a, contacts.b),
        "nearest_distance": nearest_distances(particles["centroid"]),
    }


@of_particle(
    Measure(
        name="gap", units="micrometer", long_name="shortest distance to another particle within the shell",
        definition="Least distance between the centres of its voxels and those of another particle, less one voxel; 0 "
        "where they touch. The shell is as thick as the option shell says.",
        missing=f"where no other particle lies within the shell, and {TOO_SMALL}", digits=2,
    ),
    Measure(
        name="packing", units="1", long_name="share of the shell around the particle that other particles fill",
        definition="Voxels of other particles over all voxels of the field within the distance that the option shell "
        "says.",
        missing=f"{TOO_SMALL}, and where the shell lies outside the field",
    ),
)  # fmt: skip
def shell(particle: Particle) -> Values:
    """What lies in the shell around the particle."""
    surroundings = particle.surroundings
    mask, other, outside = particle.surface.mask, surroundings.other, surroundings.outside
    return shell_columns(mask, other, outside, particle.options.shell, particle.spacing)


def shell_columns(
    mask: ByteMask, other: NDArray[np.bool_], outside: NDArray[np.bool_], thickness: float, spacing: Spacing
) -> dict[str, float]:
    """How densely other particles lie around one.

    Parameters
    ----------
    mask
        (z, y, x) uint8, the filled particle.
    other, outside
        (z, y, x) bool: other particles; what lies outside the field of view.
    thickness
        Thickness of the shell in micrometers; the box must reach that far, or to the field's border.
    spacing
        Voxel size (z, y, x) in micrometers.

    Returns
    -------
    dict
        `packing`: share of the shell, as far as it lies in the field, that is in other particles; `gap`: shortest
        distance to another particle within the shell in micrometers, NaN where there is none.
    """
    distance = distance_to(mask.view(bool), spacing)
    shell = (distance > 0) & (distance <= thickness) & ~outside
    count = int(shell.sum())
    near = distance[shell & other]
    # between the centres of two touching voxels lies one voxel and no gap
    gap = max(float(near.min()) - min(spacing if len(mask) > 1 else spacing[1:]), 0.0) if len(near) else math.nan
    return {"packing": len(near) / count if count else math.nan, "gap": gap}
