"""Which particles touch, and how far away the nearest one is.

Two particles are near where voxels of the two share a face, or where surface points of one are in contact with the
other (`tomostat.measure.contact.layers`). They touch unless they come no closer than two balls with a gap do
(`tomostat.measure.contact.closeness`). The area of their contact is the mean of the areas on either surface.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tomostat.kernels.arrays import Floats
from tomostat.kernels.smoothing import Spacing
from tomostat.measure.contact.closeness import ball_gap, closeness, reduced_radius
from tomostat.measure.shape.surface import Surface

TOUCHING = 0.03
"""Gap in voxels up to which two particles touch: gaps are known to 0.03 to 0.05 voxel."""

SMALLEST_BALL = 5.0
"""Radius in voxels of the smallest particle whose gaps are told: smaller ones touch whatever they are near."""


class NearParticle(NamedTuple):
    """A particle near another one.

    Attributes
    ----------
    label
        Its number.
    area
        Area in micrometer^2 on the other's surface that is in contact with it: 0 where only voxel faces touch, NaN
        where the surface is not measured.
    joined
        Whether voxels of the two share a face.
    close
        Their `closeness` along z, y and x.
    """

    label: int
    area: float
    joined: bool
    close: tuple[int, int, int]


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


def near_particles(
    surface: Surface, labels: NDArray[np.uint32], label: int, particle: NDArray[np.bool_], beyond: float
) -> list[NearParticle]:
    """Which particles a surface is near, and over what area it touches them.

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
    list of NearParticle
        Labels ascending.
    """
    spacing = np.asarray(surface.spacing)
    chosen = np.flatnonzero(particle)
    normal = surface.normal[chosen].astype(np.float64)
    pitch = np.linalg.norm(normal * spacing, axis=1, keepdims=True)  # voxel size along the normal
    place = (surface.point[chosen] + beyond * pitch * normal) / spacing
    other = _nearest_other(labels, label, place, spacing)
    joined = face_neighbours(labels, label)
    known, which = np.unique(np.concatenate([joined, other[other > 0]]), return_inverse=True)
    area: Floats = surface.area[chosen][other > 0]
    areas = np.bincount(which[len(which) - len(area) :], area, len(known)).astype(np.float64)
    return _near(labels, label, known, areas, np.isin(known, joined))


def near_without_surface(labels: NDArray[np.uint32], label: int) -> list[NearParticle]:
    """Particles that share a voxel face with one whose surface is not measured; `labels` as in `near_particles`."""
    known = face_neighbours(labels, label)
    return _near(labels, label, known, np.full(len(known), np.nan), np.ones(len(known), np.bool_))


def _near(
    labels: NDArray[np.uint32],
    label: int,
    known: NDArray[Any],
    areas: NDArray[np.float64],
    joined: NDArray[np.bool_],
) -> list[NearParticle]:
    """What is known of the particles near one, by label."""
    if not len(known):
        return []
    close = map(tuple, closeness(labels, label, known).tolist())
    return [NearParticle(*one) for one in zip(known.tolist(), areas.tolist(), joined.tolist(), close, strict=True)]


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


def contact_pairs(
    near: Mapping[int, Iterable[NearParticle]],
    measured: Collection[int],
    volume: Mapping[int, float],
    spacing: Spacing,
) -> ContactPairs:
    """Pairs of touching particles, from what each one is near.

    Parameters
    ----------
    near
        For each particle those near it.
    measured
        Labels of the particles whose surface was measured.
    volume
        Volume of each particle in micrometer^3.
    spacing
        Voxel size (z, y, x) in micrometers.

    Returns
    -------
    ContactPairs
        Each pair once, with the mean of its areas on both sides.
    """
    sides: dict[tuple[int, int], dict[int, NearParticle]] = {}
    for label, others in near.items():
        for one in others:
            sides.setdefault((min(label, one.label), max(label, one.label)), {})[label] = one
    # where no two share a face, a watershed has left lines between all that touch
    lines = not any(one.joined for others in near.values() for one in others)
    touching = [pair for pair in sorted(sides) if lines or not _apart(pair, sides[pair].values(), volume, spacing)]
    a, b = np.array(touching, np.uint32).reshape(-1, 2).T
    return ContactPairs(a, b, np.array([_mean_area(pair, sides[pair], measured) for pair in touching], np.float64))


def _mean_area(pair: tuple[int, int], sides: Mapping[int, NearParticle], measured: Collection[int]) -> float:
    """Mean of the areas of a contact on the measured surfaces."""
    known = [sides[label].area if label in sides else 0.0 for label in pair if label in measured]
    return sum(known) / len(known) if known else math.nan


def _apart(pair: tuple[int, int], sides: Iterable[NearParticle], volume: Mapping[int, float], spacing: Spacing) -> bool:
    """Whether two particles whose surfaces are near have a gap."""
    voxel = float(np.prod(spacing)) ** (1 / 3)
    first, second = ((3 * volume[label] / (4 * math.pi)) ** (1 / 3) for label in pair)
    if min(first, second) < SMALLEST_BALL * voxel or all(math.isnan(one.area) for one in sides):
        return False
    close = np.max([one.close for one in sides], axis=0)
    return ball_gap(close, reduced_radius(first, second), spacing) > TOUCHING * voxel


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
