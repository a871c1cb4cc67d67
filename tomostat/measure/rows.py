"""One particle's box of voxels -> what needs its surface: area, contact, detachment, resistance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.measure.along import Links, average_along, link_surface
from tomostat.measure.conduction import conduction_columns
from tomostat.measure.contact import Levels
from tomostat.measure.crofton import crofton_area
from tomostat.measure.decide import Groups
from tomostat.measure.geodesic import surface_distance
from tomostat.measure.inside import crack_columns, grey_columns, shell_columns
from tomostat.measure.neighbours import touched_areas, touching
from tomostat.measure.points import SurfacePoints
from tomostat.measure.smoothing import Floats
from tomostat.measure.solid import solid_distance
from tomostat.measure.surface import Surface, extract_surface, fill_holes
from tomostat.measure.touch import (
    TOLERANCES,
    TOUCH,
    Around,
    Contact,
    find_layers,
    judge,
    layer_counts,
    touch_without_binder,
)
from tomostat.options import MeasureOptions

PAD = 10
"""Voxels around a particle's box: profiles beyond the edge, and what other particles blur into them."""

ACTIVE, COLLECTOR, OUTSIDE = 2, 3, 4
"""Phase codes that matter here."""

SOLID_ONLY = (
    "surface_area", "surface_area_crofton", "contact_cbd", "contact_particle", "contact_collector", "contact_border",
    "crack_surface", "roughness",
)  # fmt: skip
"""Columns that a section does not tell."""

SMALLEST = 27
"""Least number of voxels of a particle whose surface is measured."""

ROUGHNESS_ROUNDS = 16
"""Rounds of averaging: 5 voxels."""


@dataclass(frozen=True)
class Box:
    """A particle's voxels and `PAD` voxels around them, as far as the field goes.

    Attributes
    ----------
    labels, grey, phases
        (z, y, x), grey less the shading. In a box of one slice the surface is the section's contour: shares and
        distances are those along it.
    label
        The particle.
    spacing
        Voxel size (z, y, x) in micrometers.
    origin
        First voxel (z, y, x) of the box in the field.
    """

    labels: NDArray[np.uint32]
    grey: NDArray[np.float32]
    phases: NDArray[np.uint8]
    label: int
    spacing: tuple[float, float, float]
    origin: tuple[int, int, int] = (0, 0, 0)

    def surface(self) -> Surface:
        """The particle's outer surface; voids that it encloses are filled."""
        mask = fill_holes((self.labels == self.label).view(np.uint8))
        return extract_surface(mask, self.spacing, outside=self.phases == OUTSIDE)

    def around(self) -> Around:
        """What lies around the particle."""
        own = self.labels == self.label
        other = (self.labels != 0) & ~own
        return Around(
            grey=self.grey,
            other=other,
            solid=(other & (self.phases == ACTIVE)).view(np.uint8),
            collector=(self.phases == COLLECTOR) & ~own,
            outside=self.phases == OUTSIDE,
        )


def count_layers(box: Box, levels: Levels, tolerance: int) -> NDArray[np.int64]:
    """Histograms of the layer values beyond one particle's edge, see `tomostat.measure.touch.layer_counts`."""
    surface = box.surface()
    layers = find_layers(surface, link_surface(surface), box.around(), levels, tolerance)
    return layer_counts(surface, layers)


def measure_box(
    box: Box, levels: Levels, expected: tuple[Groups, ...] | None, options: MeasureOptions
) -> tuple[dict[str, Any], SurfacePoints]:
    """Measure a particle's surface and what lies beyond it.

    Parameters
    ----------
    box
        Its voxels.
    levels
        Grey levels of the field.
    expected
        Void and carbon-binder beyond the edges of the field's particles, by tolerance; None where the image has no
        carbon-binder: what needs it is left out.
    options
        Tolerance, path, what counts.

    Returns
    -------
    row, points
        Columns of the particle table and `touched` (see `tomostat.measure.neighbours.contact_pairs`), plain numbers
        and lists; and the surface points, none where the particle is too small.
    """
    if np.count_nonzero(box.labels == box.label) < SMALLEST:
        return {"touched": _touched_faces(box), "too_small": True}, SurfacePoints.join([])
    surface, around = box.surface(), box.around()
    links = link_surface(surface)
    if expected is None:
        contact = touch_without_binder(surface, around)
    else:
        layers = find_layers(surface, links, around, levels, options.tolerance)
        contact = judge(surface, layers, expected, options.tolerance)
    active = box.phases == ACTIVE
    void = (surface.mask > 0) & ~active
    distance = detours(surface, contact, void, options)
    row: dict[str, Any] = {"too_small": False}
    row["touched"] = touched_areas(surface, box.labels, box.label, contact.particle, TOUCH)
    row |= contact_columns(surface, contact, options)
    row |= resistance(surface, contact, distance, options)
    if options.conduction and expected is not None and len(box.labels) > 1:
        wet = contact.known & ~contact.particle
        row |= conduction_columns(surface, conducting_surface(contact, options), wet, void)
    inner = _tight(surface.mask)
    mask = np.ascontiguousarray(surface.mask[inner])
    row |= crack_columns(mask, active[inner], box.spacing)
    row |= grey_columns(mask, active[inner], box.grey[inner], levels.blur, box.spacing)
    row |= shell_columns(surface.mask, around.other, around.outside, options.shell, box.spacing)
    row["surface_area_crofton"] = crofton_area(mask, box.spacing)
    row["roughness"] = roughness(surface, links)
    points = surface_points(surface, contact, distance, options, box.origin)
    if len(box.labels) > 1:
        return row, points
    section = {name: value for name, value in row.items() if name not in SOLID_ONLY}
    return section | {"touched": _touched_faces(box)}, points


def _tight(mask: NDArray[np.uint8]) -> tuple[slice, ...]:
    """The voxels of a particle and one around them, as far as its box goes."""
    found = ndimage.find_objects(mask)[0]
    return tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in found)


def _touched_faces(box: Box) -> list[tuple[int, float]]:
    """Particles that share a voxel face with one that has no surface, of unknown area."""
    return [(int(other), math.nan) for other in touching(box.labels, box.label)]


def surface_points(
    surface: Surface, contact: Contact, distance: NDArray[np.float64], options: MeasureOptions, origin: Sequence[int]
) -> SurfacePoints:
    """The points of the outer surface, where anything is known: what the maps show.

    Their area-weighted means are the particle's `resistance_mean` and 1 - `detachment`.
    """
    binder = np.where(contact.known, contact.binder[TOLERANCES.index(options.tolerance)], np.nan)
    relative = np.where(np.isfinite(distance), distance, np.nan) / _radius(surface.mask, surface.spacing)
    told = (surface.area > 0) & (np.isfinite(binder) | np.isfinite(relative))
    voxel = surface.voxel.astype(np.int64) + np.asarray(origin, np.int64)
    return SurfacePoints(voxel, relative.astype(np.float32), binder.astype(np.float32)).take(told)


def roughness(surface: Surface, links: Links) -> float:
    """Standard deviation of the surface's height over its mean within 5 voxels, area-weighted, in micrometers."""
    mean = average_along(links, surface.point, ROUGHNESS_ROUNDS)
    height = ((surface.point - mean) * surface.normal).sum(axis=1).astype(np.float64)
    area = surface.area.astype(np.float64)
    if area.sum() <= 0:
        return math.nan
    middle = np.average(height, weights=area)
    return math.sqrt(float(np.average((height - middle) ** 2, weights=area)))


def _radius(mask: NDArray[np.uint8], spacing: tuple[float, float, float]) -> float:
    """Radius in micrometers of the ball of equal volume, or of the disc of equal area for one slice."""
    count = int(mask.sum(dtype=np.int64))
    if len(mask) == 1:
        return math.sqrt(count * spacing[1] * spacing[2] / math.pi)
    return math.cbrt(3 * count * math.prod(spacing) / (4 * math.pi))


def contact_columns(surface: Surface, contact: Contact, options: MeasureOptions) -> dict[str, Any]:
    """Areas by what they touch, and the degree of detachment: the share that does not touch carbon-binder.

    Surface cut by the field, and points at its edge that see nothing, count neither way; surface that touches another
    particle counts as detached unless the options leave it out.
    """
    area = np.where(contact.known, surface.area, 0).astype(np.float64)
    binder = (contact.binder.astype(np.float64) * area).sum(axis=1)
    chosen = TOLERANCES.index(options.tolerance)
    row: dict[str, Any] = {
        "surface_area": surface.total,
        "contact_border": float(surface.cut.sum(dtype=np.float64)),
        "contact_particle": float(area[contact.particle].sum()),
        "contact_collector": float(area[contact.collector].sum()),
        "contact_cbd": float(binder[chosen]),
    }
    whole = area.sum() - (row["contact_particle"] if options.exclude_particle_contact else 0.0)
    if whole > 0:
        share = np.clip(1 - binder / whole, 0, 1)
        row["detachment"] = float(share[chosen])
        row["detachment_at"] = share.tolist()
        row["detachment_std"] = contact.deviation * contact.voiced / whole
    return row


def conducting_surface(contact: Contact, options: MeasureOptions) -> Floats:
    """Probability of electrical contact of every surface point, NaN where the image has no carbon-binder."""
    binder = contact.binder[TOLERANCES.index(options.tolerance)]
    return np.where(contact.collector & ~np.isnan(binder), np.float32(1), binder)


def detours(
    surface: Surface, contact: Contact, void: NDArray[np.bool_], options: MeasureOptions
) -> NDArray[np.float64]:
    """Detour from every surface point to the nearest contact in micrometers, infinite where no way leads to one."""
    conducting = conducting_surface(contact, options)
    if np.isnan(conducting).any():
        return np.full(len(surface), math.inf)
    if options.path == "solid":
        return solid_distance(surface, conducting, void)
    return surface_distance(surface, conducting)


def resistance(
    surface: Surface, contact: Contact, distance: NDArray[np.float64], options: MeasureOptions
) -> dict[str, Any]:
    """Detour from the surface to the nearest contact, absolute and relative to the equivalent radius.

    Means and spreads are weighted with the area. A particle without any contact has no finite detour: NaN, and
    ``fully_detached``. Pieces of a particle that no contact reaches are left out of the means.
    """
    conducting = conducting_surface(contact, options)
    if np.isnan(conducting).any():
        return {}
    weight = np.where(np.isfinite(distance), surface.area, 0).astype(np.float64)
    if not (conducting >= 0.5).any() or weight.sum() <= 0:
        return {"fully_detached": True}
    radius = _radius(surface.mask, surface.spacing)
    return {"fully_detached": False} | _spread(distance, weight, conducting, radius)


def _spread(
    distance: NDArray[np.float64], weight: NDArray[np.float64], conducting: Floats, radius: float
) -> dict[str, Any]:
    """Area-weighted figures of the detour over the whole surface and over its detached part."""
    detour = np.where(np.isfinite(distance), distance, 0.0)
    mean = float(np.average(detour, weights=weight))
    spread = math.sqrt(float(np.average((detour - mean) ** 2, weights=weight)))
    free = weight * (conducting < 0.5)
    apart = float(np.average(detour, weights=free)) if free.sum() > 0 else 0.0
    longest = float(detour[weight > 0].max())
    return {
        "detour_mean": mean,
        "detour_max": longest,
        "detour_std": spread,
        "resistance_mean": mean / radius,
        "resistance_max": longest / radius,
        "resistance_std": spread / radius,
        "resistance_detached_mean": apart / radius,
    }
