"""What the report reads of a field's volume: planes, and boxes around particles; never all of it at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Box, box_of, middle_box
from tomostat.phase import PhaseFit
from tomostat.volume import Spacing, VolumeInfo, describe, label_names, map_names, read_box, read_fit

WIDE = 1100
"""Voxels of a slice, along its longer side, up to which it is shown at full resolution."""
BULK = 8_000_000
"""Voxels of a volume read whole, at a coarser level where it has more."""


@dataclass(frozen=True)
class Plane:
    """A plane through a field.

    Attributes
    ----------
    grey, phases, labels
        (rows, columns); phases and labels are None where the field has none.
    pixel
        Size of a pixel (row, column) in micrometers.
    axes
        Names of row and column axis.
    place
        Where the plane lies on the third axis, micrometers.
    """

    grey: NDArray[Any]
    phases: NDArray[Any] | None
    labels: NDArray[Any] | None
    pixel: tuple[float, float]
    axes: tuple[str, str]
    place: float

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top in micrometers, rows running down; pixel middles lie at whole multiples."""
        (rows, columns), (dy, dx) = self.grey.shape, self.pixel
        return -dx / 2, (columns - 0.5) * dx, (rows - 0.5) * dy, -dy / 2


@dataclass(frozen=True)
class Section:
    """A square cut around a place, ended by the field's border.

    Attributes
    ----------
    grey, labels
        (rows, columns) grey values and particles.
    extent
        Left, right, bottom, top in micrometers from the place, rows running down.
    """

    grey: NDArray[Any]
    labels: NDArray[Any]
    extent: tuple[float, float, float, float]


@dataclass(frozen=True)
class FieldView:
    """One field of view as the report needs it.

    Attributes
    ----------
    name
        Name of the field.
    info
        Metadata of its grey volume.
    images
        Names of its label images, and of its maps as ``maps/NAME``.
    fit
        What the phases stage found; None where it did not run.
    """

    name: str
    info: VolumeInfo
    images: tuple[str, ...]
    fit: PhaseFit | None

    @property
    def fractions(self) -> Mapping[str, float]:
        """Volume fraction of every phase in the field of view; empty where the phases stage did not run."""
        return asdict(self.fit.shares) if self.fit else {}

    def read(self, name: str, box: Box, level: int = 0) -> NDArray[Any] | None:
        """A box of a label image or a map; None where the field has none of that name."""
        return read_box(self.info.path, box, name, level) if name in self.images else None

    def coarse(self) -> tuple[NDArray[Any], tuple[float, float, float]]:
        """Particle labels at the finest level of up to `BULK` voxels, empty where there are none; and its spacing."""
        if "particles" not in self.images:
            return np.zeros((0, 0, 0), np.uint32), self.info.spacing
        fits = [i for i, shape in enumerate(self.info.levels) if np.prod(shape) <= BULK]
        level = fits[0] if fits else len(self.info.levels) - 1
        whole = box_of(self.info.levels[level])
        return read_box(self.info.path, whole, "particles", level), level_spacing(self.info, level)

    def plane(self, axis: int, place: float | None = None) -> Plane:
        """The plane across an axis at a place (micrometers), whole, at a level that suits a screen.

        Where no place is named, it is the one that cuts most particles.
        """
        shapes = self.info.levels
        others = [a for a in range(3) if a != axis]
        fits = [i for i, shape in enumerate(shapes) if max(shape[a] for a in others) <= WIDE]
        level = fits[0] if fits else len(shapes) - 1
        spacing = level_spacing(self.info, level)
        wanted = self._best_place(axis) if place is None else place
        index = min(round(wanted / spacing[axis]), shapes[level][axis] - 1)
        box: Any = tuple(slice(index, index + 1) if a == axis else slice(0, shapes[level][a]) for a in range(3))
        phases, labels = (self.read(name, box, level) for name in ("phases", "particles"))
        return Plane(
            grey=read_box(self.info.path, box, level=level).squeeze(axis),
            phases=None if phases is None else phases.squeeze(axis),
            labels=None if labels is None else labels.squeeze(axis),
            pixel=(spacing[others[0]], spacing[others[1]]),
            axes=("zyx"[others[0]], "zyx"[others[1]]),
            place=index * spacing[axis],
        )

    def labels_around(self, centre: NDArray[np.float64], reach: float) -> NDArray[Any]:
        """Labels of a cube around a place (micrometers), cut at the field's border."""
        return read_box(self.info.path, self._around(centre, reach), "particles")

    def section(self, axis: int, centre: NDArray[np.float64], reach: float) -> Section:
        """The cut across an axis through a place (micrometers)."""
        spacing, box = self.info.spacing, list(self._around(centre, reach))
        middle = min(max(round(centre[axis] / spacing[axis]), box[axis].start), box[axis].stop - 1)
        box[axis] = slice(middle, middle + 1)
        whole: Any = tuple(box)
        grey, labels = (read_box(self.info.path, whole, name).squeeze(axis) for name in (None, "particles"))
        rows, columns = (a for a in range(3) if a != axis)
        left, top = (box[a].start * spacing[a] - centre[a] for a in (columns, rows))
        right, bottom = left + grey.shape[1] * spacing[columns], top + grey.shape[0] * spacing[rows]
        return Section(grey, labels, (left, right, bottom, top))

    def start(self, centre: NDArray[np.float64], reach: float) -> list[int]:
        """First voxel (z, y, x) of that cube."""
        return [side.start for side in self._around(centre, reach)]

    def middle_region(self, edge: int) -> tuple[NDArray[np.uint8], Spacing, Spacing]:
        """Phases of a region in the middle, up to `edge` voxels long; its spacing, and its start (micrometers)."""
        box = middle_box(self.info.shape, (edge, edge, edge))
        z, y, x = (part.start * s for part, s in zip(box, self.info.spacing, strict=True))
        return read_box(self.info.path, box, "phases"), self.info.spacing, (z, y, x)

    def image_cube(self, name: str, centre: NDArray[np.float64], reach: float) -> NDArray[Any] | None:
        """That cube of a label image or a map; None where the field has none of that name."""
        return self.read(name, self._around(centre, reach))

    def _around(self, centre: NDArray[np.float64], reach: float) -> Any:
        return tuple(
            slice(max(round((c - reach) / s), 0), min(round((c + reach) / s) + 1, n))
            for c, s, n in zip(centre.tolist(), self.info.spacing, self.info.shape, strict=True)
        )

    def _best_place(self, axis: int) -> float:
        """Place of the plane in the middle half that cuts most particles, micrometers."""
        length = self.info.shape[axis] * self.info.spacing[axis]
        labels, spacing = self.coarse()
        if not labels.any():
            return length / 2
        planes = np.moveaxis(labels, axis, 0)
        counts = np.array([len(np.unique(plane)) for plane in planes])
        outer = len(planes) // 4
        counts[:outer] = counts[len(planes) - outer :] = 0  # at the border many particles are cut
        candidates = np.flatnonzero(counts == counts.max())
        best = candidates[np.argmin(np.abs(candidates - len(planes) / 2))]
        return float(best * spacing[axis])


def level_spacing(info: VolumeInfo, level: int) -> tuple[float, float, float]:
    """Voxel size of a level: axes are halved until one voxel is left."""
    z, y, x = (
        step * 2 ** sum(shape[axis] > 1 for shape in info.levels[:level]) for axis, step in enumerate(info.spacing)
    )
    return z, y, x


def view_field(name: str, path: Path) -> FieldView:
    """Read what the report needs of a field.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such volume.
    """
    info = describe(path)
    images = (*label_names(path), *map_names(path))
    return FieldView(name, info, images, read_fit(path) if "phases" in images else None)
