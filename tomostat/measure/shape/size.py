"""How large a particle is, where it lies, and the ellipsoid of its second moments."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomostat.kernels.smoothing import Spacing
from tomostat.measure.measures import AXIS, Arrays, Axis, Measure, of_field
from tomostat.measure.shape.moments import COUNT, Moments, centroids, covariances

if TYPE_CHECKING:
    from tomostat.measure.field import FieldParticles

SIDE, RANK = Axis("side", ("low", "high")), Axis("rank", ("long", "middle", "short"))


@of_field(
    Measure(
        name="voxel_count",
        dtype="i8",
        units="1",
        long_name="voxels of the filled particle",
        digits=0,
        definition="Voxels with the particle's label.",
    ),
    Measure(
        name="centroid",
        units="micrometer",
        long_name="centre of gravity",
        dims=(AXIS,),
        definition="Mean place of the voxels' centres; the centre of the field's first voxel is at 0.",
    ),
    Measure(
        name="bbox",
        dtype="i8",
        units="1",
        long_name="box in voxels, half open",
        dims=(SIDE, AXIS),
        digits=0,
        definition="First voxel, and last voxel + 1, along every axis.",
    ),
)
def place(particles: FieldParticles) -> Arrays:
    """Voxels, centre and box."""
    moments = particles.moments
    return {
        "voxel_count": moments.sums[:, COUNT],
        "centroid": centroids(moments, particles.spacing),
        "bbox": np.stack([moments.low, moments.high], axis=1),
    }


@of_field(
    Measure(
        name="volume", units="micrometer^3", long_name="volume of the filled particle", needs_volume=True,
        definition="Number of voxels times their volume; cracks and pores inside the particle count.",
        missing="in a single slice", shown=("report", "statistics"), digits=0,
    ),
    Measure(
        name="equivalent_diameter", units="micrometer", long_name="diameter of the ball of equal volume",
        definition="(6 V / pi)^(1/3); in a single slice the diameter of the disc of equal area.",
        shown=("report",), heading="diameter", digits=2,
    ),
    Measure(
        name="axis_length", units="micrometer", long_name="axes of the ellipsoid of equal second moments", dims=(RANK,),
        definition="Twice sqrt(5) times the square roots of the eigenvalues of the covariance of the voxels' places.",
        missing="in a single slice", needs_volume=True, digits=2,
    ),
    Measure(
        name="orientation", units="1", long_name="unit vector along the long axis, z component not negative",
        dims=(AXIS,), definition="Eigenvector of the largest eigenvalue of the covariance of the voxels' places.",
        missing="in a single slice", needs_volume=True,
    ),
)  # fmt: skip
def size(particles: FieldParticles) -> Arrays:
    """Volume and the ellipsoid of equal second moments, whose semi-axes are sqrt(5) standard deviations."""
    moments, spacing = particles.moments, particles.spacing
    voxels = moments.sums[:, COUNT]
    if particles.is_section:
        return {"equivalent_diameter": 2 * np.sqrt(voxels * spacing[1] * spacing[2] / math.pi)}
    volume = voxels * math.prod(spacing)
    values = np.linalg.eigvalsh(covariances(moments, spacing))
    return {
        "volume": volume,
        "equivalent_diameter": np.cbrt(6 * volume / math.pi),
        "axis_length": 2 * np.sqrt(5 * np.maximum(values[:, ::-1], 0)),
        "orientation": axis_directions(moments, spacing)[:, 0],
    }


def axis_directions(moments: Moments, spacing: Spacing) -> NDArray[np.float64]:
    """Unit vectors (n, 3, 3) along the long, middle and short axis of each particle, z component not negative."""
    vectors = np.linalg.eigh(covariances(moments, spacing))[1]
    axes = np.swapaxes(vectors, 1, 2)[:, ::-1]
    return np.where(axes[:, :, :1] < 0, -axes, axes)
