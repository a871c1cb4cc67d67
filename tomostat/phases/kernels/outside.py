"""Kernels that recognise voxels outside the field of view: areas of one exact grey value that reach the border.

Slices that hold one grey value only, such as dropped frames, lie outside too.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Circle = tuple[float, float, float]
"""Centre y, x and radius in voxels."""


@dataclass(frozen=True)
class Outside:
    """How voxels outside the field of view are recognised.

    Attributes
    ----------
    value
        Their grey value; NaN where only whole slices lie outside.
    circle
        Circle that bounds the field of view; None where it is not round.
    blank
        Slices that lie outside as a whole.
    """

    value: float
    circle: Circle | None
    blank: tuple[int, ...] = ()


@dataclass(frozen=True)
class ConstantArea:
    """A large area of one exact grey value in a slice.

    Attributes
    ----------
    value
        The grey value.
    area
        Share of the slice.
    joined
        Share of the area whose connected parts reach the border of the slice.
    others
        Share of the slice that is constant at other values.
    edge
        Points y, x between the area and the rest.
    """

    value: float
    area: float
    joined: float
    others: float
    edge: list[list[float]]


SQUARE = 5
"""Side in voxels of a square (y, x) of equal grey values, which is too large to arise from noise."""
HALO = 2 * (SQUARE // 2)
"""Halo that `outside_mask` needs in y and x."""
LEAST_AREA = 1e-3
"""Smallest share of a slice that counts as an area outside the field of view."""
MOST_CONSTANT = 0.05
"""In an image with noise, less than this share of a slice is constant but for what lies outside the field of view."""
MOST_POINTS = 400
"""Edge points of a slice to which the circle is fitted, at most twice as many."""


def outside_mask(grey: NDArray[Any], outside: Outside, corner: Sequence[int]) -> NDArray[np.bool_]:
    """Voxels outside the field of view.

    Parameters
    ----------
    grey
        (nz, ny, nx) grey values of a box.
    outside
        What lies outside.
    corner
        First voxel (z, y, x) of the box in the volume.

    Returns
    -------
    (nz, ny, nx) bool
        Voxels of its value that lie in a square of it, or beyond the circle, and those of blank slices. Voxels less
        than `HALO` from the faces of the box in y and x can be wrong, unless the face is one of the volume.
    """
    equal = grey == outside.value
    square = np.ones((1, SQUARE, SQUARE), bool)
    core = ndimage.binary_erosion(equal, square, border_value=1)
    mask = ndimage.binary_dilation(core, square)
    if outside.circle is not None:
        y, x = (np.arange(n) + c for n, c in zip(grey.shape[1:], corner[1:], strict=True))
        far = np.hypot(y[:, None] - outside.circle[0], x - outside.circle[1]) > outside.circle[2]
        mask |= equal & far
    mask[np.isin(np.arange(len(grey)) + corner[0], outside.blank)] = True
    return mask


def constant_areas(image: NDArray[Any]) -> list[ConstantArea]:
    """Large areas of one exact grey value in a slice.

    Parameters
    ----------
    image
        (ny, nx) grey values.

    Returns
    -------
    list of ConstantArea
        Of the three most frequent of such grey values.
    """
    flat = ndimage.maximum_filter(image, 3) == ndimage.minimum_filter(image, 3)
    values, counts = np.unique(image[flat], return_counts=True)
    areas = []
    for i in np.argsort(-counts, kind="stable")[:3]:
        region = outside_mask(image[np.newaxis], Outside(values[i], None), (0, 0, 0))[0]
        if region.mean() < LEAST_AREA:
            continue
        parts, _ = ndimage.label(region)
        rim = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
        joined = np.isin(parts, rim[rim > 0])
        areas.append(
            ConstantArea(
                value=values[i].item(),
                area=float(region.mean()),
                joined=float(joined.sum() / region.sum()),
                others=float((counts.sum() - counts[i]) / image.size),
                edge=_edge_points(joined).tolist(),
            )
        )
    return areas


def _edge_points(region: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Points (y, x) midway between a region's pixels and neighbours outside the region."""
    down = np.argwhere(region[1:] != region[:-1]) + np.array([0.5, 0.0])
    across = np.argwhere(region[:, 1:] != region[:, :-1]) + np.array([0.0, 0.5])
    points = np.concatenate([down, across])
    return points[:: max(1, len(points) // MOST_POINTS)]


def choose_outside(slices: Sequence[Sequence[ConstantArea]], blank: Sequence[int] = ()) -> Outside | None:
    """Decide from the constant areas of some slices what lies outside the field of view; None if nothing does.

    A grey value counts when it is found in most slices and its areas reach the border. In an image without noise, where
    any phase has constant areas, the field of view must also be a circle, and slices of one grey value may be a phase.

    Parameters
    ----------
    slices
        Large constant areas of each of some slices that are not blank.
    blank
        Slices of the volume that hold one grey value only.
    """
    found: dict[float, list[ConstantArea]] = defaultdict(list)
    for areas in slices:
        for area in areas:
            found[area.value].append(area)
    largest, chosen = 0.0, None
    for value, areas in sorted(found.items()):
        total = sum(area.area for area in areas)
        joined = sum(area.area * area.joined for area in areas)
        if 2 * len(areas) <= len(slices) or joined < 0.95 * total or total <= largest:
            continue
        circle = fit_circle(np.array([point for area in areas for point in area.edge]).reshape(-1, 2))
        noisy = all(area.others < MOST_CONSTANT for area in areas)
        if noisy or circle is not None:
            largest, chosen = total, Outside(value, circle)
    known = chosen.value if chosen else None
    others = [sum(area.area for area in areas if area.value != known) for areas in slices]
    if not blank or max(others, default=1.0) >= MOST_CONSTANT:
        return chosen
    return replace(chosen or Outside(math.nan, None), blank=tuple(blank))


def fit_circle(points: NDArray[np.float64], tolerance: float = 1.0) -> Circle | None:
    """Fit a circle to points (n, 2) y, x by least squares (Kasa 1976).

    The result is None for fewer than 20 points, when their root mean square distance from the circle is above
    `tolerance` (voxels), or when the radius is more than four times their extent: they are then nearly on a line.
    """
    if len(points) < 20:
        return None
    centre = points.mean(axis=0)
    y, x = (points - centre).T
    system = np.stack([2 * y, 2 * x, np.ones(len(y))], axis=1)
    (cy, cx, free), *_ = np.linalg.lstsq(system, y**2 + x**2, rcond=None)
    radius = float(np.sqrt(max(free + cy**2 + cx**2, 0.0)))
    error = np.hypot(y - cy, x - cx) - radius
    if np.sqrt(np.mean(error**2)) > tolerance or radius > 4 * np.ptp(points, axis=0).max():
        return None
    return float(cy + centre[0]), float(cx + centre[1]), radius
