"""Regions drawn by a person, as annotation files describe them, and the pixels that they cover."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from skimage.draw import ellipse as draw_ellipse
from skimage.draw import polygon as draw_polygon

from tomostat.annotations.kernels.crossing import find_crossing
from tomostat.kernels.run_lengths import decode

MAX_OUTSIDE = 3.0
"""Distance in pixels up to which a polygon may extend beyond the edge of its image."""

MAX_LOOP_SHARE = 0.1
"""Share of a polygon's area that may be lost to a loop; slips of the hand while closing a polygon are smaller."""

Pixels = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Rows and columns, as numpy indexes with them."""

Size = tuple[int, int]
"""Pixels (ny, nx) of an image."""


class Geometry(ABC):
    """Where a region lies."""

    @abstractmethod
    def pixels(self, size: Size) -> Pixels:
        """Pixels of an image of `size` that the region covers.

        Raises
        ------
        ValueError
            When the region does not fit the image.
        """


@dataclass(frozen=True, eq=False)
class Polygons(Geometry):
    """One or more polygons.

    Attributes
    ----------
    corners
        (n, 2) float64 y, x of each polygon; integers are the centres of pixels.
    """

    corners: Sequence[NDArray[np.float64]]

    def pixels(self, size: Size) -> Pixels:
        """Pixels whose centres lie in one of the polygons."""
        parts = [_polygon_pixels(corners, size) for corners in self.corners]
        rows, columns = (np.concatenate(axis) for axis in zip(*parts, strict=True))
        return rows, columns


@dataclass(frozen=True)
class Ellipse(Geometry):
    """An ellipse.

    Attributes
    ----------
    y, x
        Centre in pixels.
    radius_y, radius_x
        Half axes in pixels.
    rotation
        Angle in radians, from -pi to pi.
    """

    y: float
    x: float
    radius_y: float
    radius_x: float
    rotation: float = 0.0

    def pixels(self, size: Size) -> Pixels:
        """Pixels whose centres lie in the ellipse."""
        if not np.isfinite([self.y, self.x, self.radius_y, self.radius_x, self.rotation]).all():
            raise ValueError("ellipse has a number that is not finite")
        rows, columns = draw_ellipse(self.y, self.x, self.radius_y, self.radius_x, shape=size, rotation=self.rotation)
        return rows, columns


@dataclass(frozen=True, eq=False)
class RunLengths(Geometry):
    """A mask as a COCO run-length code.

    Attributes
    ----------
    size
        Pixels (ny, nx) of the mask.
    counts
        Lengths of the runs, or the compressed code.
    """

    size: Size
    counts: Sequence[int] | str | bytes

    def pixels(self, size: Size) -> Pixels:
        """Pixels of the mask."""
        if self.size != size:
            raise ValueError(f"run lengths are for {self.size} pixels; the image has {size}")
        rows, columns = np.nonzero(decode(self.counts, self.size))
        return rows, columns


@dataclass(frozen=True)
class Region:
    """One drawn region.

    Attributes
    ----------
    where
        Its place in the file, for messages.
    ignored
        Whether it marks pixels to be ignored; a particle otherwise.
    geometry
        Where it lies.
    """

    where: str
    ignored: bool
    geometry: Geometry

    def pixels(self, size: Size) -> Pixels:
        """Pixels of an image of `size` that the region covers.

        Raises
        ------
        ValueError
            When it does not fit the image, or covers no pixel of it.
        """
        rows, columns = self.geometry.pixels(size)
        if not len(rows):
            raise ValueError(f"covers no pixel of its image of {size} pixels")
        return rows, columns


@dataclass(frozen=True)
class DrawnImage:
    """An image with the regions that were drawn on it.

    Attributes
    ----------
    name
        Name of the image's file.
    regions
        The regions.
    size
        Pixels (ny, nx) of the image that they were drawn on, where the file tells.
    """

    name: str
    regions: Sequence[Region]
    size: Size | None = None


def is_ignored(name: str, classes: Sequence[str] | None) -> bool:
    """Whether regions of a class are to be ignored; they are particles otherwise.

    Parameters
    ----------
    name
        Name of the class.
    classes
        Names of what is a particle; all names when None.

    Raises
    ------
    ValueError
        When the class is not among `classes`.
    """
    if name.lower() == "ignore":
        return True
    if classes is not None and name not in classes:
        raise ValueError(f"class is {name!r}; expected one of {', '.join(classes)} or ignore")
    return False


MOST_TOLD = 20
"""Problems of a file that are listed; of more, only their number."""


@dataclass(frozen=True)
class Problems:
    """Problems of a file, reported together.

    Attributes
    ----------
    file
        The file.
    found
        What was found so far: the place in the file and what is wrong there.
    """

    file: str
    found: list[str] = field(default_factory=list)

    @contextmanager
    def at(self, where: str) -> Iterator[None]:
        """Note what is wrong with a malformed entry, and go on behind the block."""
        try:
            yield
        except KeyError as error:
            self.found.append(f"{where}lacks {error}")
        except (AttributeError, IndexError, OverflowError, TypeError, ValueError) as error:
            self.found.append(f"{where}{error}")

    def refuse(self) -> None:
        """End here when anything was found.

        Raises
        ------
        ValueError
            With all that was found.
        """
        if len(self.found) == 1:
            raise ValueError(f"{self.file}, {self.found[0]}")
        if self.found:
            more = "; ..." if len(self.found) > MOST_TOLD else ""
            raise ValueError(f"{self.file} has {len(self.found)} problems: {'; '.join(self.found[:MOST_TOLD])}{more}")


def _polygon_pixels(points: NDArray[np.float64], size: Size) -> Pixels:
    """Pixels whose centres lie in a polygon."""
    if len(points) < 3:
        raise ValueError(f"polygon has {len(points)} points; expected three or more")
    if not np.isfinite(points).all():
        raise ValueError("polygon has a corner that is not finite")
    if points.min() < -MAX_OUTSIDE - 0.5 or (points.max(0) > np.array(size) - 0.5 + MAX_OUTSIDE).any():
        low, high = points.min(0).tolist(), points.max(0).tolist()
        raise ValueError(f"polygon from {low} to {high} (y, x) lies outside its image of {size} pixels")
    rows, columns = draw_polygon(points[:, 0], points[:, 1], size)
    crossing = find_crossing(points)
    if crossing and _loop_share(points) > MAX_LOOP_SHARE:
        raise ValueError(f"polygon crosses itself at its edges {crossing[0]} and {crossing[1]}; redraw it")
    return rows, columns


def _loop_share(points: NDArray[np.float64]) -> float:
    """Share of a polygon's area in loops of opposite orientation: 0 without any, 1 for a figure of eight."""
    low = points.min(0)
    scale = 200 / max(float(np.ptp(points, axis=0).max()), 1e-9)
    y, x = ((points - low) * scale).T
    drawn = len(draw_polygon(y, x)[0])
    signed = 0.5 * abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))
    return max(1 - signed / max(drawn, 1), 0.0)
