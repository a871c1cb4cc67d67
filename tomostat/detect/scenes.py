"""Flat phantoms: single slices of packed, cracked, hollow, touching particles, drawn with wide randomisation.

`tomostat.phantom` draws whole volumes with physical truth. Training a detector needs something else: thousands of
cheap slices whose every property (size, packing, cracks, contrast, texture, faults) varies more than in any one
measurement, so that a real slice looks like one more of them. Each slice takes some 50 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Image = NDArray[np.float32]
SMALLEST = 8.0
"""Particles below this diameter in pixels are drawn as specks and are not truth."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """How one slice looks; drawn once per slice."""

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


def random_style(rng: np.random.Generator) -> Style:
    """Draw a style; a third of the slices show mostly intact particles, a third mostly damaged ones."""
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
    """Draw one slice and its truth.

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
        (ny, nx) int32, filled particles 1 .. n.
    """
    style = random_style(rng)
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
    grey = faults(rng, grey)
    if rng.random() < 0.1:
        _truncate(rng, grey, labels)
    return scale_grey(grey, rng=rng), labels


def empty_slice(rng: np.random.Generator, shape: tuple[int, int] = (384, 384)) -> tuple[Image, NDArray[np.int32]]:
    """Draw a slice without a particle: binder and pores, or nothing but noise, stretched to full contrast.

    Parameters
    ----------
    rng
        Source of all randomness.
    shape
        Pixels (ny, nx).

    Returns
    -------
    grey, labels : ndarray
        As from `random_slice`; no label is set.
    """
    labels = np.zeros(shape, np.int32)
    grey = np.zeros(shape, np.float32)
    if rng.random() < 0.7:
        grey = _background(rng, random_style(rng), shape)
        _specks(rng, grey, labels)
    return scale_grey(faults(rng, grey), rng=rng), labels


def scale_grey(image: Image, *, rng: np.random.Generator | None = None) -> Image:
    """Scale grey so that its percentiles 0.5 and 99.5 are 0 and 1, a little off when `rng` is given."""
    low, high = np.percentile(image, [0.5, 99.5])
    if rng is not None:
        width = high - low
        low, high = low + width * rng.normal(0, 0.05), high + width * rng.normal(0, 0.08)
    return ((image - low) / max(high - low, 1e-6)).astype(np.float32)


def noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float | tuple[float, float]) -> Image:
    """Correlated noise of mean 0 and standard deviation 1."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode="wrap")
    return ((field - field.mean()) / max(float(field.std()), 1e-6)).astype(np.float32)


def _background(rng: np.random.Generator, style: Style, shape: tuple[int, int]) -> Image:
    """Pores and porous binder: two levels with soft borders, and texture of several sizes."""
    clumps = noise(rng, shape, style.diameter * rng.uniform(0.1, 0.6)) + 0.5 * noise(rng, shape, 3.0)
    share = 1 / (1 + np.exp(-rng.uniform(1, 8) * (clumps + rng.uniform(-1, 1))))
    texture = style.texture * rng.uniform(0.2, 1.0)
    return (style.binder * share + texture * noise(rng, shape, style.grain) * 0.7).astype(np.float32)


def _band(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[int, int]:
    """Columns that hold particles: the whole slice, or an electrode with bare space beside it."""
    if rng.random() < 0.7:
        return -10, shape[1] + 10
    low, high = np.sort(rng.uniform(-0.1, 1.1, 2))
    low, high = (low, high) if high - low > 0.4 else (0.2, 0.9)
    return int(low * shape[1]), int(high * shape[1])


def _diameters(rng: np.random.Generator, style: Style, area: float) -> NDArray[np.float64]:
    """Sizes to place, large ones first, whose areas add up to `area`."""
    sizes = style.diameter * np.exp(rng.normal(0, style.spread, 1500))
    sizes = sizes[(sizes > SMALLEST * 1.1) & (sizes < 190)]
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
    """A place to try: anywhere, or against a particle that is there already."""
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
    rim = np.ones_like(angle)
    for order in range(2, 10):
        rim += style.bumps * rng.normal() / order**0.7 * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    return np.hypot(y, x) / (radius * np.clip(rim, 0.5, 1.6)), angle


def _draw(
    rng: np.random.Generator,
    style: Style,
    grey: Image,
    labels: NDArray[np.int32],
    fields: tuple[Image, Image],
    centre: tuple[float, float],
    radius: float,
) -> bool:
    """Draw one particle if it fits; tell whether it did."""
    reach = int(radius * 1.9) + 3
    y0, x0 = max(int(centre[0]) - reach, 0), max(int(centre[1]) - reach, 0)
    y1, x1 = min(int(centre[0]) + reach, grey.shape[0]), min(int(centre[1]) + reach, grey.shape[1])
    if y1 - y0 < 3 or x1 - x0 < 3:
        return False
    yy, xx = np.meshgrid(np.arange(y0, y1) - centre[0], np.arange(x0, x1) - centre[1], indexing="ij")
    offset = yy.astype(np.float32), xx.astype(np.float32)
    u, angle = _outline(rng, style, offset, radius)
    box = (slice(y0, y1), slice(x0, x1))
    inside, taken = u < 1, labels[box] > 0
    size = np.count_nonzero(inside)
    if size == 0 or np.count_nonzero(inside & taken) > 0.1 * size:
        return False
    fine, coarse = fields[0][box], fields[1][box]
    solid = _damage(rng, style, u, angle, offset, radius, (fine, coarse))
    level = rng.normal(1.0, 0.07) + style.texture * fine + 0.05 * coarse
    soft = 1.0 / radius
    if rng.random() < style.faint:  # cut near its cap: low contrast and soft edge
        soft, level = rng.uniform(0.1, 0.5), level * rng.uniform(0.55, 1.0)
    alpha = np.clip((1 - u) / soft + 0.5, 0, 1) * ~taken
    dark = style.binder * rng.uniform(0, 1) + 0.3 * style.texture * fine
    value = level * solid + dark * (1 - solid)
    if value[inside].mean() < style.binder + 0.25:  # nobody could see it
        return False
    grey[box] = grey[box] * (1 - alpha) + value * alpha
    labels[box][inside & ~taken] = labels.max() + 1
    return True


def _damage(
    rng: np.random.Generator,
    style: Style,
    u: Image,
    angle: Image,
    offset: tuple[Image, Image],
    radius: float,
    fields: tuple[Image, Image],
) -> Image:
    """Share of solid in every pixel of a particle: cores, cracks, fragments and sponge taken away."""
    solid = np.ones_like(u)
    fine, coarse = fields
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
    """Radial cracks: wedges around wavy rays from core to rim."""
    solid = np.ones_like(u)
    for start in rng.uniform(-np.pi, np.pi, rng.integers(1, 12)):
        bend = start + rng.normal(0, 0.3) * u + 0.15 * coarse * u
        away = np.abs((angle - bend + np.pi) % (2 * np.pi) - np.pi) * u * radius
        first, last = rng.uniform(0, 0.5), rng.uniform(0.5, 1.1)
        width = rng.uniform(0.4, 1.0 + 0.05 * radius)
        crack = np.clip(width - away + 0.5, 0, 1) * ((u > first * rng.random()) & (u < last))
        solid = np.minimum(solid, 1 - crack * rng.uniform(0.4, 1.0))
    return solid


def _fragments(rng: np.random.Generator, offset: tuple[Image, Image], radius: float, coarse: Image) -> Image:
    """A broken particle: Voronoi pieces with gaps, some of them gone."""
    count = int(rng.integers(2, 14))
    seeds = rng.normal(0, 0.6 * radius, (count, 2))
    y, x = offset[0] + 0.06 * radius * coarse, offset[1] - 0.06 * radius * coarse
    away = np.hypot(y[None] - seeds[:, 0, None, None], x[None] - seeds[:, 1, None, None])
    order = np.argsort(away, axis=0)[:2]
    near, far = np.take_along_axis(away, order, axis=0)
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


def faults(rng: np.random.Generator, grey: Image) -> Image:
    """Image faults: blur, fringes, noise, stripes, rings, shading, gamma."""
    shape = grey.shape[0], grey.shape[1]
    image = ndimage.gaussian_filter(grey, rng.uniform(0.0, 1.8))
    if rng.random() < 0.3:
        image = image + rng.uniform(0, 1.0) * (image - ndimage.gaussian_filter(image, rng.uniform(1, 4)))
    image = image + rng.uniform(0.01, 0.18) * noise(rng, shape, rng.uniform(0.0, 1.5))
    if rng.random() < 0.3:
        sigma = (rng.uniform(0, 0.8), rng.uniform(3, 15))
        image = image + rng.uniform(0.01, 0.08) * noise(rng, shape, sigma if rng.random() < 0.7 else sigma[::-1])
    if rng.random() < 0.2:
        image = image + rings(rng, shape)
    image = image + rng.uniform(0, 0.15) * noise(rng, shape, shape[0] / 4)
    low, high = image.min(), image.max()
    image = ((image - low) / max(float(high - low), 1e-6)) ** rng.uniform(0.6, 1.6)
    return image.astype(np.float32)


def rings(rng: np.random.Generator, shape: tuple[int, int]) -> Image:
    """Ring artefacts around a random centre, of a standard deviation of 0.02 to 0.1."""
    centre = rng.uniform(-0.5, 1.5, 2) * shape
    yy, xx = np.ogrid[: shape[0], : shape[1]]
    radius = np.hypot(yy - centre[0], xx - centre[1]).astype(int)
    profile = ndimage.gaussian_filter1d(rng.standard_normal(radius.max() + 1), 0.8)
    return (rng.uniform(0.02, 0.1) * profile[radius]).astype(np.float32)


def _truncate(rng: np.random.Generator, grey: Image, labels: NDArray[np.int32]) -> None:
    """Constant grey, and no particle, outside a circular field of view that cuts a corner."""
    shape = grey.shape
    yy, xx = np.ogrid[: shape[0], : shape[1]]
    corner = rng.integers(0, 2, 2) * shape
    outside = np.hypot(yy - corner[0], xx - corner[1]) < rng.uniform(0.1, 0.4) * shape[0]
    grey[outside] = np.median(grey)
    labels[outside] = 0
