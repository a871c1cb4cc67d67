"""How labels came to be: how likely they are right, their numbers in another program, and what is odd about them."""

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


@of_field(
    Measure(
        name="confidence", units="1", long_name="probability that the particle is one particle and the whole of it",
        definition="From the mean score of its detections, how close to a ball it is, detections for each slice, "
        "the most doubtful decision at it and how well other views agree, where there are any; fitted on simulated "
        "electrodes, where right is an intersection over union with a true particle of 0.5 or more. It is calibrated "
        "for the network; `tomostat audit` tells the precision on your own scan.",
        missing="where another program found the particles, and in a single slice", needs_volume=True, digits=2,
        shown=("report",),
    )
)  # fmt: skip
def confidence(particles: FieldParticles) -> Arrays:
    """Confidence that the merge graph has."""
    known = particles.confidence
    return {} if known is None else {"confidence": known.reindex(particles.moments.label).to_numpy()}


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
