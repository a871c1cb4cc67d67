"""Detections checked against the active material under them: false ones are discarded, heaps of particles are split.

The network knows shapes and may be wrong about material: in images unlike those of its training, such as of angular
sand, one detection may cover dozens of grains. A cracked particle falls into pieces as a heap does. Two things set them
apart: the pieces of a cracked particle fill one round outline, and in a heap it is the pieces, not the whole, that have
the size of the other particles.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import convex_hull_image

from tomostat.kernels.watershed import solidity, split

MIN_SHARE = 0.1
"""A detection is discarded where a smaller share of its pixels is active material."""

MIN_PIECES = 3
"""Pieces from which on a detection may be a heap."""

MIN_AREA = 40
"""Pixels of the smallest piece that counts; what is smaller is a splinter or noise."""

MIN_SOLIDITY = 0.75
"""Smallest solidity of the pieces of a heap, in the mean by area: they are compact."""

RIM = 3
"""Width in pixels of the rim of a convex hull."""

MAX_RIM = 0.66
"""Largest share of the rim of the convex hull of a heap that is active material.

The pieces of a cracked particle make up its outline: 0.69 and more in discs, phantoms and real particles, but 0.65 and
less in heaps of sand.
"""

MIN_OTHERS = 5
"""With fewer other detections in the slice the size of particles is unknown, and nothing is split."""

SMOOTHING, DEPTH = 1.0, 2.0
"""Of the watershed that finds the pieces, see `tomostat.kernels.watershed.split`."""

FILL = 500
"""Pixels of the largest hole that is filled in a particle of a heap."""


def follow_material(
    labels: NDArray[np.int32], active: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Discard the detections of a slice that have no active material, and split those that cover a heap of particles.

    The particles of a heap are found by a watershed of the active material that no other detection contains; those that
    lie mostly within the heap are kept, with what lies beyond its outline. All other detections keep their pixels.

    Parameters
    ----------
    labels
        (ny, nx) int32 detections, 0 is background.
    active
        (ny, nx) bool, active material.

    Returns
    -------
    labels : ndarray
        (ny, nx) int32, 1 .. m, 0 is background.
    source : ndarray
        (m + 1,) int64, the detection from which each comes by label value, ``source[0]`` is 0.
    """
    area = np.bincount(labels.ravel())
    material = np.bincount(labels.ravel(), active.ravel(), len(area))
    area[material < MIN_SHARE * area] = 0
    area[0] = 0
    found, source = np.where(area[labels] > 0, labels, 0), list(range(len(area)))
    for label, box in enumerate(ndimage.find_objects(found), start=1):
        typical = _typical_area(np.delete(area, label))
        if box is None or not typical or not _is_heap((found[box] == label) & active[box], area[label], typical):
            continue
        margin = math.isqrt(typical)
        window = tuple(slice(max(side.start - margin, 0), side.stop + margin) for side in box)
        for particle in _particles(found[window], active[window], label):
            found[window][particle] = len(source)
            source.append(label)
    values = np.flatnonzero(np.bincount(found.ravel(), minlength=len(source)))
    values = values[values > 0]
    number = np.zeros(len(source), np.int32)
    number[values] = np.arange(1, len(values) + 1)
    return number[found], np.concatenate([[0], np.array(source)[values]])


def _typical_area(areas: NDArray[np.int64]) -> int:
    """Area of the particle in which the median pixel lies, so that small fragments hardly count; 0 for too few areas.

    Areas of 0 stand for detections that are discarded.
    """
    ordered = np.sort(areas[areas > 0])
    if len(ordered) < MIN_OTHERS:
        return 0
    total = np.cumsum(ordered)
    return int(ordered[np.searchsorted(total, total[-1] / 2)])


def _is_heap(material: NDArray[np.bool_], area: int, typical: int) -> bool:
    """Whether a detection of some area, with some active material (h, w), covers a heap of particles."""
    if area**2 <= MIN_PIECES * typical**2:  # not even that many equal pieces would be nearer to the typical area
        return False
    pieces = split(material, smoothing=SMOOTHING, depth=DEPTH, fill=0)
    areas = np.bincount(pieces.ravel())
    counted = [n for n in range(1, len(areas)) if areas[n] >= MIN_AREA]
    if len(counted) < MIN_PIECES:
        return False
    mean_area = np.average(areas[counted], weights=areas[counted])
    mean_solidity = np.average([solidity(pieces == n) for n in counted], weights=areas[counted])
    is_nearer = abs(math.log(mean_area / typical)) < math.log(area / typical)
    return bool(is_nearer and mean_solidity >= MIN_SOLIDITY and _rim_share(np.isin(pieces, counted)) <= MAX_RIM)


def _rim_share(material: NDArray[np.bool_]) -> float:
    """Share of the rim of the convex hull of some material (h, w) that is material."""
    hull = np.pad(convex_hull_image(material), 1)
    rim = hull & (ndimage.distance_transform_edt(hull) <= RIM)
    return float(material[rim[1:-1, 1:-1]].mean())


def _particles(found: NDArray[np.int32], active: NDArray[np.bool_], heap: int) -> list[NDArray[np.bool_]]:
    """Masks of the particles of a heap, in a window around it."""
    own = found == heap
    pieces = split(active & (own | (found == 0)), smoothing=SMOOTHING, depth=DEPTH, fill=FILL)
    areas = np.bincount(pieces.ravel())
    inside = np.bincount(pieces.ravel(), own.ravel(), len(areas))
    found[own] = 0
    return [pieces == n for n in range(1, len(areas)) if areas[n] >= MIN_AREA and 2 * inside[n] > areas[n]]
