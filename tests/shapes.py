"""Voxel shapes whose area, volume and distances are known."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.phantom import PhantomOptions, Rendered, Scene, make_scene, render

Spacing = tuple[float, float, float]
Mask = NDArray[np.uint8]

CUBIC: Spacing = (1.0, 1.0, 1.0)
SPACINGS: list[Spacing] = [CUBIC, (2.0, 1.0, 1.0), (1.0, 1.3, 0.7)]


def places(shape: tuple[int, int, int], spacing: Spacing = CUBIC, shift: NDArray[np.float64] | None = None) -> list:
    """Open coordinates (z, y, x) from the middle of a box."""
    move = np.zeros(3) if shift is None else shift
    axes = [(np.arange(n) - (n - 1) / 2) * s - m for n, s, m in zip(shape, spacing, move, strict=True)]
    return list(np.meshgrid(*axes, indexing="ij", sparse=True))


def around(radius: float, spacing: Spacing = CUBIC, margin: int = 9) -> tuple[int, int, int]:
    """Box that holds a radius and a margin of voxels."""
    z, y, x = (int(2 * radius / s) + 2 * margin for s in spacing)
    return z, y, x


def ball(radius: float, spacing: Spacing = CUBIC, seed: int = 0, margin: int = 9) -> Mask:
    """A ball whose centre lies anywhere within a voxel."""
    shift = np.random.default_rng(seed).uniform(-0.5, 0.5, 3) * spacing
    z, y, x = places(around(radius, spacing, margin), spacing, shift)
    return (z**2 + y**2 + x**2 <= radius**2).astype(np.uint8)


def turn(seed: int) -> NDArray[np.float64]:
    """A random rotation."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q


def turned(shape: tuple[int, int, int], frame: NDArray[np.float64], spacing: Spacing = CUBIC) -> list:
    """Coordinates along the rows of a frame."""
    z, y, x = places(shape, spacing)
    return [row[0] * z + row[1] * y + row[2] * x for row in frame]


def slotted(radius: int, width: float, normal: NDArray[np.float64]) -> tuple[Mask, float, NDArray, NDArray]:
    """A ball with a slot past its centre: mask, true area, the slot's normal and its direction of opening."""
    normal = normal / np.linalg.norm(normal)
    open_to = np.cross(normal, [0.3, 0.5, 0.8])
    open_to /= np.linalg.norm(open_to)
    z, y, x = places(around(radius))
    across = normal[0] * z + normal[1] * y + normal[2] * x
    along = open_to[0] * z + open_to[1] * y + open_to[2] * x
    floor = -radius / 4
    mask = (z**2 + y**2 + x**2 <= radius**2) & ~((abs(across) < width / 2) & (along > floor))
    half = np.linspace(-width / 2, width / 2, 401)
    ring = np.sqrt(radius**2 - half**2)
    disc = np.sqrt(radius**2 - width**2 / 4)
    wall = disc**2 * np.arccos(floor / disc) - floor * np.sqrt(disc**2 - floor**2)
    bottom = np.trapezoid(2 * np.sqrt(ring**2 - floor**2), half)
    mouth = np.trapezoid(radius * 2 * np.arccos(floor / ring), half)
    return mask.astype(np.uint8), 4 * np.pi * radius**2 + 2 * wall + bottom - mouth, normal, open_to


@cache
def phantom_block(shape: tuple[int, int, int] = (40, 128, 128), **options: Any) -> Rendered:
    """All voxels of a small synthetic electrode."""
    scene = make_scene(PhantomOptions(shape=shape, seed=3, diameters=(5.0, 11.0), **options))
    return render(scene, (0, 0, 0), shape)


def shaded_blobs(
    amplitude: float, shape: tuple[int, int, int] = (48, 120, 120)
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Blobs in a void, more of them on one side, blurred and noisy, and the shading that was added."""
    rng = np.random.default_rng(0)
    z, y, x = (np.linspace(-1, 1, n).reshape([-1 if a == i else 1 for a in range(3)]) for i, n in enumerate(shape))
    blobs = ndimage.gaussian_filter(rng.normal(size=shape), 5)
    active = blobs / blobs.std() > 0.3 - 0.6 * x
    field = amplitude * (y**2 - 1 / 3 + 0.5 * x * z + 0.4 * np.sin(2 * x))
    grey = 60 + 120 * ndimage.gaussian_filter(active.astype(float), 1.0) + 6 * rng.normal(size=shape) + field
    return grey.astype(np.float32), np.broadcast_to(field - field.mean(), shape)


def ball_at(shape: tuple[int, int, int], centre: tuple[float, float, float], radius: float) -> NDArray[np.bool_]:
    """A ball of voxels in a box of this shape."""
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    return (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= radius**2


IDEAL_IMAGE: dict[str, Any] = {"blur": 0.0, "noise": 0.0, "texture": 0.0}
"""Options of a synthetic electrode whose grey values are those of the phases."""

SMALL_ELECTRODE: dict[str, Any] = {
    "shape": (40, 48, 56),
    "spacing": (0.25, 0.2, 0.2),
    "diameters": (3.0, 5.0),
    "active_fraction": 0.4,
}
"""Options of a synthetic electrode of some ten particles."""

FAULTY_ELECTRODE = PhantomOptions(
    **SMALL_ELECTRODE, seed=5, collector=1.5, headspace=1.0, touching=0.5, fragmented=0.5, crumbled=0.3, cracked=1.0,
    blur=0.8, fringe=0.5, noise_correlation=0.7, streaks=0.5, rings=0.1, shading=0.2, circle=0.9, contrast="wet",
    dtype="uint16",
)  # fmt: skip
"""An electrode with all damage and all artefacts."""


def render_all(scene: Scene) -> Rendered:
    """All voxels of a synthetic electrode."""
    return render(scene, (0, 0, 0), scene.options.shape)


def same_partition(a: NDArray, b: NDArray) -> bool:
    """Whether two label images differ in the numbers of the labels only."""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
