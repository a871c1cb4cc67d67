"""Small field stores as the stages before measure leave them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from shapes import Spacing, places
from tomostat.volume import create_volume, describe, read_box, update_attributes, write_box

LEVELS: dict[str, float | None] = {"pore": 0.0, "cbd": 0.25, "active": 1.0, "collector": None}
Image = NDArray[Any]


def store(
    path: Path,
    labels: Image,
    phases: Image,
    grey: Image | None = None,
    *,
    spacing: Spacing = (0.2, 0.2, 0.2),
    attributes: dict[str, Any] | None = None,
    **fit: Any,
) -> Path:
    """Write a field store: grey values (blurred and noisy phases when not given), phases with their fit, particles."""
    if grey is None:
        values = np.array([0.0, 0.25, 1.0, 0.6, 0.0], np.float32)[phases]
        grey = ndimage.gaussian_filter(values, 1.0) + np.random.default_rng(0).normal(0, 0.05, phases.shape)
    create_volume(path, shape=labels.shape, dtype=np.float32, spacing=spacing, attributes=attributes)
    write_box(path, (0, 0, 0), grey.astype(np.float32))
    for name, image, dtype in (("phases", phases, np.uint8), ("particles", labels, np.uint32)):
        create_volume(path, shape=image.shape, dtype=dtype, spacing=spacing, label=name)
        write_box(path, (0, 0, 0), image.astype(dtype), name)
    found = {"levels": LEVELS, "percentiles": [-0.1, 1.1], "noise": 0.05, "blur": 1.0, "circle": None}
    update_attributes(path, found | fit, "phases")
    return path


def three_balls(shape: tuple[int, int, int] = (40, 60, 110)) -> tuple[Image, Image]:
    """Labels and phases of balls in carbon-binder: one whole, one cut by the field, one in a void."""
    labels, phases = np.zeros(shape, np.uint32), np.ones(shape, np.uint8)
    z, y, x = (np.arange(n)[(...,) + (None,) * (2 - a)] for a, n in enumerate(shape))
    for label, centre, radius, gap in ((7, (20, 30, 25), 14, 0), (3, (20, 56, 60), 10, 0), (12, (20, 28, 88), 11, 6)):
        distance = np.sqrt((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2)
        phases[distance <= radius + gap] = 0
        labels[distance <= radius] = label
        phases[distance <= radius] = 2
    return labels, phases


def half_ball(path: Path, spacing: Spacing = (1.0, 1.0, 1.0)) -> Path:
    """A store with a ball of radius 16 micrometers, label 5, whose half at x < 0 lies in carbon-binder."""
    shape = (int(40 / spacing[0]) + 10, int(40 / spacing[1]) + 10, int(40 / spacing[2]) + 10)
    z, y, x = places(shape, spacing)
    inside = z**2 + y**2 + x**2 <= 16**2
    phases = np.where(inside, 2, np.where(np.broadcast_to(x < 0, shape), 1, 0)).astype(np.uint8)
    return store(path, 5 * inside.astype(np.uint32), phases, spacing=spacing)


def read_whole(path: Path, name: str, level: int = 0) -> Image:
    """All voxels of one image of a store."""
    z, y, x = (slice(0, n) for n in describe(path, name).levels[level])
    return read_box(path, (z, y, x), name, level)
