"""Shape-based interpolation: the mask between two masks, from the mean of their signed distances.

After Raya and Udupa, IEEE Transactions on Medical Imaging 9, 32 (1990).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np
from numpy.typing import NDArray

from tomostat.instances import Instances


@dataclass(frozen=True)
class SignedDistance:
    """Signed distance to the edge of a mask, positive inside, in a box of the slice.

    Attributes
    ----------
    box
        Rows and columns of the slice.
    depth
        Pixels to the edge, (rows, columns) float32.
    """

    box: tuple[slice, slice]
    depth: NDArray[np.float32]

    def at(self, ys: NDArray[np.int64], xs: NDArray[np.int64]) -> NDArray[np.float32]:
        """Signed distance at some pixels; outside the box it falls by the distance to the box."""
        (y0, x0), (ny, nx) = (s.start for s in self.box), self.depth.shape
        y, x = np.clip(ys - y0, 0, ny - 1), np.clip(xs - x0, 0, nx - 1)
        away: NDArray[np.float32] = np.hypot((ys - y0 - y).astype(np.float32), (xs - x0 - x).astype(np.float32))
        return self.depth[y, x] - away

    def clip(self, size: tuple[int, int]) -> SignedDistance:
        """The part inside a slice of this size."""
        inner = tuple(slice(max(-s.start, 0), min(s.stop, n) - s.start) for s, n in zip(self.box, size, strict=True))
        box = tuple(slice(max(s.start, 0), min(s.stop, n)) for s, n in zip(self.box, size, strict=True))
        return SignedDistance(box, self.depth[inner])  # type: ignore[arg-type]


def signed_distance(instances: Instances, indices: Iterable[int]) -> SignedDistance:
    """Signed distance to the edge of the union of some masks of one slice.

    Parameters
    ----------
    instances
        Masks.
    indices
        Which of them.
    """
    chosen = list(indices)
    boxes = instances.box[chosen]
    (y0, x0), (y1, x1) = boxes[:, :2].min(0) - 1, boxes[:, 2:].max(0) + 1
    mask = np.zeros((y1 - y0, x1 - x0), np.bool_)
    for i in chosen:
        runs = slice(*instances.offset[i : i + 2])
        _paint_runs(mask, instances.run_start[runs], instances.run_length[runs], instances.shape[1], y0, x0)
    return SignedDistance((slice(int(y0), int(y1)), slice(int(x0), int(x1))), distance_to_edge(mask))


@numba.njit(cache=True, nogil=True)
def _paint_runs(mask, start, length, nx, y0, x0):  # type: ignore[no-untyped-def]
    """Set the runs of one instance in a window of the slice that contains them all."""
    for run in range(len(start)):
        y, x = start[run] // nx - y0, start[run] % nx - x0
        mask[y, x : x + length[run]] = True


@numba.njit(cache=True, nogil=True)
def distance_to_edge(mask):  # type: ignore[no-untyped-def]
    """Exact distance to the nearest pixel of the other kind, negative outside: along rows first, then along columns.

    Masks are small, so the search along a column ends after a few pixels and beats a general transform.
    """
    ny, nx = mask.shape
    row = np.full((2, ny, nx), ny + nx)  # along the row, to the nearest pixel that is outside (0) or inside (1)
    for y in range(ny):
        for kind in range(2):
            near = ny + nx
            for x in range(nx):
                near = 0 if mask[y, x] == kind else near + 1
                row[kind, y, x] = near
            near = ny + nx
            for x in range(nx - 1, -1, -1):
                near = 0 if mask[y, x] == kind else near + 1
                row[kind, y, x] = min(near, row[kind, y, x])
    depth = np.empty((ny, nx), np.float32)
    for y in range(ny):
        for x in range(nx):
            other = row[1 - mask[y, x]]
            best = other[y, x] ** 2
            step = 1
            while step * step < best and (step <= y or y + step < ny):
                if step <= y:
                    best = min(best, step * step + other[y - step, x] ** 2)
                if y + step < ny:
                    best = min(best, step * step + other[y + step, x] ** 2)
                step += 1
            depth[y, x] = np.sqrt(best) if mask[y, x] else -np.sqrt(best)
    return depth


def interpolate(first: SignedDistance, second: SignedDistance, weight: float) -> SignedDistance:
    """Mean of two signed distances, with `weight` (0 to 1) of the second."""
    box = tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first.box, second.box, strict=True))
    y, x = (np.arange(part.start, part.stop) for part in box)
    depths = [distance.at(y[:, None], x[None, :]) for distance in (first, second)]
    return SignedDistance(box, (1 - weight) * depths[0] + weight * depths[1])  # type: ignore[arg-type]


class SectionFinder:
    """Finds the sections of a particle by slice.

    Parameters
    ----------
    instances, particle
        Detections and the particle of each.
    """

    def __init__(self, instances: Instances, particle: NDArray[np.uint32]) -> None:
        self.instances = instances
        self.particle = particle
        self._sections: dict[tuple[int, int], list[int]] = {}
        for i in np.flatnonzero(particle):
            self._sections.setdefault((int(particle[i]), int(instances.slice[i])), []).append(int(i))

    @cached_property
    def seen(self) -> NDArray[np.int64]:
        """Particles and the slices in which they were detected, (k, 2), ordered by both."""
        pairs = np.array(list(self._sections), np.int64).reshape(-1, 2)
        return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]

    def shows(self, particle: int, z: int) -> bool:
        """Whether a particle was detected in a slice."""
        return (particle, z) in self._sections

    def section(self, particle: int, z: int) -> SignedDistance:
        """Section of a particle in a slice in which it was detected."""
        return signed_distance(self.instances, self._sections[particle, z])

    def predict(self, particle: int, z: int, gap: int) -> SignedDistance | None:
        """Expected section of a particle in a slice, from the nearest sections on both sides, or on one."""
        near = []
        for step in (-1, 1):
            found = (m for m in range(z + step, z + step * (gap + 2), step) if self.shows(particle, m))
            if (at := next(found, None)) is not None:
                near.append(at)
        distances = [self.section(particle, at) for at in near]
        if len(distances) == 2:
            return interpolate(distances[0], distances[1], (z - near[0]) / (near[1] - near[0]))
        return distances[0] if distances else None
