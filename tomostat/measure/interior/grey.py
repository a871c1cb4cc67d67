"""Grey values inside a particle: all of it, clear of its edges, and from surface to core."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomostat.kernels.arrays import ByteMask
from tomostat.kernels.smoothing import Spacing
from tomostat.measure.measures import TOO_SMALL, Arrays, Axis, Measure, Value, Values, of_field, of_particle
from tomostat.measure.shape.distance import distance_to
from tomostat.measure.shape.moments import grey_statistics

if TYPE_CHECKING:
    from tomostat.measure.field import FieldParticles
    from tomostat.measure.particle import Particle

PROFILE = 8
"""Shells from surface to core in which the grey value is averaged."""

SHELL = Axis("shell", tuple((k + 0.5) / PROFILE for k in range(PROFILE)))

LAYERS = 20
"""Layers of equal distance from the surface in which the grey value is averaged."""

LAYER = Axis("layer", tuple(range(1, LAYERS + 1)))

CLEAR = 2.0
"""Multiples of the blur beyond which a voxel is free of what an edge blurs into it."""

INNER = f"where no voxel is clear of all edges, and {TOO_SMALL}"


@of_field(
    Measure(
        name="mean_grey", needs_grey=True, units="1", long_name="mean grey value of the active material", digits=1,
        definition="Without shading; voxels that the phases call active material.", missing="without active material",
    ),
    Measure(
        name="std_grey", needs_grey=True,
        units="1", long_name="spread of the grey value of the active material", digits=1,
        definition="Standard deviation over the same voxels.", missing="without active material",
    ),
    Measure(
        name="relative_intensity", needs_grey=True,
        units="1", shown=("report", "statistics"), heading="relative intensity",
        long_name="mean grey value over that of the field's median particle, above pore",
        definition="(mean_grey - pore level) / (median of mean_grey over the field - pore level).",
        missing="without active material",
    ),
)  # fmt: skip
def whole_grey(particles: FieldParticles) -> Arrays:
    """Grey values of all active material of the particles."""
    mean, spread = grey_statistics(particles.moments, particles.grey_scaling)
    floor = particles.fit.levels.pore or 0.0
    relative = (mean - floor) / (np.nanmedian(mean) - floor) if np.isfinite(mean).any() else mean
    return {"mean_grey": mean, "std_grey": spread, "relative_intensity": relative}


@of_particle(
    Measure(
        name="inner_grey", needs_grey=True,
        units="1", long_name="mean grey value of the active material clear of all edges", digits=1,
        definition="Voxels farther than twice the blur from the surface and from any crack or pore.", missing=INNER,
    ),
    Measure(
        name="grey_profile", needs_grey=True, units="1", dims=(SHELL,), missing=INNER, digits=1,
        long_name="grey value clear of all edges by relative depth, surface to core",
        definition="Mean over the same voxels in shells of equal thickness from the surface to the deepest point.",
    ),
    Measure(
        name="layer_grey", needs_grey=True, units="1", dims=(LAYER,), digits=1,
        long_name="grey value in layers of equal distance from the surface, outermost first",
        definition="Mean over all voxels of the filled particle, cracks and blurred edges included, whose distance to "
        "the nearest voxel outside, rounded to whole layers, is 1, 2, ...: the radial layers of GRAPES (Jones et al., "
        "Small Methods 2025). A layer is as thick as the option layer says, one voxel when it is not given.",
        missing=f"beyond the deepest voxel, and {TOO_SMALL}",
    ),
    Measure(
        name="inner_std", needs_grey=True,
        units="1", long_name="spread of the grey value of the same voxels", missing=INNER,
        internal=True,
    ),
    Measure(
        name="inner_count", needs_grey=True,
        dtype="i8", units="1", long_name="number of the same voxels", internal=True,
    ),
)  # fmt: skip
def inner_grey(particle: Particle) -> Values:
    """Grey values clear of all edges."""
    inner, pitch = particle.bounds, particle.spacing[1:] if particle.is_section else particle.spacing
    thickness = particle.options.layer or min(pitch)
    grey, depth = particle.box.grey[inner], depth_below_surface(particle.mask, particle.spacing)
    found = grey_columns(particle.mask, particle.active[inner], grey, depth, particle.levels.blur, particle.spacing)
    return found | {"layer_grey": layer_means(grey, depth, thickness)}


def depth_below_surface(mask: ByteMask, spacing: Spacing) -> NDArray[np.float64]:
    """Distance (z, y, x) to the nearest voxel outside a particle, micrometers; 0 where it fills its box."""
    depth = distance_to(mask == 0, spacing)
    depth[~np.isfinite(depth)] = 0.0
    return depth


def layer_means(grey: NDArray[np.float32], depth: NDArray[np.float64], thickness: float) -> list[float]:
    """Mean grey value in `LAYERS` layers of equal distance from the surface; NaN for those that a particle has not.

    Parameters
    ----------
    grey
        (z, y, x).
    depth
        (z, y, x) micrometers below the surface, 0 outside.
    thickness
        Of a layer, micrometers.
    """
    inside = (depth > 0) & (depth < (LAYERS + 1) * thickness)
    layer, value = np.rint(depth[inside] / thickness).astype(np.int64), grey[inside]
    known = (layer > 0) & (layer <= LAYERS) & np.isfinite(value)
    count = np.bincount(layer[known], minlength=LAYERS + 1)[1:]
    total = np.bincount(layer[known], value[known], LAYERS + 1)[1:]
    return np.divide(total, count, out=np.full(LAYERS, np.nan), where=count > 0).tolist()


def grey_columns(
    mask: ByteMask,
    active: NDArray[np.bool_],
    grey: NDArray[np.float32],
    depth: NDArray[np.float64],
    blur: float,
    spacing: Spacing,
) -> dict[str, Value]:
    """Grey value of the active material clear of all edges, whole and from surface to core.

    Parameters
    ----------
    mask, active, spacing
        As in `crack_columns`.
    grey
        (z, y, x) float32.
    depth
        (z, y, x) micrometers below the surface, as `depth_below_surface` gives it.
    blur
        Sigma of the image in voxels.

    Returns
    -------
    dict
        `inner_count`, `inner_grey`, `inner_std`: number, mean and standard deviation of the voxels farther than `CLEAR`
        times the blur from the particle's surface and from any crack or pore; `grey_profile`: their mean in `PROFILE`
        shells of equal thickness from the surface (first) to the deepest point (last), NaN where a shell has none.
    """
    filled = mask.view(bool)
    known = filled & active & np.isfinite(grey)
    clear = distance_to(~known, spacing) > (CLEAR * blur + 0.5) * max(spacing if len(mask) > 1 else spacing[1:])
    value = grey[clear].astype(np.float64)
    shell = np.minimum((depth[clear] * (PROFILE / max(float(depth.max()), 1e-12))).astype(np.int64), PROFILE - 1)
    count = np.bincount(shell, minlength=PROFILE)
    total = np.bincount(shell, value, PROFILE)
    profile = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    mean, spread = (float(value.mean()), float(value.std())) if len(value) else (math.nan, math.nan)
    return {"inner_count": len(value), "inner_grey": mean, "inner_std": spread, "grey_profile": profile.tolist()}
