"""One particle: its box of voxels, and the quantities that several measures need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.kernels.arrays import Floats, Mask
from tomostat.measure.contact.layers import (
    TOLERANCES,
    Layers,
    SurfaceContact,
    Surroundings,
    contact_without_binder,
    decide_contact,
    find_layers,
    layer_counts,
)
from tomostat.measure.contact.mixture import Mixture
from tomostat.measure.contact.profiles import GreyLevels
from tomostat.measure.contact.segmented import contact_in_phases
from tomostat.measure.interior.cracks import inner_voids
from tomostat.measure.measures import SMALLEST
from tomostat.measure.options import MeasureOptions
from tomostat.measure.shape.averaging import SmoothingWeights, smoothing_weights
from tomostat.measure.shape.crofton import crofton_area
from tomostat.measure.shape.points import SurfacePoints
from tomostat.measure.shape.surface import Surface, extract_surface
from tomostat.measure.shape.voids import fill_voids
from tomostat.measure.transport.geodesic import surface_distance
from tomostat.measure.transport.solid import solid_distance
from tomostat.phase import Phase

PAD = 10
"""Voxels around a particle's bounding box: room for profiles beyond the edge and for the blur of other particles."""


@dataclass(frozen=True)
class ParticleBox:
    """A particle's voxels and `PAD` voxels around them, as far as the field goes.

    Attributes
    ----------
    labels, grey, phases
        (z, y, x): particle numbers, grey values without the shading, codes of `tomostat.phase.Phase`. In a box of one
        slice the surface is the contour of the section, and shares and distances are those along the contour.
    label
        Number of the particle.
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
    """A particle with what follows from its box; every property is computed once, on first use.

    Parameters
    ----------
    box
        Its voxels.
    levels
        Grey levels of the field.
    mixtures
        Void and carbon-binder beyond the edges of the field's particles, by tolerance; None where the image has no
        carbon-binder.
    options
        What is measured and how.
    rendered
        Whether the grey values of the field are an image of its phases, which came without any.
    """

    def __init__(
        self,
        box: ParticleBox,
        levels: GreyLevels,
        mixtures: tuple[Mixture, ...] | None,
        options: MeasureOptions,
        rendered: bool = False,
    ) -> None:
        self.box, self.levels, self.mixtures, self.options = box, levels, mixtures, options
        self.rendered = rendered

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
    def shows_binder(self) -> bool:
        """Whether carbon-binder is told from void in the field."""
        return self.mixtures is not None or (self.rendered and self.levels.cbd is not None)

    @cached_property
    def own(self) -> Mask:
        """(z, y, x) bool, its voxels in its box, before voids are filled."""
        return np.asarray(self.box.labels == self.label)

    @cached_property
    def too_small(self) -> bool:
        """Whether it has too few voxels for its surface to be measured."""
        return int(np.count_nonzero(self.own)) < SMALLEST

    @cached_property
    def surface(self) -> Surface:
        """Its outer surface; voids that it encloses are filled."""
        mask = fill_voids(self.own.view(np.uint8))
        return extract_surface(mask, self.spacing, outside=self.box.phases == Phase.OUTSIDE)

    @cached_property
    def weights(self) -> SmoothingWeights:
        """Weights with which its surface points average their neighbours."""
        return smoothing_weights(self.surface)

    @cached_property
    def surroundings(self) -> Surroundings:
        """The voxels around it."""
        other = (self.box.labels != 0) & ~self.own
        return Surroundings(
            grey=self.box.grey,
            other=other,
            solid=(other & (self.box.phases == Phase.ACTIVE)).view(np.uint8),
            collector=(self.box.phases == Phase.COLLECTOR) & ~self.own,
            outside=self.box.phases == Phase.OUTSIDE,
        )

    @cached_property
    def layers(self) -> Layers:
        """What lies beyond each surface point, before contact is decided; needs a level of carbon-binder."""
        return find_layers(self.surface, self.weights, self.surroundings, self.levels, self.options.tolerance)

    def layer_counts(self) -> NDArray[np.int64]:
        """Histograms of the layer values beyond its edge, see `tomostat.measure.contact.layers.layer_counts`."""
        return layer_counts(self.surface, self.layers)

    @cached_property
    def contact(self) -> SurfaceContact:
        """What each surface point touches."""
        if not self.shows_binder:
            return contact_without_binder(self.surface, self.surroundings)
        if self.mixtures is None:
            return contact_in_phases(self.surface, self.surroundings, self.box.phases, self.options.tolerance)
        return decide_contact(self.surface, self.layers, self.mixtures, self.options.tolerance, self.levels.blur)

    @cached_property
    def binder(self) -> Floats:
        """(n,) float32 contact of every surface point with carbon-binder at the chosen tolerance."""
        return np.asarray(self.contact.binder[TOLERANCES.index(self.options.tolerance)])

    @cached_property
    def conducting(self) -> Floats:
        """(n,) float32 electrical contact of every surface point with carbon-binder or collector, from 0 to 1.

        1/2 lies on the border of a contact. NaN where the image has no carbon-binder.
        """
        return np.where(self.contact.collector & ~np.isnan(self.binder), np.float32(1), self.binder)

    @cached_property
    def detour(self) -> NDArray[np.float64]:
        """(n,) path length from every surface point to the nearest contact in micrometers, infinite without a path."""
        if np.isnan(self.conducting).any():
            return np.full(len(self.surface), math.inf)
        if self.options.path == "solid":
            return solid_distance(self.surface, self.conducting, self.void)
        return surface_distance(self.surface, self.conducting)

    @cached_property
    def active(self) -> Mask:
        """(z, y, x) bool, active material in its box, that of other particles included."""
        return np.asarray(self.box.phases == Phase.ACTIVE)

    @cached_property
    def void(self) -> Mask:
        """(z, y, x) bool, cracks and pores inside the filled particle."""
        found = np.zeros(self.surface.mask.shape, np.bool_)
        found[self.bounds] = inner_voids(self.mask, self.active[self.bounds])
        return found

    @cached_property
    def bounds(self) -> tuple[slice, ...]:
        """Bounding box of the filled particle in its padded box, with one voxel around it as far as that goes."""
        found = ndimage.find_objects(self.surface.mask)[0]
        return tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in found)

    @cached_property
    def mask(self) -> NDArray[np.uint8]:
        """(z, y, x) uint8, the filled particle within `bounds`."""
        return np.ascontiguousarray(self.surface.mask[self.bounds])

    @cached_property
    def crofton_area(self) -> float:
        """Area in micrometer^2 of its whole surface by Crofton's formula."""
        return crofton_area(self.mask, self.spacing)

    @cached_property
    def radius(self) -> float:
        """Radius in micrometers of the ball of equal volume, or of the disc of equal area in a single slice."""
        if not self.is_section:
            return self.surface.ball_radius
        return math.sqrt(int(self.surface.mask.sum(dtype=np.int64)) * self.spacing[1] * self.spacing[2] / math.pi)

    def points(self) -> SurfacePoints:
        """The points of the outer surface at which contact or resistance is known, for the maps.

        Their area-weighted means are the particle's `resistance_mean` and 1 - `detachment`.
        """
        binder = np.where(self.contact.known, self.binder, np.nan)
        relative = np.where(np.isfinite(self.detour), self.detour, np.nan) / self.radius
        known = (self.surface.area > 0) & (np.isfinite(binder) | np.isfinite(relative))
        voxel = self.surface.voxel.astype(np.int64) + np.asarray(self.box.origin, np.int64)
        return SurfacePoints(voxel, relative.astype(np.float32), binder.astype(np.float32)).take(known)
