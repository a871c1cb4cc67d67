"""Functions of tomostat beside functions of libraries that compute the same.

``python -m benchmarks.bench_libraries [voids] [smoothing] [distance] [level] [hull] [runs]`` prints processor
milliseconds of one core (median of some runs), how many times as fast tomostat is, and whether the results are
identical. A hand-written kernel that is not at least twice as fast as a library gives way to it where results are
identical: `fill_voids` therefore calls `scipy.ndimage.label`, `solidity` calls `scipy.spatial.ConvexHull`.

Inputs are boxes of particles 40, 80 and 120 voxels across with pores and voids, and slices of 1024 x 1024 pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.morphology import convex_hull_image

from benchmarks.report import Result, print_tables
from benchmarks.resources import median_seconds
from tests.shapes import CUBIC, SPACINGS, Spacing, places
from tomostat.detect.kernels.random_slices import random_slice
from tomostat.instances import Instances
from tomostat.kernels.smoothing import RADIUS, SIGMA, smooth
from tomostat.kernels.watershed import solidity
from tomostat.measure.shape.distance import distance_to
from tomostat.measure.shape.mesh import CLEAR, smooth_level
from tomostat.measure.shape.voids import fill_voids

Mask = NDArray[np.uint8]
Work = Callable[[], Any]
"""A call without arguments that returns what is compared: an array, or a list of arrays."""

DIAMETERS = (40, 80, 120)
"""Particles, in voxels across."""

SIDE = 1024
"""Pixels of a side of a slice."""


@dataclass(frozen=True)
class Comparison:
    """tomostat's function and a library's on one input.

    Attributes
    ----------
    name, library
        Names of the two.
    input
        What both are given.
    ours, theirs
        The two calls.
    """

    name: str
    library: str
    input: str
    ours: Work
    theirs: Work


@dataclass(frozen=True)
class Outcome:
    """Processor seconds of both, and by how much their results differ.

    Attributes
    ----------
    ours, theirs
        Median seconds.
    identical
        Whether all values and types are equal.
    difference
        Largest absolute difference of two values.
    """

    ours: float
    theirs: float
    identical: bool
    difference: float

    @property
    def times_as_fast(self) -> float:
        """Seconds of the library over those of tomostat."""
        return self.theirs / self.ours


def compare(one: Comparison, repeats: int = 7) -> Outcome:
    """Time both, and compare their results."""
    pairs = list(zip(_arrays(one.ours()), _arrays(one.theirs()), strict=True))
    identical = all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)
    difference = max(float(np.abs(a.astype(np.float64) - b).max()) for a, b in pairs)
    return Outcome(median_seconds(one.ours, repeats), median_seconds(one.theirs, repeats), identical, difference)


def _arrays(result: Any) -> list[NDArray[Any]]:
    return [np.asarray(part) for part in result] if isinstance(result, list | tuple) else [np.asarray(result)]


def particle(diameter: int, spacing: Spacing = CUBIC, margin: int = RADIUS + 1) -> Mask:
    """A rough particle (z, y, x) uint8 with pores that open to its surface and voids that it encloses.

    Parameters
    ----------
    diameter
        In voxels of size 1.
    spacing
        Voxel size (z, y, x).
    margin
        Voxels of background around it.
    """
    radius = diameter / 2
    nz, ny, nx = (int(1.2 * diameter / s) + 2 * margin for s in spacing)
    z, y, x = places((nz, ny, nx), spacing)
    noise = np.random.default_rng(diameter).normal(size=(nz, ny, nx))
    rough, porous = (ndimage.gaussian_filter(noise, [share * radius / s for s in spacing]) for share in (0.3, 0.08))
    solid = np.sqrt(z**2 + y**2 + x**2) < radius * (1 + 0.05 * rough / rough.std())
    mask = solid & (porous < 2 * porous.std())
    inner = tuple(slice(margin, n - margin) for n in mask.shape)
    return np.pad(mask[inner], margin).astype(np.uint8)


def boxes(diameters: tuple[int, ...], spacings: list[Spacing]) -> Iterator[tuple[str, Mask, Spacing]]:
    """Name, mask and voxel size of every particle."""
    for diameter in diameters:
        for spacing in spacings:
            voxels = "" if spacing == CUBIC else f", voxels of {' x '.join(f'{s:g}' for s in spacing)}"
            yield f"particle {diameter} across{voxels}", particle(diameter, spacing), spacing


def labelled_slice(side: int) -> NDArray[np.int32]:
    """Labels of a synthetic slice."""
    return random_slice(np.random.default_rng([90_000, 1]), (side, side))[1]


def voids(diameters: tuple[int, ...] = DIAMETERS, side: int = SIDE) -> Iterator[Comparison]:
    """Filling enclosed voids."""
    inputs = [(name, mask) for name, mask, _ in boxes(diameters, [CUBIC])]
    inputs.append((f"slice of {side} x {side}", porous_slice(side)))
    for name, mask in inputs:
        yield Comparison(
            "fill_voids", "scipy.ndimage.binary_fill_holes", name, lambda m=mask: fill_voids(m),
            lambda m=mask: filled_by_scipy(m),
        )  # fmt: skip


def porous_slice(side: int) -> Mask:
    """Particles of a slice (1, ny, nx) with pores."""
    solid = labelled_slice(side) > 0
    porous = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=solid.shape), 2.0)
    return (solid & (porous < 1.5 * porous.std())).astype(np.uint8)[None]


def filled_by_scipy(mask: Mask) -> Mask:
    """`binary_fill_holes`, within the slice where there is one only."""
    filled = ndimage.binary_fill_holes(mask[0])[None] if len(mask) == 1 else ndimage.binary_fill_holes(mask)
    return np.asarray(filled, bool).view(np.uint8)


def smoothing(diameters: tuple[int, ...] = DIAMETERS, side: int = SIDE) -> Iterator[Comparison]:
    """The Gaussian of a mask."""
    for name, mask, _ in boxes(diameters, [CUBIC]):
        yield Comparison(
            "smooth", "scipy.ndimage.gaussian_filter", name, lambda m=mask: smooth(m),
            lambda m=mask: smoothed_by_scipy(m),
        )  # fmt: skip


def smoothed_by_scipy(mask: Mask) -> NDArray[np.float32]:
    """`gaussian_filter` of the same width, reach and rule at the box's edge."""
    smoothed: NDArray[np.float32] = ndimage.gaussian_filter(
        mask.astype(np.float32), SIGMA, mode="nearest", radius=RADIUS
    )
    return smoothed


def distance(diameters: tuple[int, ...] = DIAMETERS, side: int = SIDE) -> Iterator[Comparison]:
    """Distances to the background, cubic voxels and others."""
    for name, mask, spacing in boxes(diameters, SPACINGS):
        yield Comparison(
            "distance_to", "scipy.ndimage.distance_transform_edt", name,
            lambda m=mask, s=spacing: distance_to(m == 0, s),
            lambda m=mask, s=spacing: ndimage.distance_transform_edt(m, s),
        )  # fmt: skip


def level(diameters: tuple[int, ...] = DIAMETERS, side: int = SIDE) -> Iterator[Comparison]:
    """The level of which the mesh is the surface."""
    for name, mask, _ in boxes(diameters, [CUBIC]):
        yield Comparison(
            "smooth_level", "scipy.ndimage.gaussian_filter", name, lambda m=mask: smooth_level(m),
            lambda m=mask: level_by_scipy(m),
        )  # fmt: skip


def level_by_scipy(mask: Mask) -> NDArray[np.float32]:
    """`smooth_level` with scipy's Gaussian."""
    smoothed = smoothed_by_scipy(mask)
    kept = np.where(mask > 0, np.maximum(smoothed, 0.5 + CLEAR), np.minimum(smoothed, 0.5 - CLEAR))
    return kept.astype(np.float32)


def hull(diameters: tuple[int, ...] = DIAMETERS, side: int = SIDE) -> Iterator[Comparison]:
    """Share of the convex hull that a region fills: middle slices of particles, and all regions of a slice."""
    inputs = [(f"section of a {name}", [mask[len(mask) // 2] > 0]) for name, mask, _ in boxes(diameters, [CUBIC])]
    labels = labelled_slice(side)
    regions = [labels[box] == i for i, box in enumerate(ndimage.find_objects(labels), start=1) if box]
    inputs.append((f"{len(regions)} regions of {side} x {side}", regions))
    others = (("scipy.spatial.ConvexHull", solidity_by_scipy), ("skimage convex_hull_image", solidity_by_skimage))
    for name, masks in inputs:
        for library, other in others:
            yield Comparison(
                "solidity", library, name, lambda m=masks: np.array([solidity(one) for one in m]),
                lambda m=masks, f=other: np.array([f(one) for one in m]),
            )  # fmt: skip


def solidity_by_scipy(mask: NDArray[np.bool_]) -> float:
    """Area over that of the convex hull of the corners of all pixels."""
    y, x = np.nonzero(mask)
    corners = np.concatenate([np.stack([y + dy, x + dx], 1) for dy in (0, 1) for dx in (0, 1)])
    return float(len(y) / ConvexHull(corners).volume)


def solidity_by_skimage(mask: NDArray[np.bool_]) -> float:
    """Area over that of the pixels of the convex hull, as in `skimage.measure.regionprops`."""
    return float(mask.sum() / convex_hull_image(mask).sum())


def runs(diameters: tuple[int, ...] = DIAMETERS, side: int = SIDE) -> Iterator[Comparison]:
    """Run lengths of all labels of a slice; pycocotools runs down columns, so that only the areas can be compared."""
    labels = labelled_slice(side)
    name = f"{labels.max()} regions of {side} x {side}"
    yield Comparison("Instances.from_labels", "numpy", name, lambda: runs_of(labels), lambda: runs_by_numpy(labels))
    yield Comparison(
        "Instances.from_labels", "pycocotools.mask.encode, areas", name,
        lambda: np.sort(Instances.from_labels(labels, 0).area), lambda: areas_by_pycocotools(labels),
    )  # fmt: skip


def runs_of(labels: NDArray[np.int32]) -> list[NDArray[Any]]:
    """First runs, starts and lengths of all labels."""
    found = Instances.from_labels(labels, 0)
    return [found.offset, found.run_start, found.run_length]


def runs_by_numpy(labels: NDArray[np.int32]) -> list[NDArray[Any]]:
    """As `runs_of`, by differences of neighbouring pixels."""
    padded = np.pad(labels, ((0, 0), (1, 1)))
    starts, ends = (padded[:, 1:] != padded[:, :-1]) & (padded[:, 1:] > 0), np.diff(padded, axis=1) != 0
    y, x = np.nonzero(starts)
    start = y * labels.shape[1] + x
    last_y, last_x = np.nonzero(ends & (padded[:, :-1] > 0))
    length = last_y * labels.shape[1] + last_x - start
    value = labels.ravel()[start]
    _, first, index = np.unique(value, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    order = np.argsort(rank[index], kind="stable")
    offset = np.concatenate([[0], np.cumsum(np.bincount(rank[index], minlength=len(first)))])
    return [offset, start[order].astype(np.int32), length[order].astype(np.int32)]


def areas_by_pycocotools(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Areas from COCO's run lengths, ascending."""
    from pycocotools import mask as coco

    numbers = np.unique(labels[labels > 0])
    codes = [coco.encode(np.asfortranarray(labels == number, np.uint8)) for number in numbers]
    return np.sort([coco.area(code) for code in codes]).astype(np.int32)


TABLES: dict[str, Callable[..., Iterator[Comparison]]] = {
    "voids": voids,
    "smoothing": smoothing,
    "distance": distance,
    "level": level,
    "hull": hull,
    "runs": runs,
}


def compared(comparisons: Iterable[Comparison], repeats: int = 7) -> Iterator[Result]:
    """Four quantities of every comparison."""
    for one in comparisons:
        outcome = compare(one, repeats)
        row = f"`{one.name}` and {one.library}, {one.input}"
        yield Result(f"{row}: tomostat", 1e3 * outcome.ours, unit="ms")
        yield Result(f"{row}: the library", 1e3 * outcome.theirs, unit="ms")
        yield Result(f"{row}: times as fast", outcome.times_as_fast)
        yield Result(f"{row}: largest difference", outcome.difference)


def main() -> None:
    """Print the tables that are named, or all."""
    print_tables({name: partial(compared, table()) for name, table in TABLES.items()}, __doc__)


if __name__ == "__main__":
    main()
