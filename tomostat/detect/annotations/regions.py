"""Regions drawn by a person, as annotation files describe them, and the pixels that they cover."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.draw import ellipse as draw_ellipse
from skimage.draw import polygon as draw_polygon

from tomostat.detect.annotations.run_lengths import decode

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
        mask = decode(self.counts, self.size)
        if mask.shape != size:
            raise ValueError(f"run lengths are for {mask.shape} pixels; the image has {size}")
        rows, columns = np.nonzero(mask)
        return rows, columns


@dataclass(frozen=True)
class Region:
    """One drawn region.

    Attributes
    ----------
    where
        File and region, for messages.
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
        with located_at(self.where):
            rows, columns = self.geometry.pixels(size)
        if not len(rows):
            raise ValueError(f"{self.where}: covers no pixel of its image of {size} pixels")
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
    """

    name: str
    regions: Sequence[Region]


def is_ignored(where: str, name: str, classes: Sequence[str] | None) -> bool:
    """Whether regions of a class are to be ignored; they are particles otherwise.

    Parameters
    ----------
    where
        File and region, for messages.
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
        raise ValueError(f"{where}: class is {name!r}; expected one of {', '.join(classes)} or ignore")
    return False


@contextmanager
def located_at(where: str) -> Iterator[None]:
    """Name file and region in the errors that a malformed entry causes.

    Raises
    ------
    ValueError
        In place of KeyError, TypeError and ValueError.
    """
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{where}: lacks {error}") from None
    except (TypeError, ValueError) as error:
        raise ValueError(str(error) if str(error).startswith(where) else f"{where}: {error}") from None


def _polygon_pixels(points: NDArray[np.float64], size: Size) -> Pixels:
    """Pixels whose centres lie in a polygon."""
    if len(points) < 3:
        raise ValueError(f"polygon has {len(points)} points; expected three or more")
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


def find_crossing(points: NDArray[np.float64]) -> tuple[int, int] | None:
    """First pair of edges of a closed polygon that cross; edges that only touch do not.

    Parameters
    ----------
    points
        (n, 2) corners; edge i runs from corner i to the next.

    Returns
    -------
    tuple or None
        Indices of the two edges, or None.
    """
    begin, end = points, np.roll(points, -1, axis=0)
    a, b, c, d = begin[:, None], end[:, None], begin[None], end[None]
    cross = (_side(a, b, c) * _side(a, b, d) < 0) & (_side(c, d, a) * _side(c, d, b) < 0)
    first, second = np.nonzero(np.triu(cross))
    return (int(first[0]), int(second[0])) if len(first) else None


def _side(a: NDArray[np.float64], b: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """On which side of the line from a to b the points p lie: -1, 0 or 1."""
    side: NDArray[np.float64] = np.sign(
        (b[..., 0] - a[..., 0]) * (p[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (p[..., 0] - a[..., 0])
    )
    return side
