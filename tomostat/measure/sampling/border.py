"""Which particles the field cuts, how many particles each represents, and how deep in the electrode it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Shape
from tomostat.kernels.smoothing import Spacing
from tomostat.measure.measures import SMALLEST, Arrays, Measure, of_field
from tomostat.measure.sampling.window import Window, border_weights
from tomostat.measure.shape.moments import BORDER, COUNT, Moments
from tomostat.phase import Phase

if TYPE_CHECKING:
    from tomostat.measure.field import FieldParticles


@of_field(
    Measure(
        name="depth", units="micrometer", long_name="position along the depth axis", shown=("report", "statistics"),
        definition="Centre of gravity along the axis that the option depth_axis names.",
        missing="along z in a single slice", digits=1,
    ),
    Measure(
        name="touches_border", dtype="?", units="", long_name="cut by the border of the field", shown=("report",),
        definition="A voxel lies on a face of the box, or on the border of a round field of view.",
        heading="at border",
    ),
    Measure(
        name="border_weight", units="1", long_name="1 / probability that a particle of this size lies inside the field",
        definition="Miles-Lantuejoul weight of the particle's box in the field, a cylinder where that is round, along "
        "axes that cut particles. Overlapping fields of a sample are weighed as their union.",
    ),
    Measure(
        name="counted_elsewhere", dtype="?", units="", shown=("report",), heading="counted elsewhere",
        long_name="the same particle counts in another field that overlaps this one",
        definition="Matched by position and size when the tables of all fields are joined: of a particle in several "
        "overlapping fields, one row is not set.",
    ),
    Measure(
        name="too_small", dtype="?", units="", long_name="too few voxels for its surface to be measured",
        definition=f"Fewer than {SMALLEST} voxels.",
    ),
)  # fmt: skip
def border(particles: FieldParticles) -> Arrays:
    """Border, weight and depth."""
    moments, axis = particles.moments, "zyx".index(particles.options.depth_axis)
    unknown = particles.is_section and axis == 0
    return {
        "depth": np.full(len(moments), np.nan) if unknown else particles["centroid"][:, axis],
        "touches_border": np.asarray(cut_faces(moments, particles.is_section).any(axis=1)),
        "border_weight": border_weights(moments.high - moments.low, particles.window),
        "too_small": moments.sums[:, COUNT] < SMALLEST,
    }


def field_window(moments: Moments, shape: Shape, spacing: Spacing, circle: tuple[float, float, float] | None) -> Window:
    """The window of a field; it cuts the material along an axis where its border cuts a particle.

    Parameters
    ----------
    moments
        Sums over the whole volume.
    shape, spacing
        Voxels (z, y, x) and voxel size in micrometers of the volume.
    circle
        Centre y, x and radius in voxels of a round field.
    """
    z, y, x = (bool(faces.any()) for faces in cut_faces(moments, shape[0] == 1).T)
    return Window(shape=shape, spacing=spacing, cut=(z, y, x), circle=circle)


def cut_faces(moments: Moments, flat: bool) -> NDArray[np.int64]:
    """Faces of each particle on the field's border by axis, (n, 3); a single slice has none along z."""
    cut: NDArray[np.int64] = moments.faces[:, :, BORDER] + moments.faces[:, :, Phase.OUTSIDE]
    if flat:
        cut[:, 0] = 0
    return cut
