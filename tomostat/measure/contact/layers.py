"""What each point of a particle's surface touches: profiles, layers, verdicts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomostat.measure.contact.averaging import Links, average_along
from tomostat.measure.contact.classify import (
    Groups,
    drop_specks,
    find_groups,
    histogram,
    place_borders,
    share_uncertainty,
    steady_weights,
)
from tomostat.measure.contact.profiles import REACH, Levels, blurred_solid, fit_layers, sample_profiles
from tomostat.measure.shape.smoothing import Floats
from tomostat.measure.shape.surface import Surface

TOLERANCES = (1, 2, 3)
"""Contact tolerances in voxels; a layer outside the edge is one voxel thick."""

TOUCH = 1.2
"""Distance in voxels beyond the edge at which another particle touches."""

METAL = 2.5
"""Distance in voxels beyond the edge at which the current collector touches: past the blur."""

LEAST_SEEN = 0.15
"""Share of usable voxels beyond the edge below which nothing can be told."""


@dataclass(frozen=True)
class Around:
    """Voxels around a particle, one box.

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
    """What lies beyond each surface point, before it is judged.

    Attributes
    ----------
    value
        (3, n) float32, mean grey of the first one, two and three voxels beyond the edge: void 0, carbon-binder 1.
    edge
        (n,) float32, place of the particle's edge along the normal, in voxels from the surface point.
    particle, collector
        (n,) bool, another particle's active material; the current collector.
    known
        (n,) bool, whether anything can be told; points at the edge of the field may see nothing.
    voice
        (n,) float32, area in micrometer^2 of the points where carbon-binder and void have to be told apart, else 0.
    links
        Weights with which surface points average their neighbours.
    """

    value: Floats
    edge: Floats
    particle: NDArray[np.bool_]
    collector: NDArray[np.bool_]
    known: NDArray[np.bool_]
    voice: Floats
    links: Links


@dataclass(frozen=True)
class Contact:
    """What each surface point touches.

    Attributes
    ----------
    binder
        (3, n) float32, verdict by contact tolerance: 1 carbon-binder, 0 void, 1/2 on the border between them; NaN where
        the image has no carbon-binder.
    particle, collector, known
        As in `Layers`.
    deviation
        Standard deviation of the area in contact with carbon-binder at the chosen tolerance, as a share of the area
        where it had to be told from void.
    voiced
        That area in micrometer^2.
    """

    binder: Floats
    particle: NDArray[np.bool_]
    collector: NDArray[np.bool_]
    known: NDArray[np.bool_]
    deviation: float
    voiced: float


def find_layers(surface: Surface, links: Links, around: Around, levels: Levels, tolerance: int) -> Layers:
    """Look beyond a particle's edge.

    Parameters
    ----------
    surface
        Outer surface of the particle.
    links
        Weights with which its points average their neighbours.
    around
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
    profile, weight, solid = _profiles(surface, around, levels, links)
    layers, edge = fit_layers(profile, weight, solid, levels)
    value = np.stack([layers[:, :reach].mean(axis=1) for reach in TOLERANCES])
    layer = value[TOLERANCES.index(tolerance)]
    bright, metal = (_in_contrasts(level, levels) for level in (levels.active, levels.collector))
    particle = _sees(surface, around.other, TOUCH) | (layer > 0.6 * bright)
    collector = _sees(surface, around.collector, METAL) & ~particle & (layer > 0.5 + 0.5 * metal)
    beyond = (REACH > 0) & (REACH <= tolerance + 1)
    known = (weight[:, beyond].mean(axis=1) > LEAST_SEEN) | particle
    voice = np.where(known & ~particle & ~collector, surface.area, 0).astype(np.float32)
    return Layers(value, edge, particle, collector, known, voice, links)


def touch_without_binder(surface: Surface, around: Around) -> Contact:
    """Contact where the image shows no carbon-binder: with other particles and the collector only."""
    particle = _sees(surface, around.other, TOUCH)
    collector = _sees(surface, around.collector, METAL) & ~particle
    none = np.full((len(TOLERANCES), len(surface)), np.nan, np.float32)
    return Contact(none, particle, collector, np.ones(len(surface), np.bool_), float("nan"), 0.0)


def layer_counts(surface: Surface, layers: Layers) -> NDArray[np.int64]:
    """Histograms of the layer values by tolerance, (3, bins) int64, from which a field's groups are found."""
    face = _face(surface)
    return np.stack(
        [histogram(value, steady_weights(value, layers.voice, layers.links), face) for value in layers.value]
    )


def decide_contact(surface: Surface, layers: Layers, expected: tuple[Groups, ...], tolerance: int) -> Contact:
    """Decide what every point of a particle's outer surface touches.

    Parameters
    ----------
    surface, layers
        The surface and what lies beyond it.
    expected
        Void and carbon-binder of the field by tolerance.
    tolerance
        Contact tolerance in voxels at which the uncertainty is told.

    Returns
    -------
    Contact
        One verdict per surface point and tolerance.
    """
    verdicts: dict[int, Floats] = {}
    chosen, deviation = None, float("nan")
    for reach in sorted(TOLERANCES, key=lambda reach: reach != tolerance):  # the chosen one first, the others from it
        value = layers.value[TOLERANCES.index(reach)]
        weight = steady_weights(value, layers.voice, layers.links)
        groups = find_groups(value.astype(np.float64), weight, expected[TOLERANCES.index(reach)])
        rounds = 3 if chosen is None else 1
        verdict = place_borders(value, layers.voice, groups, layers.links, start=chosen, rounds=rounds)
        if chosen is None:
            chosen = verdict
            deviation = share_uncertainty(value, layers.voice, groups, _face(surface))
        verdict = drop_specks(verdict, layers.voice, layers.links, _face(surface))
        verdicts[reach] = np.where(layers.particle | layers.collector, np.float32(0), verdict)
    voiced = float(layers.voice.sum(dtype=np.float64))
    binder = np.stack([verdicts[reach] for reach in TOLERANCES])
    return Contact(binder, layers.particle, layers.collector, layers.known, deviation, voiced)


def _face(surface: Surface) -> float:
    """Area in micrometer^2 of the face of a cube of one voxel's volume."""
    return float(np.prod(surface.spacing)) ** (2 / 3)


def _sees(surface: Surface, image: NDArray[np.bool_], at: float) -> NDArray[np.bool_]:
    """Whether a point `at` voxels beyond the surface lies in an image of true voxels."""
    if not image.any():
        return np.zeros(len(surface), np.bool_)
    everywhere = np.ones(image.shape, np.uint8)
    share = sample_profiles(surface, image.view(np.uint8), everywhere, np.array([at]))[0][:, 0]
    return np.asarray(share > 0.5)


def _in_contrasts(level: float | None, levels: Levels) -> float:
    """A grey level above void in units of the contrast of carbon-binder; infinite where there is none."""
    return float("inf") if level is None else (level - levels.pore) / (float(levels.cbd or 0.0) - levels.pore)


def _profiles(surface: Surface, around: Around, levels: Levels, links: Links) -> tuple[Floats, Floats, Floats]:
    """Grey values, usable share and blurred share of other particles along the normals, averaged over the surface."""
    usable = (~around.other & ~around.outside & np.isfinite(around.grey)).view(np.uint8)
    value, weight = sample_profiles(surface, around.grey, usable)
    solid = np.zeros_like(value)
    if around.solid.any():
        solid = sample_profiles(surface, blurred_solid(around.solid, levels.blur), usable)[0]
    columns = np.concatenate([value * weight, weight, solid * weight], axis=1)
    total, share, covered = np.split(average_along(links, columns), 3, axis=1)
    divisor = np.maximum(share, 1e-6)
    return (total / divisor).astype(np.float32), share, (covered / divisor).astype(np.float32)
