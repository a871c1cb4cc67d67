"""Cracks and pores inside a particle, and the fragments into which they divide it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.kernels.smoothing import Mask, Spacing
from tomostat.measure.measures import TOO_SMALL, Arrays, Measure, Value, Values, of_field, of_particle
from tomostat.measure.shape.crofton import crofton_area
from tomostat.measure.shape.moments import COUNT, PHASE_COUNT, PHASES
from tomostat.phase import Phase

if TYPE_CHECKING:
    from tomostat.measure.field import FieldParticles
    from tomostat.measure.particle import Particle

PIECE = 0.01
"""Least share of a particle's volume that counts as a fragment."""


@of_field(
    Measure(
        name="crack_fraction", units="1", long_name="cracks and pores inside the filled particle over its volume",
        definition="Voxels of the particle whose phase is pore or carbon-binder, over all its voxels.",
        shown=("report", "statistics"),
    )
)  # fmt: skip
def crack_fraction(particles: FieldParticles) -> Arrays:
    """Cracks and pores inside the particles."""
    sums = particles.moments.sums
    void = sums[:, PHASE_COUNT : PHASE_COUNT + PHASES][:, [Phase.PORE, Phase.CBD]].sum(axis=1)
    return {"crack_fraction": void / sums[:, COUNT]}


@of_particle(
    Measure(
        name="fragments", dtype="i8", units="1", long_name="pieces of active material of at least 1 % of the volume",
        definition="Connected pieces by voxel faces, of at least 1 % of the voxels of the filled particle.",
        missing=f"0 {TOO_SMALL}", digits=0,
    ),
    Measure(
        name="crack_surface", units="micrometer^2", long_name="surface of cracks and pores inside the filled particle",
        definition="Surface of the active material less that of the filled particle, both by Crofton's formula.",
        missing=f"{TOO_SMALL}, and in a single slice", needs_volume=True, digits=1,
    ),
)  # fmt: skip
def cracks(particle: Particle) -> Values:
    """Fragments and the surface of cracks."""
    return crack_columns(particle.mask, particle.active[particle.bounds], particle.spacing, particle.crofton_area)


def crack_columns(mask: Mask, active: NDArray[np.bool_], spacing: Spacing, whole: float) -> dict[str, Value]:
    """Fragments, and the surface of cracks and pores inside a particle.

    Parameters
    ----------
    mask
        (z, y, x) uint8, the filled particle.
    active
        (z, y, x) bool, active material.
    spacing
        Voxel size (z, y, x) in micrometers.
    whole
        Surface of the filled particle by Crofton's formula, micrometer^2.

    Returns
    -------
    dict
        `fragments`: pieces of active material that voxel faces join, of at least `PIECE` of the volume;
        `crack_surface`: surface of the active material beyond that of the filled particle, micrometer^2, by Crofton's
        formula.
    """
    solid = (mask.view(bool) & active).view(np.uint8)
    pieces, count = ndimage.label(solid)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    inner = max(crofton_area(solid, spacing) - whole, 0.0)
    return {"fragments": int((sizes >= PIECE * mask.sum(dtype=np.int64)).sum()), "crack_surface": inner}
