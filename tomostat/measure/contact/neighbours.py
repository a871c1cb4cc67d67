"""Which particles touch, and how far away the nearest one is.

Two particles touch where voxels of the two share a face, or where surface points of one are in contact with the other
(`tomostat.measure.contact.layers`). The area of their contact is the mean of the areas on either surface.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tomostat.kernels.smoothing import Floats
from tomostat.measure.shape.surface import Surface


def face_neighbours(labels: NDArray[Any], label: int) -> NDArray[Any]:
    """Labels that share a voxel face with a particle.

    Parameters
    ----------
    labels
        (z, y, x), the particle's box and one voxel around it.
    label
        The particle.

    Returns
    -------
    numpy.ndarray
        Ascending labels.
    """
    own = labels == label
    found = []
    for axis in range(3):
        low, high = [slice(None)] * 3, [slice(None)] * 3
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        below, above = tuple(low), tuple(high)
        edge = own[below] != own[above]
        found += [labels[above][edge], labels[below][edge]]
    near = np.unique(np.concatenate(found))
    return near[(near != 0) & (near != label)]


@njit(cache=True, nogil=True)
def _nearest_other(
    labels: NDArray[np.uint32], label: int, place: NDArray[np.float64], spacing: NDArray[np.float64]
) -> NDArray[np.uint32]:
    """Label of the closest voxel of another particle among the 27 around each place (voxels); 0 when there is none."""
    nz, ny, nx = labels.shape
    found = np.zeros(len(place), np.uint32)
    for i in range(len(place)):
        z, y, x = place[i]
        best = np.inf
        for k in range(27):
            a, b, c = round(z) + k // 9 - 1, round(y) + k // 3 % 3 - 1, round(x) + k % 3 - 1
            if not (0 <= a < nz and 0 <= b < ny and 0 <= c < nx) or labels[a, b, c] == 0 or labels[a, b, c] == label:
                continue
            far = ((a - z) * spacing[0]) ** 2 + ((b - y) * spacing[1]) ** 2 + ((c - x) * spacing[2]) ** 2
            if far < best or (far == best and labels[a, b, c] < found[i]):
                best, found[i] = far, labels[a, b, c]
    return found


def contact_areas(
    surface: Surface, labels: NDArray[np.uint32], label: int, particle: NDArray[np.bool_], beyond: float
) -> list[tuple[int, float]]:
    """Which particles a surface touches, and over what area.

    The area of a point in contact counts for the particle whose voxel is closest to the place `beyond` voxels outside
    the point, among the 27 voxels around; without such a voxel (active material without a label) it counts for none.

    Parameters
    ----------
    surface
        Outer surface of the particle.
    labels
        (z, y, x), the box of the surface.
    label
        The particle.
    particle
        (n,) bool, surface points in contact with another particle.
    beyond
        Distance in voxels.

    Returns
    -------
    list of tuple
        Label and area in micrometer^2 (0 where only voxel faces touch), labels ascending.
    """
    spacing = np.asarray(surface.spacing)
    chosen = np.flatnonzero(particle)
    normal = surface.normal[chosen].astype(np.float64)
    pitch = np.linalg.norm(normal * spacing, axis=1, keepdims=True)  # voxel size along the normal
    place = (surface.point[chosen] + beyond * pitch * normal) / spacing
    other = _nearest_other(labels, label, place, spacing)
    known, which = np.unique(np.concatenate([face_neighbours(labels, label), other[other > 0]]), return_inverse=True)
    area: Floats = surface.area[chosen][other > 0]
    areas = np.bincount(which[len(which) - len(area) :], area, len(known))
    return list(zip(known.tolist(), areas.tolist(), strict=True))


@dataclass(frozen=True)
class ContactPairs:
    """Pairs of touching particles.

    Attributes
    ----------
    a, b
        (n,) uint32 labels with ``a < b``, ordered.
    area
        (n,) float64, micrometer^2: mean over those of the two with a measured surface, NaN where neither has one.
    """

    a: NDArray[np.uint32]
    b: NDArray[np.uint32]
    area: NDArray[np.float64]


def contact_pairs(touched: Mapping[int, Iterable[tuple[int, float]]], measured: Collection[int]) -> ContactPairs:
    """Pairs of touching particles, from what each one touches.

    Parameters
    ----------
    touched
        For each particle the labels that its surface or its voxel faces touch, with areas in micrometer^2.
    measured
        Labels of the particles whose surface was measured.

    Returns
    -------
    ContactPairs
        Each pair once, with the mean of its areas on both sides.
    """
    sides: dict[tuple[int, int], dict[int, float]] = {}
    for label, others in touched.items():
        for other, area in others:
            sides.setdefault((min(label, other), max(label, other)), {})[label] = area
    pairs = sorted(sides)
    areas = []
    for pair in pairs:
        known = [sides[pair].get(label, 0.0) for label in pair if label in measured]
        areas.append(sum(known) / len(known) if known else math.nan)
    a, b = np.array(pairs, np.uint32).reshape(-1, 2).T
    return ContactPairs(a, b, np.array(areas, np.float64))


def count_contacts(labels: NDArray[np.uint32], a: NDArray[np.uint32], b: NDArray[np.uint32]) -> NDArray[np.int64]:
    """How many particles each one touches, (n,) for (n,) `labels`, from the pairs of `contact_pairs`."""
    found, counts = np.unique(np.concatenate([a, b]), return_counts=True)
    number = dict(zip(found.tolist(), counts.tolist(), strict=True))
    return np.array([number.get(int(label), 0) for label in labels], np.int64)


def nearest_distances(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from each point to the nearest other one, (n,) in the unit of (n, 3) `centres`; NaN for a single one."""
    if len(centres) < 2:
        return np.full(len(centres), np.nan)
    distance = np.asarray(cKDTree(centres).query(centres, k=2)[0])
    return distance[:, 1]
