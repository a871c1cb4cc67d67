"""Contact in fields that come as phases without grey values: what the voxels beyond a particle's faces are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomostat.kernels.arrays import Floats
from tomostat.measure.contact.layers import LEVELS, TOLERANCES, SurfaceContact, Surroundings, face_area, touched
from tomostat.measure.shape.neighbourhood import STEPS
from tomostat.measure.shape.surface import Surface
from tomostat.phase import Phase

ROUNDING = 12**-0.5
"""Standard deviation in voxels of a border that is rounded to voxels."""

LEAST_FACING = 0.05
"""Least cosine to the surface's normal with which a voxel's face counts."""


def contact_in_phases(
    surface: Surface, surroundings: Surroundings, phases: NDArray[np.uint8], tolerance: int
) -> SurfaceContact:
    """Find what every point of a particle's outer surface touches, from a segmentation that is not in doubt.

    Parameters
    ----------
    surface, surroundings
        The particle and the voxels around it.
    phases
        (z, y, x) uint8 codes of `Phase`.
    tolerance
        Contact tolerance in voxels for which the uncertainty is computed.

    Returns
    -------
    SurfaceContact
        Carbon-binder counts that begins within the tolerance; with a tolerance of 1 it has a face in common with the
        particle. No grey level is involved, so that contact is the same for all of `LEVELS`.
    """
    particle, collector = touched(surface, surroundings)
    solid = phases == Phase.ACTIVE  # in no particle: one that was not found
    binder, active, known = _beyond_faces(surface, phases == Phase.CBD, solid, surroundings.outside)
    particle |= (active > 0.5) & ~collector
    binder[:, particle | collector] = 0
    area = np.where(known & ~particle & ~collector, surface.area, 0).astype(np.float32)
    chosen = binder[TOLERANCES.index(tolerance)]
    deviation = _border_std(chosen, area, face_area(surface))
    at_level = np.stack([chosen] * len(LEVELS))
    total = float(area.sum(dtype=np.float64))
    return SurfaceContact(binder, at_level, particle, collector, known | particle, deviation, total)


def _beyond_faces(
    surface: Surface, binder: NDArray[np.bool_], solid: NDArray[np.bool_], outside: NDArray[np.bool_]
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """What lies beyond the outer faces of each boundary voxel, each face weighted with its cosine to the normal.

    Returns
    -------
    tuple of numpy.ndarray
        (3, n) share of faces beyond which carbon-binder begins within each of `TOLERANCES`, (n,) share of faces on
        `solid`, both float32; and (n,) bool, whether there is such a face inside the field.
    """
    count, size = len(surface), np.prod(surface.spacing) / np.asarray(surface.spacing)
    total, on_solid, begun = np.zeros(count), np.zeros(count), np.zeros((len(TOLERANCES), count))
    for step in STEPS:
        axis = int(np.flatnonzero(step)[0])
        free, reached = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
        for depth in range(1, max(TOLERANCES) + 1):
            place = surface.voxel + depth * step
            there = ((place >= 0) & (place < binder.shape)).all(axis=1)
            at = tuple(np.where(there[:, None], place, surface.voxel).T)
            if depth == 1:
                free = there & (surface.mask[at] == 0) & ~outside[at]
                weight = free * size[axis] * np.maximum(surface.normal @ step.astype(np.float32), LEAST_FACING)
                total += weight
                on_solid += weight * solid[at]
            reached |= there & binder[at]
            if depth in TOLERANCES:
                begun[TOLERANCES.index(depth)] += weight * reached
    least = np.maximum(total, 1e-12)
    return (begun / least).astype(np.float32), (on_solid / least).astype(np.float32), total > 0


def _border_std(contact: Floats, open_area: Floats, face: float) -> float:
    """Standard deviation of the share in contact from a border that is misplaced by `ROUNDING` voxels.

    Parameters
    ----------
    contact, open_area
        (n,) float32: 0 void to 1 carbon-binder, and area in micrometer^2 (0 where a point does not count).
    face
        Area of a voxel's face in micrometer^2.

    Returns
    -------
    float
        NaN where no point counts.
    """
    total = float(open_area.sum(dtype=np.float64))
    if total <= 0:
        return float("nan")
    share = float((open_area * contact).sum(dtype=np.float64)) / total
    # a circle that leaves the share p of a ball of diameter D on one side is pi D 2 sqrt(p (1 - p)) long
    length = 2 * float(np.sqrt(np.pi * total / face * share * (1 - share))) * face / total
    return ROUNDING * length
