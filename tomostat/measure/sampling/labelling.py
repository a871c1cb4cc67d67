"""Labels that another program made: the numbers that they had there, and what about them is odd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from tomostat.measure.measures import TOO_SMALL, Arrays, Measure, Values, of_field, of_particle
from tomostat.phase import Phase

if TYPE_CHECKING:
    from tomostat.measure.field import FieldParticles
    from tomostat.measure.particle import Particle


@of_field(
    Measure(
        name="original_id", dtype="i8", units="", long_name="number of the particle in the labels of another program",
        definition="Value of the particle's voxels in the image that was given as labels.",
        missing="0 where tomostat found the particles itself", digits=0,
    )
)  # fmt: skip
def original_id(particles: FieldParticles) -> Arrays:
    """Numbers in the image that was given."""
    ids = particles.original_ids
    return {} if ids is None else {"original_id": ids[particles.moments.label.astype(np.int64) - 1]}


@of_particle(
    Measure(
        name="pieces", dtype="i8", units="1", long_name="pieces of the particle that do not touch", digits=0,
        definition="Connected pieces of its voxels, over faces, edges and corners: 1 for a particle in one piece.",
        missing=f"0 {TOO_SMALL}",
    ),
    Measure(
        name="outside_field", units="1", long_name="share of the particle outside the field of view",
        definition="Voxels of the particle that the phases call outside the field of view, over all its voxels.",
        missing=TOO_SMALL,
    ),
)  # fmt: skip
def integrity(particle: Particle) -> Values:
    """Whether a particle is in one piece and inside the field."""
    own = particle.own[particle.bounds]
    outside = particle.box.phases[particle.bounds] == Phase.OUTSIDE
    return {
        "pieces": int(ndimage.label(own, np.ones((3, 3, 3)))[1]),
        "outside_field": float(np.count_nonzero(own & outside) / np.count_nonzero(own)),
    }
