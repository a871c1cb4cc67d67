"""Final masks of particles slice by slice: detections, interpolated slices, and masks divided between particles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tomostat.instances import Instances
from tomostat.stitch.kernels.tracks import BLOCKED


class Kind(IntEnum):
    """Where a mask comes from."""

    DETECTED = 0
    FILLED = 1  # interpolated over a slice in which the particle was missed
    DIVIDED = 2  # part of a detection that covers several particles


@dataclass(frozen=True, eq=False)
class Masks:
    """Masks of particles.

    Attributes
    ----------
    instances
        The masks, ordered by slice.
    particle
        Particle of each mask, (n,) uint32, positive.
    kind
        `Kind` codes, (n,) uint8.
    """

    instances: Instances
    particle: NDArray[np.uint32]
    kind: NDArray[np.uint8]

    def to_table(self) -> pa.Table:
        """The masks as an Arrow table."""
        table = self.instances.to_table().drop_columns(["id"])
        return table.append_column("particle", pa.array(self.particle)).append_column("kind", pa.array(self.kind))

    @classmethod
    def from_table(cls, table: pa.Table, shape: tuple[int, int]) -> Masks:
        """Masks from an Arrow table."""
        columns = (table[name].to_numpy() for name in ("particle", "kind"))
        return cls(Instances.from_table(table, shape), *columns)


@dataclass
class Layer:
    """One slice in the making: who owns its pixels, and what is drawn over that.

    Attributes
    ----------
    owner
        Row in `instances` plus 1 of every pixel, 0 where free, (ny, nx) int32.
    rows, particle
        Instances of the slice (rows in the whole) and their particles, 0 for none.
    drawn
        Particles drawn over free pixels or divided instances, (ny, nx) int32.
    best
        Largest signed distance drawn so far, (ny, nx) float32.
    divided
        Instances that are replaced by what is drawn.
    """

    owner: NDArray[np.int32]
    rows: NDArray[np.int64]
    particle: NDArray[np.uint32]
    drawn: NDArray[np.int32]
    best: NDArray[np.float32]
    divided: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Shape:
    """Signed distance of a mask's edge, positive inside, on a box of the slice.

    Attributes
    ----------
    box
        Rows and columns.
    depth
        Pixels to the edge, float32.
    """

    box: tuple[slice, slice]
    depth: NDArray[np.float32]


def final_masks(instances: Instances, particle: NDArray[np.uint32], slices: range, gap: int) -> Masks:
    """Masks of all particles in some slices.

    Parameters
    ----------
    instances
        Detections of these slices and of ``gap + 1`` slices around them.
    particle
        Particle of each, (n,) uint32, 0 for none.
    slices
        Slices wanted.
    gap
        Largest number of missing slices that are filled.
    """
    places = Places(instances, particle)
    fills = _missing(instances.slice, particle, slices, gap)
    parts = []
    for z in slices:
        rows = np.arange(*np.searchsorted(instances.slice, [z, z + 1]))
        if z not in fills:
            rows = rows[particle[rows] > 0]
            parts.append(Masks(instances.take(rows), particle[rows], np.zeros(len(rows), np.uint8)))
        else:
            parts.append(_draw_slice(places, z, rows, fills[z], gap))
    return _concatenate(parts, instances.shape)


class Places:
    """Finds the sections of a particle by slice.

    Parameters
    ----------
    instances, particle
        Detections and the particle of each.
    """

    def __init__(self, instances: Instances, particle: NDArray[np.uint32]) -> None:
        self.instances = instances
        self.particle = particle
        self._rows: dict[tuple[int, int], list[int]] = {}
        for row in np.flatnonzero(particle):
            self._rows.setdefault((int(particle[row]), int(instances.slice[row])), []).append(int(row))

    def predict(self, particle: int, z: int, gap: int) -> Shape | None:
        """Expected shape of a particle in a slice, from the nearest sections on both sides, or on one."""
        near = []
        for step in (-1, 1):
            found = (m for m in range(z + step, z + step * (gap + 2), step) if (particle, m) in self._rows)
            if (at := next(found, None)) is not None:
                near.append(at)
        shapes = [mask_depth(self.instances, self._rows[particle, at]) for at in near]
        if len(shapes) == 2:
            return blend(shapes[0], shapes[1], (z - near[0]) / (near[1] - near[0]))
        return shapes[0] if shapes else None


def mask_depth(instances: Instances, rows: Iterable[int]) -> Shape:
    """Signed distance to the edge of the union of some masks, in pixels, positive inside."""
    rows = list(rows)
    boxes = instances.box[rows]
    (y0, x0), (y1, x1) = boxes[:, :2].min(0) - 1, boxes[:, 2:].max(0) + 1
    mask = np.zeros((y1 - y0, x1 - x0), np.bool_)
    for row in rows:
        runs = slice(*instances.offset[row : row + 2])
        _paint_runs(mask, instances.run_start[runs], instances.run_length[runs], instances.shape[1], y0, x0)
    return Shape((slice(int(y0), int(y1)), slice(int(x0), int(x1))), _signed_distance(mask))


@numba.njit(cache=True, nogil=True)
def _paint_runs(mask, start, length, nx, y0, x0):  # type: ignore[no-untyped-def]
    """Set the runs of one instance in a window of the slice that holds them all."""
    for run in range(len(start)):
        y, x = start[run] // nx - y0, start[run] % nx - x0
        mask[y, x : x + length[run]] = True


@numba.njit(cache=True, nogil=True)
def _signed_distance(mask):  # type: ignore[no-untyped-def]
    """Exact distance to the nearest pixel of the other kind, negative outside: rows first, then along columns.

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


def blend(first: Shape, second: Shape, weight: float) -> Shape:
    """Shape between two: the mean of their signed distances, `weight` of the second."""
    box = tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first.box, second.box, strict=True))
    y, x = (np.arange(part.start, part.stop) for part in box)
    depths = [_depth_at(shape, y[:, None], x[None, :]) for shape in (first, second)]
    return Shape(box, (1 - weight) * depths[0] + weight * depths[1])  # type: ignore[arg-type]


def _missing(slices: NDArray[np.int32], particle: NDArray[np.uint32], wanted: range, gap: int) -> dict[int, list[int]]:
    """Particles to be filled in, by slice: those seen below and above, at most `gap` slices apart."""
    seen = np.unique(np.stack([particle, slices], 1)[particle > 0].astype(np.int64), axis=0)
    step = np.diff(seen[:, 1])
    breaks = np.flatnonzero((np.diff(seen[:, 0]) == 0) & (step > 1) & (step <= gap + 1))
    fills: dict[int, list[int]] = {}
    for at in breaks:
        for z in range(seen[at, 1] + 1, seen[at + 1, 1]):
            if z in wanted:
                fills.setdefault(int(z), []).append(int(seen[at, 0]))
    return fills


def _draw_slice(places: Places, z: int, rows: NDArray[np.int64], missing: list[int], gap: int) -> Masks:
    """Masks of a slice in which some particles are missing."""
    ny, nx = places.instances.shape
    held = np.append(False, places.particle[rows] > 0)
    owner = places.instances.labels(z)
    layer = Layer(
        owner=np.where(held[owner], owner, 0),  # detections of no particle leave room
        rows=rows,
        particle=places.particle[rows],
        drawn=np.zeros((ny, nx), np.int32),
        best=np.zeros((ny, nx), np.float32),
    )
    shapes = {number: shape for number in missing if (shape := places.predict(number, z, gap)) is not None}
    for row, claimants in _shared_instances(layer, shapes, places.instances.area[rows]).items():
        _divide(places, layer, z, row, {number: shapes[number] for number in claimants}, gap)
    for number, shape in shapes.items():
        _fill(layer, number, _clip(shape, (ny, nx)))
    return _as_masks(places.instances, layer, z)


def _clip(shape: Shape, size: tuple[int, int]) -> Shape:
    """The part of a shape inside the slice."""
    inner = tuple(slice(max(-s.start, 0), min(s.stop, n) - s.start) for s, n in zip(shape.box, size, strict=True))
    box = tuple(slice(max(s.start, 0), min(s.stop, n)) for s, n in zip(shape.box, size, strict=True))
    return Shape(box, shape.depth[inner])  # type: ignore[arg-type]


def _shared_instances(layer: Layer, shapes: dict[int, Shape], area: NDArray[np.int32]) -> dict[int, list[int]]:
    """Instances (rows of the layer) that hold half of a missing particle's expected shape, and those particles."""
    shared: dict[int, list[int]] = {}
    for number, shape in shapes.items():
        inside = _clip(shape, layer.owner.shape)
        under = layer.owner[inside.box][inside.depth > 0]
        counts = np.bincount(under, minlength=1)
        counts[0] = 0
        row = int(counts.argmax()) - 1
        # an instance that is mostly this shape is another particle's own; it is not divided
        mostly = row >= 0 and counts[row + 1] >= BLOCKED * area[row]
        if row >= 0 and counts[row + 1] >= BLOCKED * len(under) and not mostly:
            shared.setdefault(row, []).append(number)
    return shared


def _divide(places: Places, layer: Layer, z: int, row: int, claims: dict[int, Shape], gap: int) -> None:
    """Divide an instance among particles: each pixel goes to the one inside whose expected shape it lies deepest."""
    own = int(layer.particle[row])
    shape = places.predict(own, z, gap)
    if shape is None:
        return  # nothing tells where the particle itself ends
    claims = claims | {own: shape}
    ys, xs = np.nonzero(layer.owner == row + 1)
    depths = np.stack([_depth_at(claims[number], ys, xs) for number in sorted(claims)])
    layer.drawn[ys, xs] = np.array(sorted(claims))[depths.argmax(0)]
    layer.divided.add(row)


def _depth_at(shape: Shape, ys: NDArray[np.int64], xs: NDArray[np.int64]) -> NDArray[np.float32]:
    """Signed distance at some pixels; beyond its own box it falls by the distance to that."""
    (y0, x0), (ny, nx) = (s.start for s in shape.box), shape.depth.shape
    y, x = np.clip(ys - y0, 0, ny - 1), np.clip(xs - x0, 0, nx - 1)
    away: NDArray[np.float32] = np.hypot((ys - y0 - y).astype(np.float32), (xs - x0 - x).astype(np.float32))
    return shape.depth[y, x] - away


def _fill(layer: Layer, number: int, shape: Shape) -> None:
    """Draw a missing particle on free pixels; where two meet, the deeper one wins."""
    drawn, best = layer.drawn[shape.box], layer.best[shape.box]
    better = (layer.owner[shape.box] == 0) & (shape.depth > best)
    drawn[better] = number
    best[better] = shape.depth[better]


def _as_masks(instances: Instances, layer: Layer, z: int) -> Masks:
    """What became of a slice."""
    keep = [i for i in range(len(layer.rows)) if layer.particle[i] > 0 and i not in layer.divided]
    parts = [Masks(instances.take(layer.rows[keep]), layer.particle[keep], np.zeros(len(keep), np.uint8))]
    kinds = [(Kind.FILLED, layer.owner == 0)] + [(Kind.DIVIDED, layer.owner > 0)] * bool(layer.divided)
    for kind, where in kinds:
        image = np.where(where, layer.drawn, 0)
        made = Instances.from_labels(image, z)
        number = image.reshape(-1)[made.run_start[made.offset[:-1]]].astype(np.uint32)
        parts.append(Masks(made, number, np.full(len(made), kind, np.uint8)))
    return _concatenate(parts, instances.shape)


def _concatenate(parts: list[Masks], shape: tuple[int, int]) -> Masks:
    """Join masks of rising slices."""
    parts = [Masks(Instances.empty(shape), np.zeros(0, np.uint32), np.zeros(0, np.uint8)), *parts]
    instances = Instances.concatenate(part.instances for part in parts)
    return Masks(instances, *(np.concatenate([getattr(part, name) for part in parts]) for name in ("particle", "kind")))
