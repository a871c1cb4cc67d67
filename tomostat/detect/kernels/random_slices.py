"""Random slices for training: packed, cracked, hollow and touching particles, with wide domain randomisation.

`tomostat.phantom` draws whole volumes with physical truth. Training a detector needs thousands of cheap slices in which
every property (size, packing, cracks, contrast, texture, image faults) varies more than in any one measurement, so that
a measured slice lies within what the network was trained on. One slice takes some 0.2 s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tomostat.detect.kernels.grey import Image, add_faults, noise, scale_grey

SMALLEST_DIAMETER = 8.0
"""Particles of a smaller diameter in pixels are drawn as specks and are not labelled."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """Parameters of one random slice.

    Attributes
    ----------
    diameter
        Median particle diameter in pixels.
    spread
        Standard deviation of the logarithm of the diameter.
    filling
        Share of the area that particles are to fill.
    elongation
        Largest ratio of a particle's axes.
    bumps
        Amplitude of the waves of an outline, relative to the radius.
    touching
        Probability that a particle is placed against one that is there already.
    cores
        Probability that a particle has a hollow core.
    cracks, shattered, sponge
        Probability that a particle has radial cracks, is broken into fragments, is porous.
    faint
        Probability that a particle is cut near its cap: low contrast, soft edge.
    binder
        Grey value of the binder; pores are 0, intact particles about 1.
    texture, grain
        Amplitude of the texture of particles and binder, and its correlation length in pixels.
    angular
        Probability that a particle is a polygon with rounded corners, like a grain of sand or crushed material.
    """

    diameter: float
    spread: float
    filling: float
    elongation: float
    bumps: float
    touching: float
    cores: float
    cracks: float
    shattered: float
    sponge: float
    faint: float
    binder: float
    texture: float
    grain: float
    angular: float = 0.0


def random_style(rng: np.random.Generator) -> Style:
    """Draw the parameters of a slice; a third show mostly intact particles, a third mostly damaged ones."""
    damage = rng.choice([0.15, 0.6, 1.0])
    return Style(
        diameter=float(np.exp(rng.uniform(np.log(13), np.log(100)))),
        spread=rng.uniform(0.1, 0.6),
        filling=rng.uniform(0.2, 0.85),
        elongation=rng.uniform(1.05, 1.7),
        bumps=rng.uniform(0.01, 0.12),
        touching=rng.uniform(0.0, 0.9),
        cores=rng.uniform(0.0, 0.9),
        cracks=damage * rng.uniform(0.0, 0.7),
        shattered=damage * rng.uniform(0.0, 0.5),
        sponge=damage * rng.uniform(0.0, 0.4),
        faint=rng.uniform(0.0, 0.4),
        binder=rng.uniform(0.0, 0.55),
        texture=rng.uniform(0.0, 0.25),
        grain=rng.uniform(0.6, 2.5),
    )


def random_slice(rng: np.random.Generator, shape: tuple[int, int] = (384, 384)) -> tuple[Image, NDArray[np.int32]]:
    """Draw one slice with its true particles.

    Parameters
    ----------
    rng
        Source of all randomness.
    shape
        Pixels (ny, nx).

    Returns
    -------
    grey : ndarray
        (ny, nx) float32, scaled so that its robust percentiles are 0 and 1.
    labels : ndarray
        (ny, nx) int32, particles 1 .. n with their cracks and cores filled.
    """
    return _draw_slice(rng, random_style(rng), shape)


def grain_slice(rng: np.random.Generator, shape: tuple[int, int] = (384, 384)) -> tuple[Image, NDArray[np.int32]]:
    """Draw a slice of angular grains, mostly intact and densely packed: sand, crushed or sintered material.

    Parameters
    ----------
    rng
        Source of all randomness.
    shape
        Pixels (ny, nx).

    Returns
    -------
    grey, labels : ndarray
        As from `random_slice`.
    """
    style = replace(
        random_style(rng), angular=rng.uniform(0.4, 1.0), filling=rng.uniform(0.4, 0.9), cores=rng.uniform(0, 0.2),
        shattered=0.0, sponge=0.0, cracks=rng.uniform(0, 0.3), touching=rng.uniform(0.3, 1.0),
    )  # fmt: skip
    return _draw_slice(rng, style, shape)


def _draw_slice(rng: np.random.Generator, style: Style, shape: tuple[int, int]) -> tuple[Image, NDArray[np.int32]]:
    """Draw one slice of a style with its true particles."""
    grey = _background(rng, style, shape)
    labels = np.zeros(shape, np.int32)
    fine, coarse = noise(rng, shape, style.grain), noise(rng, shape, rng.uniform(3.0, 9.0))
    band = _band(rng, shape)
    placed: list[tuple[float, float, float]] = []
    budget = style.filling * shape[0] * (band[1] - band[0])
    for diameter in _diameters(rng, style, budget):
        for _ in range(4):
            centre = _candidate(rng, style, placed, diameter, band, shape)
            if _draw(rng, style, grey, labels, (fine, coarse), centre, diameter / 2):
                placed.append((*centre, diameter / 2))
                break
    _specks(rng, grey, labels)
    grey = add_faults(rng, grey)
    if rng.random() < 0.1:
        _cut_view(rng, grey, labels)
    return scale_grey(grey, rng=rng), labels


def packed_slice(rng: np.random.Generator, shape: tuple[int, int] = (384, 384)) -> tuple[Image, NDArray[np.int32]]:
    """Draw a slice that angular grains of like size fill but for narrow gaps, and places where grains are missing.

    The grains are the cells of a Voronoi diagram of scattered points, bent, with rounded corners, and each shrunk by a
    width of its own.

    Parameters
    ----------
    rng
        Source of all randomness.
    shape
        Pixels (ny, nx).

    Returns
    -------
    grey, labels : ndarray
        As from `random_slice`.
    """
    style = random_style(rng)
    cell, to_wall = _cells(rng, min(style.diameter, 80.0), shape)
    count = int(cell.max()) + 1
    solid = to_wall - rng.uniform(0.2, 0.6 + 0.05 * style.diameter * rng.random(), count)[cell]
    fine = noise(rng, shape, style.grain)
    value = rng.normal(1.0, 0.07, count)[cell] + style.texture * fine
    present = (rng.random(count) > rng.uniform(0.0, 0.5))[cell]
    alpha = np.clip(solid + 0.5, 0, 1) * present
    grey = (_background(rng, style, shape) * (1 - alpha) + value * alpha).astype(np.float32)
    labels = np.where((solid > 0) & present, cell + 1, 0).astype(np.int32)
    small = np.bincount(labels.ravel(), minlength=count + 1) < np.pi / 4 * SMALLEST_DIAMETER**2
    labels[small[labels]] = 0
    _specks(rng, grey, labels)
    return scale_grey(add_faults(rng, grey), rng=rng), labels


def _cells(
    rng: np.random.Generator, diameter: float, shape: tuple[int, int]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Voronoi cell of every pixel, and its distance in pixels to the walls of the cell, shorter at corners."""
    counts = [int(np.ceil(n / diameter)) + 2 for n in shape]
    points = (np.indices(counts).reshape(2, -1).T - 0.5) * diameter
    points += rng.normal(0, rng.uniform(0.12, 0.35) * diameter, points.shape)
    pixels = np.moveaxis(np.indices(shape), 0, -1).astype(float)
    bend = rng.uniform(0, 0.08) * diameter
    for axis in range(2):
        pixels[..., axis] += bend * noise(rng, shape, 0.3 * diameter)
    distance, index = map(np.asarray, cKDTree(points).query(pixels, k=5))
    apart = np.linalg.norm(points[index[..., 1:]] - points[index[..., :1]], axis=-1)
    walls = (distance[..., 1:] ** 2 - distance[..., :1] ** 2) / (2 * np.maximum(apart, 1e-6))
    rounding = rng.uniform(0.01, 0.06) * diameter
    to_wall = -rounding * np.log(np.exp(-walls / rounding).sum(axis=-1))
    return index[..., 0], to_wall


def empty_slice(rng: np.random.Generator, shape: tuple[int, int] = (384, 384)) -> tuple[Image, NDArray[np.int32]]:
    """Draw a slice without particles: binder and pores, or only noise, stretched to full contrast.

    Parameters
    ----------
    rng
        Source of all randomness.
    shape
        Pixels (ny, nx).

    Returns
    -------
    grey, labels : ndarray
        As from `random_slice`; all labels are 0.
    """
    labels = np.zeros(shape, np.int32)
    grey = np.zeros(shape, np.float32)
    if rng.random() < 0.7:
        grey = _background(rng, random_style(rng), shape)
        _specks(rng, grey, labels)
    return scale_grey(add_faults(rng, grey), rng=rng), labels


def _background(rng: np.random.Generator, style: Style, shape: tuple[int, int]) -> Image:
    """Pores and porous binder: two grey levels with soft borders, and texture of several sizes."""
    clumps = noise(rng, shape, style.diameter * rng.uniform(0.1, 0.6)) + 0.5 * noise(rng, shape, 3.0)
    share = 1 / (1 + np.exp(-rng.uniform(1, 8) * (clumps + rng.uniform(-1, 1))))
    texture = style.texture * rng.uniform(0.2, 1.0)
    return (style.binder * share + texture * noise(rng, shape, style.grain) * 0.7).astype(np.float32)


def _band(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[int, int]:
    """Range of columns that hold particles: the whole slice, or an electrode with empty space beside it."""
    if rng.random() < 0.7:
        return -10, shape[1] + 10
    low, high = np.sort(rng.uniform(-0.1, 1.1, 2))
    low, high = (low, high) if high - low > 0.4 else (0.2, 0.9)
    return int(low * shape[1]), int(high * shape[1])


def _diameters(rng: np.random.Generator, style: Style, area: float) -> NDArray[np.float64]:
    """Diameters in pixels of the particles to place, large ones first, whose areas add up to `area`."""
    sizes = style.diameter * np.exp(rng.normal(0, style.spread, 1500))
    sizes = sizes[(sizes > SMALLEST_DIAMETER * 1.1) & (sizes < 190)]
    count = int(np.searchsorted(np.cumsum(np.pi / 4 * sizes**2), area)) + 1
    return np.sort(sizes[: min(count, 350)])[::-1]


def _candidate(
    rng: np.random.Generator,
    style: Style,
    placed: list[tuple[float, float, float]],
    diameter: float,
    band: tuple[int, int],
    shape: tuple[int, int],
) -> tuple[float, float]:
    """A centre (y, x) to try: anywhere, or against a particle that is there already."""
    if placed and rng.random() < style.touching:
        y, x, radius = placed[rng.integers(len(placed))]
        angle, gap = rng.uniform(0, 2 * np.pi), (radius + diameter / 2) * rng.uniform(0.92, 1.1)
        return y + gap * np.sin(angle), float(np.clip(x + gap * np.cos(angle), *band))
    return rng.uniform(-10, shape[0] + 10), rng.uniform(*band)


def _outline(rng: np.random.Generator, style: Style, offset: tuple[Image, Image], radius: float) -> tuple[Image, Image]:
    """Relative radius (1 on the outline) and polar angle of every pixel of a particle's box."""
    turn = rng.uniform(0, np.pi)
    stretch = np.sqrt(rng.uniform(1.0, style.elongation))
    y = (offset[0] * np.cos(turn) - offset[1] * np.sin(turn)) * stretch
    x = (offset[0] * np.sin(turn) + offset[1] * np.cos(turn)) / stretch
    angle = np.arctan2(y, x)
    if style.angular and rng.random() < style.angular:
        return _polygon(rng, (y, x)) / radius, angle
    rim = np.ones_like(angle)
    for order in range(2, 10):
        rim += style.bumps * rng.normal() / order**0.7 * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    return np.hypot(y, x) / (radius * np.clip(rim, 0.5, 1.6)), angle


def _polygon(rng: np.random.Generator, offset: tuple[Image, Image]) -> Image:
    """Distance of every pixel from the centre in units in which the outline, a rounded polygon, is at 1.

    A high norm of the distances along the normals of the sides, which is their largest but for rounded corners.
    """
    sides = int(rng.integers(4, 10))
    normals = (np.arange(sides) + rng.uniform(-0.35, 0.35, sides)) * 2 * np.pi / sides
    distances = rng.uniform(0.75, 1.1, sides)
    power = rng.uniform(6, 25)
    along = [
        np.maximum(offset[0] * np.sin(a) + offset[1] * np.cos(a), 0.0) / d
        for a, d in zip(normals, distances, strict=True)
    ]
    largest = np.maximum(np.max(along, axis=0), 1e-6)
    total: Image = largest * np.sum([(one / largest) ** power for one in along], axis=0) ** (1 / power)
    return total.astype(np.float32)


def _draw(
    rng: np.random.Generator,
    style: Style,
    grey: Image,
    labels: NDArray[np.int32],
    textures: tuple[Image, Image],
    centre: tuple[float, float],
    radius: float,
) -> bool:
    """Draw one particle where it overlaps no other and has contrast; return whether it was drawn."""
    reach = int(radius * 1.9) + 3
    y0, x0 = max(int(centre[0]) - reach, 0), max(int(centre[1]) - reach, 0)
    y1, x1 = min(int(centre[0]) + reach, grey.shape[0]), min(int(centre[1]) + reach, grey.shape[1])
    if y1 - y0 < 3 or x1 - x0 < 3:
        return False
    yy, xx = np.meshgrid(np.arange(y0, y1) - centre[0], np.arange(x0, x1) - centre[1], indexing="ij")
    offset = yy.astype(np.float32), xx.astype(np.float32)
    u, angle = _outline(rng, style, offset, radius)
    box = (slice(y0, y1), slice(x0, x1))
    particle, occupied = u < 1, labels[box] > 0
    size = np.count_nonzero(particle)
    if size == 0 or np.count_nonzero(particle & occupied) > 0.1 * size:
        return False
    fine, coarse = textures[0][box], textures[1][box]
    solid = _damage(rng, style, u, angle, offset, radius, (fine, coarse))
    level = rng.normal(1.0, 0.07) + style.texture * fine + 0.05 * coarse
    soft = 1.0 / radius
    if rng.random() < style.faint:  # cut near its cap: low contrast and soft edge
        soft, level = rng.uniform(0.1, 0.5), level * rng.uniform(0.55, 1.0)
    alpha = np.clip((1 - u) / soft + 0.5, 0, 1) * ~occupied
    dark = style.binder * rng.uniform(0, 1) + 0.3 * style.texture * fine
    value = level * solid + dark * (1 - solid)
    if value[particle].mean() < style.binder + 0.25:  # no contrast to the binder
        return False
    grey[box] = grey[box] * (1 - alpha) + value * alpha
    labels[box][particle & ~occupied] = labels.max() + 1
    return True


def _damage(
    rng: np.random.Generator,
    style: Style,
    u: Image,
    angle: Image,
    offset: tuple[Image, Image],
    radius: float,
    textures: tuple[Image, Image],
) -> Image:
    """Solid fraction of every pixel of a particle, after cores, cracks, gaps and pores are taken away."""
    solid = np.ones_like(u)
    fine, coarse = textures
    if rng.random() < style.cores:
        edge = rng.uniform(0.05, 0.5) + 0.15 * coarse + 0.08 * fine
        solid = np.minimum(solid, np.clip((u - edge) * radius / 2 + 0.5, rng.uniform(0, 0.6), 1))
    if rng.random() < style.cracks:
        solid = np.minimum(solid, _rays(rng, u, angle, radius, coarse))
    if rng.random() < style.shattered:
        solid = np.minimum(solid, _fragments(rng, offset, radius, coarse))
    if rng.random() < style.sponge:
        field = fine + rng.uniform(0, 1) * coarse - rng.uniform(-1, 1) * (1 - u)
        solid = np.minimum(solid, np.clip(rng.uniform(0.2, 1.2) - field, rng.uniform(0, 0.5), 1))
    return solid.astype(np.float32)


def _rays(rng: np.random.Generator, u: Image, angle: Image, radius: float, coarse: Image) -> Image:
    """Radial cracks: wedges around wavy rays from the core to the outline."""
    solid = np.ones_like(u)
    for direction in rng.uniform(-np.pi, np.pi, rng.integers(1, 12)):
        bend = direction + rng.normal(0, 0.3) * u + 0.15 * coarse * u
        distance = np.abs((angle - bend + np.pi) % (2 * np.pi) - np.pi) * u * radius
        first, last = rng.uniform(0, 0.5), rng.uniform(0.5, 1.1)
        width = rng.uniform(0.4, 1.0 + 0.05 * radius)
        crack = np.clip(width - distance + 0.5, 0, 1) * ((u > first * rng.random()) & (u < last))
        solid = np.minimum(solid, 1 - crack * rng.uniform(0.4, 1.0))
    return solid


def _fragments(rng: np.random.Generator, offset: tuple[Image, Image], radius: float, coarse: Image) -> Image:
    """A broken particle: Voronoi cells with gaps between them, some of them missing."""
    count = int(rng.integers(2, 14))
    seeds = rng.normal(0, 0.6 * radius, (count, 2))
    y, x = offset[0] + 0.06 * radius * coarse, offset[1] - 0.06 * radius * coarse
    distance = np.hypot(y[None] - seeds[:, 0, None, None], x[None] - seeds[:, 1, None, None])
    order = np.argsort(distance, axis=0)[:2]
    near, far = np.take_along_axis(distance, order, axis=0)
    gap = rng.uniform(0.3, 1.0 + 0.08 * radius)
    solid = 1 - np.clip(gap - (far - near) + 0.5, 0, 1)
    gone = rng.random(count) < 0.08
    return np.where(gone[order[0]], 0, solid)


def _specks(rng: np.random.Generator, grey: Image, labels: NDArray[np.int32]) -> None:
    """Debris too small to be a particle: bright specks and short strokes on the background."""
    for _ in range(int(rng.integers(0, 25))):
        y, x = rng.integers(2, grey.shape[0] - 6), rng.integers(2, grey.shape[1] - 6)
        h, w = rng.integers(1, 6, 2)
        box = (slice(y, y + h), slice(x, x + w))
        if not labels[box].any():
            grey[box] += rng.uniform(0.2, 1.0) * (rng.random((h, w)) < 0.8)


def _cut_view(rng: np.random.Generator, grey: Image, labels: NDArray[np.int32]) -> None:
    """Constant grey and no particles outside a circular field of view that cuts off a corner."""
    shape = grey.shape
    yy, xx = np.ogrid[: shape[0], : shape[1]]
    corner = rng.integers(0, 2, 2) * shape
    outside = np.hypot(yy - corner[0], xx - corner[1]) < rng.uniform(0.1, 0.4) * shape[0]
    grey[outside] = np.median(grey)
    labels[outside] = 0
