"""An electrode as arrays: positions, shapes, cores, cracks and gaps of its particles, and what surrounds them."""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomostat.kernels.arrays import Doubles
from tomostat.phantom.kernels.model import Particles, Surroundings
from tomostat.phantom.kernels.packing import cut_necks, pack_particles
from tomostat.phantom.kernels.rules import FILM, OPEN, are_visible, ball_fraction, states_at, web_at_points
from tomostat.phantom.kernels.shape import SIDE, directions, fill_radius, fill_waves, split_radius
from tomostat.phantom.options import PhantomOptions

logger = logging.getLogger(__name__)

REFERENCE_DIAMETER = 11.0
"""Diameter in micrometers between small and large particles in Jiang et al. 2020."""
SHIFTS = 16
"""Positions of the field of view in the packing that are tried."""
PROBES = 40_000
"""Random points from which the volume fraction of the carbon-binder domain is estimated."""


@dataclass(frozen=True)
class Scene:
    """An electrode ready to be rendered.

    Attributes
    ----------
    options : PhantomOptions
        Options that it was made with.
    particles : Particles
        Particles; the first `count` are visible in the field of view and have labels 1 to `count`, by position.
    surroundings : Surroundings
        Carbon-binder domain, pores and collector between them.
    count : int
        Number of particles in the field of view.
    intended : (n,) float64
        Degree of detachment for which each particle was made.
    """

    options: PhantomOptions
    particles: Particles
    surroundings: Surroundings
    count: int
    intended: Doubles


def make_scene(options: PhantomOptions) -> Scene:
    """Place and shape all particles of an electrode.

    Parameters
    ----------
    options : PhantomOptions
        Properties of the electrode.

    Returns
    -------
    Scene
        Everything that rendering needs; the same options give the same scene.
    """
    rng = np.random.default_rng(options.seed)
    vectors, weights = directions()
    box = _box(options)
    diameters = _diameters(options, box, rng)
    radius, split = _surfaces(options, diameters, vectors, weights, rng)
    centres = pack_particles(
        radius,
        box[0],
        box[1],
        _walls(options),
        touching=options.touching,
        clearance=options.film_thickness,
        rng=rng,
    )
    centres = _shifted(options, centres, radius.mean(axis=(1, 2)), box, rng)
    kept = cut_necks(centres, radius, vectors)
    if not kept.all():
        logger.info("left out %d of %d particles that overlap others too deeply", int((~kept).sum()), len(kept))
    particles, intended = _make_particles(options, centres[kept], radius[kept], split[kept], vectors, weights, rng)
    return _assemble(options, particles, intended, rng)


def _assemble(options: PhantomOptions, particles: Particles, intended: Doubles, rng: np.random.Generator) -> Scene:
    """Order particles by position, visible ones first, and set the volume fraction of CBD."""
    in_view = are_visible(particles, np.array(options.shape), np.array(options.spacing), circle_radius(options))
    order = np.lexsort((*particles.centre.T[::-1], ~in_view))
    particles = _reorder(particles, order)
    low, high = _depth(options)
    surroundings = Surroundings(
        seed=options.seed,
        film=options.film_thickness,
        scale=options.web_scale,
        threshold=np.inf,
        axis=options.depth_axis,
        low=low if options.collector else -np.inf,
        high=high if options.headspace else np.inf,
    )
    threshold = _threshold(options, particles, surroundings, rng)
    return Scene(options, particles, surroundings._replace(threshold=threshold), int(in_view.sum()), intended[order])


def _electrode(options: PhantomOptions) -> tuple[Doubles, Doubles]:
    """Corners of the electrode in the field of view, between collector and headspace, in micrometers."""
    start = -0.5 * np.array(options.spacing)
    stop = start + np.array(options.shape) * options.spacing
    start[options.depth_axis], stop[options.depth_axis] = _depth(options)
    return start, stop


def _shifted(
    options: PhantomOptions, centres: Doubles, size: Doubles, box: Doubles, rng: np.random.Generator
) -> Doubles:
    """Shift a periodic packing so that the field of view holds about the volume fraction of the options.

    A small field holds few particles, so that its volume fraction varies much with its position in the packing.
    Particles count as balls of their mean radius `size`.
    """
    walls, period = _walls(options), box[1] - box[0]
    points = rng.uniform(*_electrode(options), (2000, 3))
    best, least = centres, np.inf
    for _ in range(SHIFTS):
        trial = box[0] + np.mod(centres - box[0] + np.where(walls, 0.0, rng.uniform(0, 1, 3)) * period, period)
        trial = np.where(walls, centres, trial)
        error = abs(ball_fraction(trial, size, points) - options.active_fraction)
        if error < least:
            best, least = trial, error
    return best


def _threshold(
    options: PhantomOptions, particles: Particles, surroundings: Surroundings, rng: np.random.Generator
) -> float:
    """Value of the web noise above which there is CBD, such that web and films fill `cbd_fraction`."""
    points = rng.uniform(*_electrode(options), (PROBES, 3))
    states = states_at(particles, surroundings.film, points)
    noise = web_at_points(surroundings, points[states == OPEN])
    film = float(np.mean(states == FILM))
    if film > options.cbd_fraction:
        logger.warning(
            "the carbon-binder films alone fill a fraction of %.3f; cbd_fraction is %g", film, options.cbd_fraction
        )
    web = (options.cbd_fraction - film) * PROBES / max(len(noise), 1)
    return float(np.quantile(noise, 1 - np.clip(web, 0, 1))) if len(noise) and web > 0 else np.inf


def _depth(options: PhantomOptions) -> tuple[float, float]:
    """Positions along the depth axis where the electrode begins and ends, in micrometers."""
    step = options.spacing[options.depth_axis]
    end = (options.shape[options.depth_axis] - 0.5) * step
    return options.collector - 0.5 * step, end - options.headspace


def circle_radius(options: PhantomOptions) -> float:
    """Radius of the field of view in voxels; 0 where it is not limited."""
    return 0.5 * options.circle * min(options.shape[1:])


def _walls(options: PhantomOptions) -> NDArray[np.bool_]:
    """Axes along which the collector or the surface of the electrode bounds the particles."""
    bounded = options.collector > 0 or options.headspace > 0
    return np.array([bounded and axis == options.depth_axis for axis in range(3)])


def _box(options: PhantomOptions) -> Doubles:
    """Box (2, 3) that particles fill, in micrometers: the field of view, and a margin where it cuts the electrode."""
    largest = 1.1 * options.diameters[1] * (1 + options.elongation)
    spacing = np.array(options.spacing)
    size = np.array(options.shape) * spacing
    margin = np.maximum(0.5 * largest, largest + 2 * options.film_thickness - 0.5 * size)
    box = np.stack([-0.5 * spacing - margin, size - 0.5 * spacing + margin])
    low, high = _depth(options)
    if options.collector:
        box[0, options.depth_axis] = low
    if options.headspace:
        box[1, options.depth_axis] = high
    return box


def _diameters(options: PhantomOptions, box: Doubles, rng: np.random.Generator) -> Doubles:
    """Draw diameters until the particles have the wanted volume."""
    low, high = options.diameters
    wanted = options.active_fraction * float(np.prod(box[1] - box[0]))
    drawn: list[Doubles] = []
    volume = 0.0
    while volume < wanted:
        if options.distribution == "uniform":
            batch = rng.uniform(low, high, 64)
        else:
            centre, width = np.log(low * high) / 2, np.log(high / low) / 3.92
            batch = np.clip(np.exp(rng.normal(centre, width, 64)), low, high)
        drawn.append(batch)
        volume += float(np.sum(batch**3)) * np.pi / 6
    diameters = np.concatenate(drawn) if drawn else np.empty(0)
    volumes = np.cumsum(diameters**3) * np.pi / 6
    return diameters[: int(np.searchsorted(volumes, wanted))]


def _waves(count: int, low: float, high: float, rng: np.random.Generator) -> Doubles:
    """Random cosines over directions (count, 5), together of variance 1: frequency vector, phase, amplitude."""
    frequency = _unit(rng.normal(size=(count, 3))) * rng.uniform(low, high, (count, 1))
    phase = rng.uniform(0, 2 * np.pi, (count, 1))
    return np.hstack([frequency, phase, np.full((count, 1), np.sqrt(2 / count))])


def _unit(vectors: Doubles) -> Doubles:
    """Vectors scaled to length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _surfaces(
    options: PhantomOptions, diameters: Doubles, vectors: Doubles, weights: Doubles, rng: np.random.Generator
) -> tuple[NDArray[np.float32], Doubles]:
    """Bumpy surfaces with the drawn volumes, some split in two: radius (n, SIDE, SIDE) and split (n, 8)."""
    n = len(diameters)
    radius = np.empty((n, SIDE, SIDE), np.float32)
    split = np.zeros((n, 8))
    for i, diameter in enumerate(diameters):
        axes = 1 + options.elongation * rng.uniform(0, 1, 3)
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        waves = _waves(7, 1.5, 8, rng)
        waves[:, 4] *= options.bumpiness
        grain = np.array([options.roughness / 0.27, 0.5 * diameter / options.grain_size / 1.5])
        frame = np.diag(2 / (diameter * axes)) @ rotation
        fill_radius(radius[i], vectors, frame, waves, grain, int(rng.integers(2**31)))
        if rng.random() < options.fragmented:
            split[i] = _split(0.5 * diameter, rng)
            split_radius(radius[i], vectors, split[i])
        volume = float((radius[i].astype(np.float64) ** 3 * weights).sum()) / 3
        scale = (np.pi / 6 * diameter**3 / volume) ** (1 / 3)
        radius[i] *= scale
        split[i, 3:] *= scale
    return radius, split


def _split(radius: float, rng: np.random.Generator) -> Doubles:
    """Crack through a whole particle: its plane passes beside the centre, the far part moves outwards and sideways."""
    normal = _unit(rng.normal(size=3))
    sideways = np.cross(normal, rng.normal(size=3))
    opening = radius * rng.uniform(0.06, 0.2)
    return np.concatenate([normal, [radius * rng.uniform(0.05, 0.4), opening], 0.5 * opening * _unit(sideways)])


def _make_particles(
    options: PhantomOptions,
    centres: Doubles,
    radius: NDArray[np.float32],
    split: Doubles,
    vectors: Doubles,
    weights: Doubles,
    rng: np.random.Generator,
) -> tuple[Particles, Doubles]:
    """Particles with cores, cracks, grains and gaps, and their intended degree of detachment."""
    n = len(centres)
    size = np.cbrt((radius.astype(np.float64) ** 3 * weights).sum(axis=(1, 2)) / (4 * np.pi / 3))
    intended = _intended_detachment(options, 2 * size, rng)
    start, crack = _cracks(options, size, rng)
    crumbled = rng.random(n) < options.crumbled
    grain = np.where(crumbled, size * rng.uniform(0.12, 0.25, n), 1.5 * options.grain_size)
    particles = Particles(
        centre=np.ascontiguousarray(centres),
        radius=np.ascontiguousarray(radius),
        detached=_detachment_fields(intended, radius, vectors, weights, rng),
        bound=radius.max(axis=(1, 2)).astype(np.float64),
        gap=rng.uniform(*options.gap_width, n),
        core=np.where(rng.random(n) < options.hollow, rng.uniform(0.25, 0.65, n), 0.0),
        core_scale=size * rng.uniform(0.12, 0.3, n),
        pore=np.where(crumbled, rng.uniform(0.15, 0.35, n), rng.uniform(0.5, 0.8, n)),
        grain=np.stack([0.75 * size / grain, 0.25 / grain], axis=1),
        density=1 + options.density_spread * rng.normal(size=n),
        seed=rng.integers(2**31, size=n),
        split=np.ascontiguousarray(split),
        crack_start=start,
        crack=crack,
    )
    return particles, intended


def _intended_detachment(options: PhantomOptions, diameters: Doubles, rng: np.random.Generator) -> Doubles:
    """Draw degrees of detachment from beta distributions of one mean, which are wider for small particles."""
    mean = options.detachment_mean
    if mean in (0.0, 1.0) or options.detachment_spread == 0:
        return np.full(len(diameters), mean)
    spread = options.detachment_spread * (REFERENCE_DIAMETER / diameters) ** options.detachment_spread_power
    variance = np.minimum(spread**2, 0.5 * mean * (1 - mean))
    weight = mean * (1 - mean) / variance - 1
    return rng.beta(mean * weight, (1 - mean) * weight)


def _detachment_fields(
    intended: Doubles,
    radius: NDArray[np.float32],
    vectors: Doubles,
    weights: Doubles,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Smooth functions of direction (n, SIDE, SIDE), positive on the intended share of the area of each surface."""
    fields = np.empty_like(radius)
    for i, share in enumerate(intended):
        fill_waves(fields[i], vectors, _waves(6, 1.5, 5.0, rng))
        area = (radius[i].astype(np.float64) ** 2 * weights).ravel()
        order = np.argsort(-fields[i].ravel(), kind="stable")
        covered = np.cumsum(area[order]) / area.sum()
        last = int(np.searchsorted(covered, share))
        ranked = fields[i].ravel()[order]
        if share <= 0 or share >= 1:
            fields[i] = 1 if share >= 1 else -1
        else:
            fields[i] -= ranked[min(last, len(ranked) - 1)]
    return fields


def _cracks(options: PhantomOptions, size: Doubles, rng: np.random.Generator) -> tuple[NDArray[np.int64], Doubles]:
    """Radial cracks: wavy half planes around a common axis through the core, some of which reach the surface.

    Returns `crack_start` and `crack` of `Particles`.
    """
    cracks: list[Doubles] = []
    start = np.zeros(len(size) + 1, np.int64)
    for i, radius in enumerate(size):
        count = int(rng.choice([1, 2, 3, 4, 6, 8])) if rng.random() < options.cracked else 0
        axis = _unit(rng.normal(size=3))
        first = _unit(np.cross(axis, rng.normal(size=3)))
        offset = rng.uniform(0, 2 * np.pi)
        for k in range(count):
            angle = offset + 2 * np.pi * k / count + rng.normal(0, 0.25)
            direction = np.cos(angle) * first + np.sin(angle) * np.cross(axis, first)
            width = radius * rng.uniform(0.025, 0.08)
            end = rng.uniform(0.5, 1.3)
            opening = 1.0 if rng.random() < 0.4 and end > 1 else -1.0
            shape = [width, rng.uniform(0, 0.25), end, opening, radius * rng.uniform(0.05, 0.15), rng.uniform(0.4, 1.2)]
            cracks.append(np.concatenate([np.cross(axis, direction), direction, shape]))
        start[i + 1] = start[i] + count
    return start, np.array(cracks).reshape(-1, 12)


def _reorder(particles: Particles, order: NDArray[np.int64]) -> Particles:
    """Particles in another order."""
    counts = np.diff(particles.crack_start)[order]
    cracks = [np.arange(particles.crack_start[i], particles.crack_start[i + 1]) for i in order]
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    taken = {
        name: np.ascontiguousarray(getattr(particles, name)[order])
        for name in Particles._fields
        if not name.startswith("crack")
    }
    crack = particles.crack[np.concatenate(cracks)] if cracks else particles.crack
    return Particles(**taken, crack_start=start, crack=np.ascontiguousarray(crack))
