"""Cracks and pores inside a particle, and the fragments into which they divide it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.kernels.arrays import ByteMask
from tomostat.kernels.smoothing import Spacing
from tomostat.measure.measures import TOO_SMALL, Measure, Value, Values, of_particle
from tomostat.measure.shape.crofton import crofton_area

if TYPE_CHECKING:
    from tomostat.measure.particle import Particle

PIECE = 0.01
"""Least share of a particle's volume that counts as a fragment."""

EDGE = 2
"""Voxels from the outside within which a void must lead deeper to count: blur makes edges darker than the particle."""


@of_particle(
    Measure(
        name="crack_fraction", units="1", long_name="cracks and pores inside the filled particle over its volume",
        definition="Voxels of the particle that are not active material, over all its voxels; those within two voxels "
        "of the outside count only where such voxels lead deeper, since at the blurred edge they are no cracks.",
        missing=TOO_SMALL, shown=("report", "statistics"),
    ),
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
    """Cracks as a share of the volume, fragments and the surface of cracks."""
    solid = particle.mask.view(bool) & ~particle.void[particle.bounds]
    return crack_columns(particle.mask, solid, particle.spacing, particle.crofton_area)


def inner_voids(mask: ByteMask, active: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voids of a particle that reach deeper than `EDGE` voxels.

    Parameters
    ----------
    mask
        (z, y, x) uint8, the filled particle.
    active
        (z, y, x) bool, active material.

    Returns
    -------
    numpy.ndarray
        (z, y, x) bool.
    """
    inside = mask > 0
    void = inside & ~active
    flat = mask.shape[0] == 1
    cross = ndimage.generate_binary_structure(2, 1)[None] if flat else ndimage.generate_binary_structure(3, 1)
    deep = ndimage.binary_erosion(inside, cross, iterations=EDGE, border_value=1)
    pieces, count = ndimage.label(void)
    reaches = np.zeros(count + 1, np.bool_)
    reaches[np.unique(pieces[deep])] = True
    reaches[0] = False
    return np.asarray(reaches[pieces])


def crack_columns(mask: ByteMask, solid: NDArray[np.bool_], spacing: Spacing, whole: float) -> dict[str, Value]:
    """Fragments, and the surface of cracks and pores inside a particle.

    Parameters
    ----------
    mask
        (z, y, x) uint8, the filled particle.
    solid
        (z, y, x) bool, the particle without its voids.
    spacing
        Voxel size (z, y, x) in micrometers.
    whole
        Surface of the filled particle by Crofton's formula, micrometer^2.

    Returns
    -------
    dict
        `crack_fraction`: share of the voids; `fragments`: pieces of active material that voxel faces join, of at least
        `PIECE` of the volume; `crack_surface`: surface of the active material beyond that of the filled particle,
        micrometer^2, by Crofton's formula.
    """
    pieces, count = ndimage.label(solid)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    inner = max(crofton_area(solid.view(np.uint8), spacing) - whole, 0.0)
    whole_count = int(mask.sum(dtype=np.int64))
    return {
        "crack_fraction": 1 - int(sizes.sum()) / whole_count,
        "fragments": int((sizes >= PIECE * whole_count).sum()),
        "crack_surface": inner,
    }
