"""What the page shows of every particle: three sections and a surface, as one line of text each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import numpy as np
import xarray as xr
from dask.delayed import Delayed

from tomostat.execution import Execution
from tomostat.report.embedding import base64_text, webp
from tomostat.report.fields import FieldView, level_spacing
from tomostat.report.kernels.sections import sections
from tomostat.report.kernels.surface import coarse_surface
from tomostat.volume import VolumeInfo, read_box

BUDGET = 16_000_000
"""Characters of the page that pictures of all particles take at most, about."""
SMALLEST, LARGEST = 40, 96
"""Pixels along the edge of a section, where particles are many and where they are few."""
PER_PIXEL, LESS = 170, 3000
"""Characters of a particle: so many per pixel of an edge, less a constant; measured on noisy images."""
CELLS = 0.235
"""Cells of the grid of surfaces per pixel of sections."""
QUALITY = 45
"""Quality of grey values, from 0 to 100."""
GROUP = 16
"""Particles of one task."""
FINE = 96
"""Voxels along the edge of a particle's cube, beyond which a coarser level is read."""
BYTES_PER_VOXEL = 60
"""Memory of a voxel of the cube."""


@dataclass(frozen=True)
class Subject:
    """A particle to be pictured.

    Attributes
    ----------
    label
        Its label.
    centre
        Centre of gravity (z, y, x), micrometers.
    reach
        Half the edge of the cube that is shown, micrometers.
    """

    label: int
    centre: tuple[float, float, float]
    reach: float


def reach_of(diameter: float) -> float:
    """Half the edge of the cube that shows a particle, from its equivalent diameter; all in micrometers."""
    return 0.68 * diameter + 1.0


def edge_pixels(count: int) -> int:
    """Pixels along the edge of a section, so that `count` particles fit on the page."""
    return int(np.clip((BUDGET / max(count, 1) + LESS) / PER_PIXEL, SMALLEST, LARGEST))


def particle_pictures(
    particles: xr.Dataset, views: Mapping[str, FieldView], top: float, limit: int, execution: Execution
) -> list[str]:
    """Pictures of particles.

    Parameters
    ----------
    particles
        Rows of the particle table.
    views
        Fields with labels, by name.
    top
        Local resistance at the end of the scale of colours.
    limit
        Largest number of particles that are pictured; of more, every n-th.
    execution
        Where tasks run.

    Returns
    -------
    list of str
        One line per row, empty where a particle is not pictured: ``reach,sections,codes,surface``. The first is in
        micrometers, the others base64: WebP of `sections` and of their codes, and `Surface.encode`, empty where
        the particle is finer than the grid.
    """
    fields = [str(name) for name in particles["field"].values.tolist()]
    known = [row for row, name in enumerate(fields) if name in views and "centroid" in particles]
    chosen = known[:: -(-len(known) // limit) or 1] if limit else []
    size = edge_pixels(len(chosen))
    tasks: dict[str, Delayed] = {}
    places: dict[str, list[int]] = {}
    draw = dask.delayed(_draw_group, pure=False)
    for name, view in views.items():
        rows = [row for row in chosen if fields[row] == name]
        for start in range(0, len(rows), GROUP):
            key = f"{len(tasks):06d}"
            places[key] = rows[start : start + GROUP]
            tasks[key] = draw(view.info, view.images, _subjects(particles, places[key]), size, top)
    lines = [""] * len(fields)
    for key, drawn in execution.run("pictures", tasks, need=(2 * FINE) ** 3 * BYTES_PER_VOXEL).items():
        for row, line in zip(places[key], drawn, strict=True):
            lines[row] = line
    return lines


def _subjects(particles: xr.Dataset, rows: Sequence[int]) -> list[Subject]:
    """What is pictured of some rows; of all other columns nothing is copied."""
    label, centre, diameter = (
        particles[name].values[rows].tolist() for name in ("label", "centroid", "equivalent_diameter")
    )
    return [
        Subject(int(one), (z, y, x), reach_of(width))
        for one, (z, y, x), width in zip(label, centre, diameter, strict=True)
    ]


def _draw_group(
    info: VolumeInfo, images: Sequence[str], subjects: Sequence[Subject], size: int, top: float
) -> list[str]:
    """Lines of some particles of a field."""
    return [_draw(info, images, subject, size, top) for subject in subjects]


def _draw(info: VolumeInfo, images: Sequence[str], subject: Subject, size: int, top: float) -> str:
    """The line of one particle."""
    level = next(
        (i for i in range(len(info.levels)) if 2 * subject.reach <= FINE * min(level_spacing(info, i))),
        len(info.levels) - 1,
    )
    spacing = np.array(level_spacing(info, level))
    middle = np.array(subject.centre) / spacing
    reach = subject.reach / spacing
    start = np.maximum(np.floor(middle - reach).astype(int), 0)
    stop = np.minimum(np.ceil(middle + reach).astype(int) + 1, info.levels[level])
    box: Any = tuple(slice(a, max(b, a + 1)) for a, b in zip(start.tolist(), stop.tolist(), strict=True))
    own = read_box(info.path, box, "particles", level) == subject.label
    maps = {name: _own_map(info.path, box, name, level, own) for name in ("contact", "resistance")}
    inside, half = tuple((middle - start).tolist()), tuple(reach.tolist())
    phases = read_box(info.path, box, "phases", level) if "phases" in images else None
    grey = read_box(info.path, box, level=level)
    shades, codes = sections(grey, own, phases, maps["contact"], inside, half, size)
    unknown = np.full(own.shape, np.nan, np.float32)
    values = [
        (unknown if maps[name] is None else maps[name], full) for name, full in (("contact", 1.0), ("resistance", top))
    ]
    surface = coarse_surface(own, values, inside, half, round(CELLS * size)) if min(own.shape) > 1 else None
    parts = [webp(_grey(shades), QUALITY), webp(_grey(codes)), surface.encode() if surface else b""]
    return ",".join([f"{subject.reach:.3f}", *map(base64_text, parts)])


def _own_map(path: Path, box: Any, name: str, level: int, own: Any) -> Any:
    """A map where the particle is; None where the field has none."""
    if not (path / "maps" / name).is_dir():
        return None
    return np.where(own, read_box(path, box, f"maps/{name}", level), np.float32(np.nan))


def _grey(image: Any) -> Any:
    return np.repeat(image[..., None], 3, axis=2)
