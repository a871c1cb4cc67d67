"""Electrodes from a generator that shares nothing with `tomostat.phantom`, with their truth, to check tomostat against.

Particles are bumpy balls given by their radius in every direction; what lies around them follows from the distance to
their surfaces. Everything is computed for the whole volume at once, in voxels, with numpy and scipy only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.phase import Phase

Floats = NDArray[np.float64]

TRUTH = ["label", "z", "y", "x", "voxels", "diameter", "whole", "detachment", "touching", "surface_area"]
"""Columns of the truth of every particle."""

PROBE = 1.2
"""Voxels beyond the true surface at which contact is decided."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """How an electrode is imaged.

    Attributes
    ----------
    levels
        Grey values of pore, carbon-binder and active material.
    blur
        Gaussian sigma of the image in voxels.
    noise, correlation
        Standard deviation of the noise as a share of the contrast of pore and active material, and its own sigma.
    fringe
        Strength of edge fringes from phase contrast.
    rings, slope
        Ring artefacts and a slope over the volume, as shares of the contrast.
    """

    levels: tuple[float, float, float] = (0.12, 0.38, 1.0)
    blur: float = 1.2
    noise: float = 0.12
    correlation: float = 0.7
    fringe: float = 0.0
    rings: float = 0.02
    slope: float = 0.03


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What an electrode is made of; lengths in voxels."""

    shape: tuple[int, int, int] = (224, 288, 288)
    count: int = 120
    diameters: tuple[float, float] = (20.0, 110.0)
    gaps: tuple[float, float] = (3.0, 6.0)
    film: float = 4.0
    detached: float = 0.35
    touching: float = 0.15
    cracked: float = 0.35
    hollow: float = 0.3
    grey_spread: float = 0.03
    grey_texture: float = 0.03
    image: Image = field(default_factory=Image)


@dataclass(frozen=True)
class Electrode:
    """An electrode with its truth.

    Attributes
    ----------
    grey
        (z, y, x) uint16.
    labels, phases
        (z, y, x) uint32 and uint8, true particles (voids filled) and codes of `Phase`.
    truth
        One row per particle: label, place and volume in voxels, detachment, and what else is known.
    """

    grey: NDArray[np.uint16]
    labels: NDArray[np.uint32]
    phases: NDArray[np.uint8]
    truth: pd.DataFrame


@dataclass(frozen=True)
class Body:
    """A bumpy ball: centre, radius, waves over its directions, and the waves of its detached part, in voxels."""

    centre: Floats
    radius: float
    waves: Floats
    detached: Floats
    threshold: float
    gap: float

    def reach(self, directions: Floats) -> Floats:
        """Radius (n,) in some directions (n, 3)."""
        return self.radius * (1 + _waves(self.waves, directions))

    def is_detached(self, directions: Floats) -> NDArray[np.bool_]:
        """Whether there is a gap in some directions (n, 3)."""
        return _waves(self.detached, directions) > self.threshold


def _waves(waves: Floats, directions: Floats) -> Floats:
    """Sum of cosines over directions (..., 3); a wave is its frequency vector, phase and amplitude."""
    total = np.zeros(directions.shape[:-1])
    for wave in waves:
        total += wave[4] * np.cos(directions @ wave[:3] + wave[3])
    return total


def _random_waves(rng: np.random.Generator, count: int, low: float, high: float, strength: float) -> Floats:
    frequency = rng.normal(size=(count, 3))
    frequency *= rng.uniform(low, high, (count, 1)) / np.linalg.norm(frequency, axis=1, keepdims=True)
    return np.hstack(
        [frequency, rng.uniform(0, 2 * math.pi, (count, 1)), np.full((count, 1), strength * math.sqrt(2 / count))]
    )


def sphere_directions(count: int) -> Floats:
    """Directions (n, 3) spread evenly over the sphere (a Fibonacci lattice)."""
    k = np.arange(count) + 0.5
    z = 1 - 2 * k / count
    angle = k * math.pi * (1 + math.sqrt(5))
    ring = np.sqrt(1 - z * z)
    return np.stack([z, ring * np.sin(angle), ring * np.cos(angle)], axis=1)


def _bodies(recipe: Recipe, rng: np.random.Generator) -> list[Body]:
    """Particles placed one after another, larger ones first, where they overlap no other."""
    size = np.sort(np.exp(rng.uniform(*np.log(recipe.diameters), recipe.count)))[::-1] / 2
    directions = sphere_directions(2000)
    bodies: list[Body] = []
    for radius in size:
        clear = -1.0 if rng.random() < recipe.touching else 1.5
        for _ in range(400):
            centre = rng.uniform(-0.3 * radius, np.array(recipe.shape) + 0.3 * radius)
            if all(np.linalg.norm(centre - b.centre) > 1.04 * (radius + b.radius) + clear for b in bodies):
                break
        else:
            continue
        share = float(np.clip(rng.beta(1.4, 1.4 * (1 - recipe.detached) / recipe.detached), 0, 1))
        detached = _random_waves(rng, 6, 1.0, 3.0, 1.0)
        threshold = float(np.quantile(_waves(detached, directions), 1 - share))
        waves = _random_waves(rng, 8, 1.0, 4.0, 0.03)
        bodies.append(Body(centre, float(radius), waves, detached, threshold, float(rng.uniform(*recipe.gaps))))
    return bodies


def _box(body: Body, shape: tuple[int, int, int], pad: float) -> tuple[slice, ...]:
    low = np.maximum(np.floor(body.centre - 1.15 * body.radius - pad), 0).astype(int)
    high = np.minimum(np.ceil(body.centre + 1.15 * body.radius + pad) + 1, shape).astype(int)
    return tuple(slice(a, max(b, a)) for a, b in zip(low, high, strict=True))


def _around(body: Body, box: tuple[slice, ...]) -> tuple[Floats, Floats]:
    """Signed distance from a body's surface, and the direction from its centre, at the voxels of a box."""
    grid = np.stack(np.meshgrid(*[np.arange(s.start, s.stop) for s in box], indexing="ij"), axis=-1) - body.centre
    distance = np.linalg.norm(grid, axis=-1)
    directions = grid / np.maximum(distance, 1e-9)[..., None]
    height = distance - body.reach(directions)
    slope = np.sqrt(sum(g**2 for g in np.gradient(height)))
    return height / np.clip(slope, 0.8, 3.0), directions


def make_electrode(recipe: Recipe, seed: int) -> Electrode:
    """An electrode of bumpy, hollow, cracked and touching particles in films and a web of carbon-binder.

    With a count of 0 it is the web alone, and noise alone where pores and carbon-binder have one level.
    """
    rng = np.random.default_rng(seed)
    return _render(_bodies(recipe, rng), recipe, rng)


def make_balls(radius: float, gap: float, image: Image, seed: int) -> Electrode:
    """Nine balls, each with a gap over a cap of 20 to 155 degrees half angle, in carbon-binder porous farther away.

    Detachment and resistance are those of theory; ``sampled_detachment`` is what lies beyond the surface in the phases.
    """
    rng = np.random.default_rng(seed)
    pitch = 2 * radius + 24
    depth = round(2 * radius + 30)
    bodies, angles = [], np.radians(np.linspace(20, 155, 9))
    for k, angle in enumerate(angles):
        centre = np.array([depth / 2, 15 + radius + pitch * (k // 3), 15 + radius + pitch * (k % 3)])
        centre += rng.uniform(-0.5, 0.5, 3)
        axis = rng.normal(size=3)
        axis /= np.linalg.norm(axis)
        # the cosine of a tiny angle is linear in it: a wave that rises along the axis
        ramp = np.array([[*(1e-3 * axis), -math.pi / 2, 1e3]])
        bodies.append(Body(centre, radius, np.zeros((0, 5)), ramp, math.cos(angle), gap))
    side = round(30 + 3 * pitch - 24)
    plain = Recipe(
        shape=(depth, side, side), film=10.0, cracked=0, hollow=0, grey_spread=0, grey_texture=0, image=image
    )
    electrode = _render(bodies, plain, rng)
    theory = {
        "detachment": (1 - np.cos(angles)) / 2,
        "resistance_mean": (angles - np.sin(angles)) / 2,
        "resistance_max": angles,
    }
    sampled = electrode.truth.detachment
    return replace(electrode, truth=electrode.truth.assign(**theory, sampled_detachment=sampled))


def _render(bodies: list[Body], recipe: Recipe, rng: np.random.Generator) -> Electrode:
    shape = recipe.shape
    nearest = np.full(shape, 1e3)
    labels = np.zeros(shape, np.uint32)
    solid, gap, film = np.zeros(shape), np.zeros(shape, bool), np.zeros(shape, bool)
    for number, body in enumerate(bodies, 1):
        box = _box(body, shape, 12)
        height, directions = _around(body, box)
        closer = height < nearest[box]
        labels[box][closer & (height < 0)] = number
        nearest[box][closer] = height[closer]
        gap[box] |= (height < body.gap) & body.is_detached(directions)
        film[box] |= height < recipe.film
        share = np.clip(0.5 - height, 0, 1) * _inside(body, height, directions, box, recipe, rng)
        solid[box] = np.where(closer, share, solid[box])
    web = ndimage.gaussian_filter(rng.normal(size=shape), 3.5)
    binder = (film | (web > np.quantile(web, 0.55))) & ~gap & (labels == 0)
    filled = np.where(labels > 0, Phase.ACTIVE, np.where(binder, Phase.CBD, Phase.PORE)).astype(np.uint8)
    phases = np.where((labels > 0) & (solid < 0.5), Phase.PORE, filled).astype(np.uint8)
    grey = _image(solid, binder, recipe.image, rng)
    truth = _truth(bodies, labels, filled)
    voids = np.bincount(labels[phases != Phase.ACTIVE], minlength=len(bodies) + 1)[1:]
    return Electrode(grey, labels, phases, truth.assign(crack_fraction=voids / np.maximum(truth.voxels, 1)))


def _inside(
    body: Body, height: Floats, directions: Floats, box: tuple[slice, ...], recipe: Recipe, rng: np.random.Generator
) -> Floats:
    """Relative grey of the particle's inside: cracks and core dark, the rest slowly varying."""
    texture = ndimage.gaussian_filter(rng.normal(size=height.shape), 5, mode="wrap")
    value = 1 + recipe.grey_spread * rng.normal() + recipe.grey_texture * texture / max(texture.std(), 1e-9)
    depth = height + body.radius
    if rng.random() < recipe.hollow and body.radius > 15:
        value = value * np.clip(depth - body.radius * rng.uniform(0.2, 0.45) + 0.5, 0, 1)
    if rng.random() < recipe.cracked and body.radius > 15:
        for _ in range(int(rng.integers(1, 4))):
            normal = rng.normal(size=3)
            normal /= np.linalg.norm(normal)
            side = np.cross(normal, rng.normal(size=3))
            offset = (directions @ normal) * depth + 1.5 * np.sin(depth / 4)
            width = rng.uniform(1.5, 3.5)
            end = body.radius * rng.uniform(0.5, 1.05)
            crack = (np.clip(width / 2 + 0.5 - np.abs(offset), 0, 1)) * ((directions @ side) > 0) * (depth < end)
            value = value * (1 - crack)
    return value


def _image(solid: Floats, binder: NDArray[np.bool_], image: Image, rng: np.random.Generator) -> NDArray[np.uint16]:
    pore, level, active = image.levels
    grey = pore + (active - pore) * solid + (level - pore) * binder * np.clip(1 - solid, 0, 1)
    grey = ndimage.gaussian_filter(grey, image.blur)
    if image.fringe:
        grey += image.fringe * (grey - ndimage.gaussian_filter(grey, 1.5))
    noise = ndimage.gaussian_filter(rng.normal(size=grey.shape), image.correlation)
    contrast = active - pore
    grey += image.noise * contrast * noise / noise.std()
    _, ny, nx = grey.shape
    y, x = np.meshgrid(np.arange(ny) - ny / 2, np.arange(nx) - nx / 2, indexing="ij")
    rings = rng.normal(size=ny + nx)
    grey += image.rings * contrast * rings[np.hypot(y, x).astype(int)]
    grey += image.slope * contrast * np.linspace(-1, 1, nx)
    return np.clip(np.rint(8000 + 36000 * grey), 0, 65535).astype(np.uint16)


def _truth(bodies: list[Body], labels: NDArray[np.uint32], phases: NDArray[np.uint8]) -> pd.DataFrame:
    """Area, volume and what lies `PROBE` voxels beyond the surface, from each body's own radius."""
    directions = sphere_directions(6000)
    shape = np.array(labels.shape)
    rows = []
    counts = np.bincount(labels.reshape(-1), minlength=len(bodies) + 1)
    for number, body in enumerate(bodies, 1):
        reach = body.reach(directions)
        normal = _normals(body, directions)
        area = reach**2 / np.maximum((normal * directions).sum(1), 0.3)
        place = body.centre + reach[:, None] * directions
        voxel = np.rint(place + PROBE * normal).astype(int)
        within = ((np.rint(place) >= 0) & (np.rint(place) < shape) & (voxel >= 0) & (voxel < shape)).all(axis=1)
        voxel = voxel[within]
        found = phases[tuple(voxel.T)]
        own = labels[tuple(voxel.T)] == number
        weight = area[within] * ~own
        binder = float((weight * (found == Phase.CBD)).sum() / max(weight.sum(), 1e-9))
        touching = float((weight * (found == Phase.ACTIVE)).sum() / max(weight.sum(), 1e-9))
        whole = within.all() and touching == 0
        scale = 4 * math.pi / len(directions)
        rows.append(
            {
                "label": number, "z": body.centre[0], "y": body.centre[1], "x": body.centre[2],
                "voxels": int(counts[number]), "diameter": 2 * body.radius, "whole": bool(within.all()),
                "detachment": 1 - binder if within.any() else math.nan, "touching": touching,
                "surface_area": float(area.sum() * scale) if whole else math.nan,
            }
        )  # fmt: skip
    return pd.DataFrame(rows, columns=TRUTH)


def _normals(body: Body, directions: Floats) -> Floats:
    """Outward unit normals of the surface in some directions."""
    step = 1e-3
    point = body.reach(directions)[:, None] * directions
    gradient = np.empty_like(point)
    for axis in range(3):
        values = []
        for sign in (1, -1):
            moved = point.copy()
            moved[:, axis] += sign * step
            distance = np.linalg.norm(moved, axis=1)
            values.append(distance - body.reach(moved / distance[:, None]))
        gradient[:, axis] = (values[0] - values[1]) / (2 * step)
    return gradient / np.linalg.norm(gradient, axis=1, keepdims=True)
