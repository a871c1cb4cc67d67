"""What the page shows of every particle: three sections and a surface, as one line of text each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dask
import numpy as np
import xarray as xr
from dask.delayed import Delayed
from numpy.typing import NDArray

from tomostat.blocks import Box, box_between
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
        subjects = _subjects(particles, rows)
        for level, members in _neighbours(view.info, subjects):
            key = f"{len(tasks):06d}"
            places[key] = [rows[i] for i in members]
            tasks[key] = draw(view, level, [subjects[i] for i in members], size, top)
    lines = [""] * len(fields)
    for key, drawn in execution.run("pictures", tasks, need=(2 * FINE) ** 3 * BYTES_PER_VOXEL).items():
        for row, line in zip(places[key], drawn, strict=True):
            lines[row] = line
    return lines


def _neighbours(info: VolumeInfo, subjects: Sequence[Subject]) -> list[tuple[int, list[int]]]:
    """Particles that are read together, as chunks hold parts of several: the level, and their indices.

    A particle is read at the finest level at which its cube is no wider than `FINE`, with those whose centres lie in
    the same cube of that size.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, subject in enumerate(subjects):
        level = next(
            (i for i in range(len(info.levels)) if 2 * subject.reach <= FINE * min(level_spacing(info, i))),
            len(info.levels) - 1,
        )
        cell = (c / (FINE * s) for c, s in zip(subject.centre, level_spacing(info, level), strict=True))
        groups.setdefault((level, *map(int, cell)), []).append(index)
    return [(level, members) for (level, *_), members in groups.items()]


def _subjects(particles: xr.Dataset, rows: Sequence[int]) -> list[Subject]:
    """What is pictured of some rows; of all other columns nothing is copied."""
    label, centre, diameter = (
        particles[name].values[rows].tolist() for name in ("label", "centroid", "equivalent_diameter")
    )
    return [
        Subject(int(one), (z, y, x), reach_of(width))
        for one, (z, y, x), width in zip(label, centre, diameter, strict=True)
    ]


def _draw_group(view: FieldView, level: int, subjects: Sequence[Subject], size: int, top: float) -> list[str]:
    """Lines of particles of a field that lie close together, at one of its levels."""
    boxes, spacing = [_box(view.info, level, subject) for subject in subjects], level_spacing(view.info, level)
    start, stop = np.min([first for first, _ in boxes], axis=0), np.max([last for _, last in boxes], axis=0)
    near = _Images.read(view, level, box_between(start, stop))
    return [
        _draw(near.part(box_between(first - start, last - start)), subject, first, spacing, size, top)
        for (first, last), subject in zip(boxes, subjects, strict=True)
    ]


def _box(info: VolumeInfo, level: int, subject: Subject) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First voxel of the box around a particle and the one behind its last, along z, y, x."""
    middle, reach = _in_voxels(subject, level_spacing(info, level))
    start = np.maximum(np.floor(middle - reach).astype(np.int64), 0)
    stop = np.minimum(np.ceil(middle + reach).astype(np.int64) + 1, info.levels[level])
    return start, np.maximum(stop, start + 1)


def _in_voxels(subject: Subject, spacing: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre and reach of a particle along z, y, x."""
    return np.array(subject.centre) / spacing, subject.reach / np.array(spacing)


@dataclass(frozen=True)
class _Images:
    """Images (z, y, x) of a box: particles, grey values, and what the field has of phases and maps."""

    labels: NDArray[Any]
    grey: NDArray[Any]
    phases: NDArray[Any] | None
    contact: NDArray[Any] | None
    resistance: NDArray[Any] | None

    @classmethod
    def read(cls, view: FieldView, level: int, box: Box) -> _Images:
        """Read a box of a field at one of its levels."""
        labels, grey = (read_box(view.info.path, box, name, level) for name in ("particles", None))
        return cls(
            labels, grey, *(view.read(name, box, level) for name in ("phases", "maps/contact", "maps/resistance"))
        )

    def part(self, box: Box) -> _Images:
        """The images of a box within."""
        others = (None if image is None else image[box] for image in (self.phases, self.contact, self.resistance))
        return _Images(self.labels[box], self.grey[box], *others)


def _draw(
    near: _Images, subject: Subject, start: NDArray[np.int64], spacing: Sequence[float], size: int, top: float
) -> str:
    """The line of one particle, from the images of a box that begins at a voxel."""
    centre, reach = _in_voxels(subject, spacing)
    middle, half = tuple((centre - start).tolist()), tuple(reach.tolist())
    own = near.labels == subject.label
    contact, resistance = (
        None if values is None else np.where(own, values, np.float32(np.nan))
        for values in (near.contact, near.resistance)
    )
    shades, codes = sections(near.grey, own, near.phases, contact, middle, half, size)
    unknown = np.full(own.shape, np.nan, np.float32)
    maps = [(unknown if values is None else values, full) for values, full in ((contact, 1.0), (resistance, top))]
    surface = coarse_surface(own, maps, middle, half, round(CELLS * size)) if min(own.shape) > 1 else None
    parts = [webp(_grey(shades), QUALITY), webp(_grey(codes)), surface.encode() if surface else b""]
    return ",".join([f"{subject.reach:.3f}", *map(base64_text, parts)])


def _grey(image: Any) -> Any:
    return np.repeat(image[..., None], 3, axis=2)
