"""Views of a volume: the axis along which it is cut into slices, and how boxes and images are turned for that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

ViewName = Literal["z", "y", "x"]
"""Axis along which slices follow each other."""

VIEWS: tuple[ViewName, ...] = get_args(ViewName)

LEAST = 48
"""Voxels along every axis from which on slices of other axes show enough of particles."""

STRETCHED = 1.5
"""Ratio of voxel sizes up to which slices of other axes are not too stretched."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class View:
    """Slices along one axis; turned images and boxes have this axis first and the others in their order.

    Attributes
    ----------
    name
        Its axis.
    """

    name: ViewName

    @property
    def axis(self) -> int:
        """Number of the axis in z, y, x."""
        return VIEWS.index(self.name)

    @property
    def folder(self) -> str:
        """Folder of its tables within that of z; empty for z itself."""
        return "" if self.name == "z" else self.name

    def turned(self, items: Sequence[Item]) -> tuple[Item, Item, Item]:
        """What belongs to z, y, x (a shape, a voxel size, a box), in the order of the view."""
        first, second, third = (items[axis] for axis in self._order)
        return first, second, third

    def in_volume(self, items: Sequence[Item]) -> tuple[Item, Item, Item]:
        """What is in the order of the view, for z, y, x."""
        z, y, x = (items[self._order.index(axis)] for axis in range(3))
        return z, y, x

    def turn(self, image: NDArray[Any]) -> NDArray[Any]:
        """An image (z, y, x) with the axis of the view first, contiguous."""
        return np.ascontiguousarray(np.moveaxis(image, self.axis, 0))

    def turn_back(self, image: NDArray[Any]) -> NDArray[Any]:
        """An image of the view as (z, y, x), contiguous."""
        return np.ascontiguousarray(np.moveaxis(image, 0, self.axis))

    @property
    def _order(self) -> list[int]:
        return [self.axis, *(axis for axis in range(3) if axis != self.axis)]


def check_views(names: Sequence[ViewName], shape: Sequence[int], spacing: Sequence[float]) -> None:
    """Refuse views of a volume that is too thin for them, or whose voxels are too long.

    Parameters
    ----------
    names
        Views that are wanted.
    shape, spacing
        Voxels (z, y, x) of the volume, and their size in micrometers.

    Raises
    ------
    ValueError
        With the axis that is too short, or the voxel size.
    """
    if tuple(names) == ("z",):
        return
    size = " x ".join(map(str, shape))
    for axis, length in zip(VIEWS, shape, strict=True):
        if length < LEAST:
            raise ValueError(
                f"views {' '.join(names)} need {LEAST} voxels or more along every axis; the volume has {length} along "
                f"{axis} ({size}); give --detect.views z"
            )
    if max(spacing) > STRETCHED * min(spacing):
        steps = " x ".join(f"{step:g}" for step in spacing)
        raise ValueError(
            f"views {' '.join(names)} need voxels of about one length; they are {steps} micrometers; give "
            "--detect.views z"
        )
