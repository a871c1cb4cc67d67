"""One particle's box of voxels, and what several measures need of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.measure.contact.averaging import Links, link_surface
from tomostat.measure.contact.classify import Groups
from tomostat.measure.contact.layers import (
    TOLERANCES,
    Around,
    Contact,
    Layers,
    decide_contact,
    find_layers,
    layer_counts,
    touch_without_binder,
)
from tomostat.measure.contact.profiles import Levels
from tomostat.measure.options import MeasureOptions
from tomostat.measure.shape.points import SurfacePoints
from tomostat.measure.shape.smoothing import Floats
from tomostat.measure.shape.surface import Surface, extract_surface, fill_voids
from tomostat.measure.transport.geodesic import surface_distance
from tomostat.measure.transport.solid import solid_distance
from tomostat.phase import Phase

PAD = 10
"""Voxels around a particle's box: profiles beyond the edge, and what other particles blur into them."""

SMALLEST = 27
"""Least number of voxels of a particle whose surface is measured."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Box:
    """A particle's voxels and `PAD` voxels around them, as far as the field goes.

    Attributes
    ----------
    labels, grey, phases
        (z, y, x), grey without the shading. In a box of one slice the surface is the section's contour: shares and
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


class Particle:
    """A particle with what follows from its box; everything is computed once, when it is first asked for.

    Parameters
    ----------
    box
        Its voxels.
    levels
        Grey levels of the field.
    expected
        Void and carbon-binder beyond the edges of the field's particles, by tolerance; None where the image has no
        carbon-binder.
    options
        Tolerance, path, what counts.
    """

    def __init__(self, box: Box, levels: Levels, expected: tuple[Groups, ...] | None, options: MeasureOptions) -> None:
        self.box, self.levels, self.expected, self.options = box, levels, expected, options

    @property
    def label(self) -> int:
        """Number of the particle in its field."""
        return self.box.label

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size (z, y, x) in micrometers."""
        return self.box.spacing

    @property
    def is_section(self) -> bool:
        """Whether the field is a single slice."""
        return len(self.box.labels) == 1

    @property
    def too_small(self) -> bool:
        """Whether it has too few voxels for its surface to be measured."""
        return int(np.count_nonzero(self.box.labels == self.label)) < SMALLEST

    @cached_property
    def surface(self) -> Surface:
        """Its outer surface; voids that it encloses are filled."""
        mask = fill_voids((self.box.labels == self.label).view(np.uint8))
        return extract_surface(mask, self.spacing, outside=self.box.phases == Phase.OUTSIDE)

    @cached_property
    def links(self) -> Links:
        """Weights with which its surface points average their neighbours."""
        return link_surface(self.surface)

    @cached_property
    def around(self) -> Around:
        """What lies around it."""
        own = self.box.labels == self.label
        other = (self.box.labels != 0) & ~own
        return Around(
            grey=self.box.grey,
            other=other,
            solid=(other & (self.box.phases == Phase.ACTIVE)).view(np.uint8),
            collector=(self.box.phases == Phase.COLLECTOR) & ~own,
            outside=self.box.phases == Phase.OUTSIDE,
        )

    @cached_property
    def layers(self) -> Layers:
        """What lies beyond each surface point, before contact is decided."""
        return find_layers(self.surface, self.links, self.around, self.levels, self.options.tolerance)

    def layer_counts(self) -> NDArray[np.int64]:
        """Histograms of the layer values beyond its edge, see `tomostat.measure.contact.layers.layer_counts`."""
        return layer_counts(self.surface, self.layers)

    @cached_property
    def contact(self) -> Contact:
        """What each surface point touches."""
        if self.expected is None:
            return touch_without_binder(self.surface, self.around)
        return decide_contact(self.surface, self.layers, self.expected, self.options.tolerance)

    @cached_property
    def conducting(self) -> Floats:
        """Probability of electrical contact of every surface point, NaN where the image has no carbon-binder."""
        binder = self.contact.binder[TOLERANCES.index(self.options.tolerance)]
        return np.where(self.contact.collector & ~np.isnan(binder), np.float32(1), binder)

    @cached_property
    def detour(self) -> NDArray[np.float64]:
        """Way from every surface point to the nearest contact in micrometers, infinite where none leads to one."""
        if np.isnan(self.conducting).any():
            return np.full(len(self.surface), math.inf)
        if self.options.path == "solid":
            return solid_distance(self.surface, self.conducting, self.void)
        return surface_distance(self.surface, self.conducting)

    @cached_property
    def active(self) -> Mask:
        """(z, y, x) active material in its box, that of other particles among it."""
        return np.asarray(self.box.phases == Phase.ACTIVE)

    @cached_property
    def void(self) -> Mask:
        """(z, y, x) cracks and pores inside the filled particle."""
        return (self.surface.mask > 0) & ~self.active

    @cached_property
    def tight(self) -> tuple[slice, ...]:
        """The voxels of the filled particle and one around them, as far as its box goes."""
        found = ndimage.find_objects(self.surface.mask)[0]
        return tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in found)

    @cached_property
    def mask(self) -> NDArray[np.uint8]:
        """The filled particle in its tight box."""
        return np.ascontiguousarray(self.surface.mask[self.tight])

    @cached_property
    def radius(self) -> float:
        """Radius in micrometers of the ball of equal volume, or of the disc of equal area in a single slice."""
        count = int(self.surface.mask.sum(dtype=np.int64))
        if self.is_section:
            return math.sqrt(count * self.spacing[1] * self.spacing[2] / math.pi)
        return math.cbrt(3 * count * math.prod(self.spacing) / (4 * math.pi))

    def points(self) -> SurfacePoints:
        """The points of the outer surface, where anything is known: what the maps show.

        Their area-weighted means are the particle's `resistance_mean` and 1 - `detachment`.
        """
        binder = np.where(self.contact.known, self.contact.binder[TOLERANCES.index(self.options.tolerance)], np.nan)
        relative = np.where(np.isfinite(self.detour), self.detour, np.nan) / self.radius
        known = (self.surface.area > 0) & (np.isfinite(binder) | np.isfinite(relative))
        voxel = self.surface.voxel.astype(np.int64) + np.asarray(self.box.origin, np.int64)
        return SurfacePoints(voxel, relative.astype(np.float32), binder.astype(np.float32)).take(known)
