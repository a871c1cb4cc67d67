"""What each point of a particle's surface touches: profiles along the normal, layers beyond the edge, contact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomostat.kernels.arrays import Floats
from tomostat.measure.contact.classify import classify_contact, contact_share_std, remove_small_regions
from tomostat.measure.contact.mixture import Mixture, fit_mixture, histogram, homogeneity_weights
from tomostat.measure.contact.profiles import POSITIONS, GreyLevels, blurred_solid, fit_layers, sample_profiles
from tomostat.measure.shape.averaging import SmoothingWeights, average_over_surface
from tomostat.measure.shape.surface import Surface

TOLERANCES = (1, 2, 3)
"""Contact tolerances in voxels: how thick the layer outside the edge is."""

LEVELS = (0.95, 1.05)
"""Multiples of the level of carbon-binder for which contact is decided as well, to show how it depends on it."""

CONTACT_DISTANCE = 1.2
"""Distance in voxels beyond the edge at which another particle counts as touching."""

COLLECTOR_DISTANCE = 2.5
"""Distance in voxels beyond the edge at which the current collector counts as touching: past the blur."""

LEAST_USABLE = 0.15
"""Share of usable voxels beyond the edge below which contact is unknown."""

ACTIVE_SHARE = 0.6
"""Share of the level of active material above which a layer is another particle's, wherever outlines are drawn."""


@dataclass(frozen=True)
class Surroundings:
    """The voxels around a particle, in its box.

    Attributes
    ----------
    grey
        (z, y, x) float32, shading removed.
    other
        (z, y, x) bool, in another particle.
    solid
        (z, y, x) uint8, 1 in the active material of other particles.
    collector, outside
        (z, y, x) bool, phases.
    """

    grey: Floats
    other: NDArray[np.bool_]
    solid: NDArray[np.uint8]
    collector: NDArray[np.bool_]
    outside: NDArray[np.bool_]


@dataclass(frozen=True)
class Layers:
    """What lies beyond each surface point, before contact is decided.

    Attributes
    ----------
    value
        (3, n) float32, mean grey of the first one, two and three voxels beyond the edge: void 0, carbon-binder 1.
    particle, collector
        (n,) bool, whether another particle's active material, or the current collector, lies there.
    known
        (n,) bool, whether enough voxels are usable; beyond points at the edge of the field there may be none.
    open_area
        (n,) float32, area in micrometer^2 of the points that face carbon-binder or void; 0 for points that face another
        particle or the collector, and for unknown ones.
    weights
        Weights with which surface points average their neighbours.
    """

    value: Floats
    particle: NDArray[np.bool_]
    collector: NDArray[np.bool_]
    known: NDArray[np.bool_]
    open_area: Floats
    weights: SmoothingWeights


@dataclass(frozen=True)
class SurfaceContact:
    """What each surface point touches.

    Attributes
    ----------
    binder
        (3, n) float32, contact by tolerance: 1 carbon-binder, 0 void, 1/2 on the border between them; NaN where the
        image has no carbon-binder.
    at_level
        (2, n) float32, the same at the chosen tolerance, with the level of carbon-binder times each of `LEVELS`.
    particle, collector, known
        As in `Layers`.
    deviation
        Standard deviation of the area in contact with carbon-binder at the chosen tolerance, as a share of `open_area`.
    open_area
        Area in micrometer^2 of all points that face carbon-binder or void.
    """

    binder: Floats
    at_level: Floats
    particle: NDArray[np.bool_]
    collector: NDArray[np.bool_]
    known: NDArray[np.bool_]
    deviation: float
    open_area: float


def find_layers(
    surface: Surface, weights: SmoothingWeights, surroundings: Surroundings, levels: GreyLevels, tolerance: int
) -> Layers:
    """Grey values of the layers beyond a particle's edge, with the blur undone.

    Parameters
    ----------
    surface
        Outer surface of the particle.
    weights
        Weights with which its points average their neighbours.
    surroundings
        The voxels of its box.
    levels
        Grey levels of the field, a carbon-binder level among them.
    tolerance
        Contact tolerance in voxels: 1, 2 or 3.

    Returns
    -------
    Layers
        One value per surface point.
    """
    profile, usable, solid, metal = _profiles(surface, surroundings, levels, weights)
    value = _layer_values(profile, usable, solid, levels)
    layer = value[TOLERANCES.index(tolerance)]
    active, metal_level = (_relative_level(level, levels) for level in (levels.active, levels.collector))
    particle = _lies_beyond(surface, surroundings.other, CONTACT_DISTANCE) | (layer > ACTIVE_SHARE * active)
    collector = _lies_beyond(surface, surroundings.collector, COLLECTOR_DISTANCE)
    collector = collector & ~particle & (layer > 0.5 + 0.5 * metal_level)
    beside = (metal.max(axis=1) > 0) & ~collector
    if beside.any() and levels.collector is not None:
        # the collector's blur is taken away as that of other particles is, were it as bright as they are
        as_bright = profile + metal * np.float32(levels.active - levels.collector)
        value[:, beside] = _layer_values(as_bright[beside], usable[beside], (solid + metal)[beside], levels)
    beyond = (POSITIONS > 0) & (POSITIONS <= tolerance + 1)
    known = (usable[:, beyond].mean(axis=1) > LEAST_USABLE) | particle
    open_area = np.where(known & ~particle & ~collector, surface.area, 0).astype(np.float32)
    return Layers(value, particle, collector, known, open_area, weights)


def _layer_values(profile: Floats, usable: Floats, solid: Floats, levels: GreyLevels) -> Floats:
    """Mean grey of the first layers beyond the edge by tolerance, (3, n) float32."""
    layers, _ = fit_layers(profile, usable, solid, levels)
    return np.stack([layers[:, :depth].mean(axis=1) for depth in TOLERANCES])


def contact_without_binder(surface: Surface, surroundings: Surroundings) -> SurfaceContact:
    """Contact where the image shows no carbon-binder: with other particles and the collector only."""
    particle, collector = touched(surface, surroundings)
    unknown, at_level = (np.full((count, len(surface)), np.nan, np.float32) for count in (len(TOLERANCES), len(LEVELS)))
    known = np.ones(len(surface), np.bool_)
    return SurfaceContact(unknown, at_level, particle, collector, known, float("nan"), 0.0)


def touched(surface: Surface, surroundings: Surroundings) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each surface point touches another particle, and whether the current collector; (n,) bool each."""
    particle = _lies_beyond(surface, surroundings.other, CONTACT_DISTANCE)
    return particle, _lies_beyond(surface, surroundings.collector, COLLECTOR_DISTANCE) & ~particle


def layer_counts(surface: Surface, layers: Layers) -> NDArray[np.int64]:
    """Histograms of the layer values by tolerance, (3, bins) int64, to which a field's mixtures are fitted."""
    face, area = face_area(surface), layers.open_area
    return np.stack(
        [histogram(value, homogeneity_weights(value, area, layers.weights), face) for value in layers.value]
    )


def decide_contact(
    surface: Surface, layers: Layers, priors: tuple[Mixture, ...], tolerance: int, blur: float
) -> SurfaceContact:
    """Decide what every point of a particle's outer surface touches.

    A point touches carbon-binder where its layer value lies above the limit of the particle's own mixture
    (`mixture.fit_mixture`, `classify.classify_contact`; gradually at borders). Small doubtful regions then take the
    kind that lies around them (`classify.remove_small_regions`). What faces a particle or the collector is 0.

    Parameters
    ----------
    surface, layers
        The surface and what lies beyond it.
    priors
        Void and carbon-binder of the field by tolerance.
    tolerance
        Contact tolerance in voxels for which the uncertainty is computed.
    blur
        Gaussian sigma of an edge in voxels.

    Returns
    -------
    SurfaceContact
        One value per surface point and tolerance.
    """
    face, area = face_area(surface), layers.open_area

    def cleaned(contact: Floats, certainty: Floats) -> Floats:
        """Contact without small regions, and without what faces particles and collector."""
        contact = remove_small_regions(contact, certainty, area, layers.weights, face, blur)
        return np.where(layers.particle | layers.collector, np.float32(0), contact)

    found: list[Floats] = []
    at_level: list[Floats] = []
    deviation = float("nan")
    for depth, value, prior in zip(TOLERANCES, layers.value, priors, strict=True):
        mixture = fit_mixture(value.astype(np.float64), homogeneity_weights(value, area, layers.weights), prior)
        contact = classify_contact(value, area, mixture, layers.weights)
        certainty = mixture.certainty(value)
        found.append(cleaned(contact, certainty))
        if depth == tolerance:
            deviation = contact_share_std(value, area, mixture, face)
            others = [classify_contact(value, area, mixture, layers.weights, level) for level in LEVELS]
            at_level = [cleaned(other, certainty) for other in others]
    total = float(area.sum(dtype=np.float64))
    return SurfaceContact(
        np.stack(found), np.stack(at_level), layers.particle, layers.collector, layers.known, deviation, total
    )


def face_area(surface: Surface) -> float:
    """Area in micrometer^2 of the face of a cube of one voxel's volume."""
    return float(np.prod(surface.spacing)) ** (2 / 3)


def _lies_beyond(surface: Surface, image: NDArray[np.bool_], distance: float) -> NDArray[np.bool_]:
    """Whether the place at a distance in voxels beyond each surface point is true in an image."""
    if not image.any():
        return np.zeros(len(surface), np.bool_)
    everywhere = np.ones(image.shape, np.uint8)
    share = sample_profiles(surface, image.view(np.uint8), everywhere, np.array([distance]))[0][:, 0]
    return np.asarray(share > 0.5)


def _relative_level(level: float | None, levels: GreyLevels) -> float:
    """A grey level above void in units of the contrast of carbon-binder; infinite for a phase that is not there."""
    return float("inf") if level is None else (level - levels.pore) / levels.contrast


def _profiles(
    surface: Surface, surroundings: Surroundings, levels: GreyLevels, weights: SmoothingWeights
) -> tuple[Floats, Floats, Floats, Floats]:
    """Grey values, usable share, blurred shares of other particles and of the collector along the normals.

    All are averaged over the surface nearby.
    """
    usable = (~surroundings.other & ~surroundings.outside & np.isfinite(surroundings.grey)).view(np.uint8)
    value, weight = sample_profiles(surface, surroundings.grey, usable)
    others = (surroundings.solid, surroundings.collector.view(np.uint8))
    near = [sample_profiles(surface, blurred_solid(other, levels.blur), usable)[0] for other in others if other.any()]
    columns = np.concatenate([weight, *(values * weight for values in (value, *near))], axis=1)
    share, *totals = np.split(average_over_surface(weights, columns), 2 + len(near), axis=1)
    means = ((total / np.maximum(share, 1e-6)).astype(np.float32) for total in totals)
    profile = next(means)
    solid, metal = (next(means) if other.any() else np.zeros_like(profile) for other in others)
    return profile, share, solid, metal
