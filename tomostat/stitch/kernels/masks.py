"""Final masks of particles slice by slice: detections, missed masks interpolated, shared masks divided."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tomostat.instances import Instances
from tomostat.stitch.kernels.fused_ends import FusedMask, find_fused_ends
from tomostat.stitch.kernels.interpolation import SectionFinder, SignedDistance
from tomostat.stitch.kernels.tracks import BLOCKED


class MaskKind(IntEnum):
    """Where a mask comes from."""

    DETECTED = 0
    FILLED = 1  # interpolated in a slice in which the particle was missed
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
        `MaskKind` codes, (n,) uint8.
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
class _SliceDrawing:
    """One slice while its masks are drawn.

    Attributes
    ----------
    owner
        Rank of the instance that covers a pixel plus 1, 0 where there is none, (ny, nx) int32.
    indices, particle
        Instances of the slice (indices into all instances) and their particles, 0 for none, (n,).
    drawn
        Particles drawn over free pixels or over divided instances, (ny, nx) int32.
    best
        Largest signed distance drawn so far, (ny, nx) float32.
    divided
        Ranks of instances that are replaced by what is drawn.
    """

    owner: NDArray[np.int32]
    indices: NDArray[np.int64]
    particle: NDArray[np.uint32]
    drawn: NDArray[np.int32]
    best: NDArray[np.float32]
    divided: set[int] = field(default_factory=set)


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
    finder = SectionFinder(instances, particle)
    missing = _missing(finder, slices, gap)
    fused = find_fused_ends(finder, slices, gap)
    parts = []
    for z in slices:
        indices = np.arange(*np.searchsorted(instances.slice, [z, z + 1]))
        if z not in missing and fused.keys().isdisjoint(indices.tolist()):
            indices = indices[particle[indices] > 0]
            parts.append(Masks(instances.take(indices), particle[indices], np.zeros(len(indices), np.uint8)))
        else:
            parts.append(_draw_slice(finder, z, indices, missing.get(z, []), fused, gap))
    return _concatenate(parts, instances.shape)


def _missing(finder: SectionFinder, wanted: range, gap: int) -> dict[int, list[int]]:
    """Particles to be filled in, by slice: those with sections on both sides that are at most `gap` slices apart."""
    seen = finder.seen
    step = np.diff(seen[:, 1])
    breaks = np.flatnonzero((np.diff(seen[:, 0]) == 0) & (step > 1) & (step <= gap + 1))
    missing: dict[int, list[int]] = {}
    for at in breaks:
        for z in range(seen[at, 1] + 1, seen[at + 1, 1]):
            if z in wanted:
                missing.setdefault(int(z), []).append(int(seen[at, 0]))
    return missing


def _draw_slice(
    finder: SectionFinder,
    z: int,
    indices: NDArray[np.int64],
    missing: list[int],
    fused: dict[int, FusedMask],
    gap: int,
) -> Masks:
    """Masks of a slice in which some particles are missing, or end in the mask of another."""
    instances = finder.instances
    ny, nx = instances.shape
    of_particle = np.append(False, finder.particle[indices] > 0)
    owner = instances.labels(z)
    drawing = _SliceDrawing(
        owner=np.where(of_particle[owner], owner, 0),  # detections of no particle leave their pixels free
        indices=indices,
        particle=finder.particle[indices],
        drawn=np.zeros((ny, nx), np.int32),
        best=np.zeros((ny, nx), np.float32),
    )
    expected = {number: section for number in missing if (section := finder.predict(number, z, gap)) is not None}
    sections: dict[int, dict[int, SignedDistance]] = {}
    for rank, sharing in _shared_instances(drawing, expected, instances.area[indices]).items():
        # without other sections of the particle itself there is nothing to divide by
        if (own := finder.predict(int(drawing.particle[rank]), z, gap)) is not None:
            sections[rank] = {int(drawing.particle[rank]): own} | {number: expected[number] for number in sharing}
    for rank, i in enumerate(indices.tolist()):
        if i in fused:
            sections[rank] = sections.get(rank, {}) | fused[i].parts
    for rank in sections:
        _divide(drawing, rank, sections[rank])
    for number, section in expected.items():
        _fill(drawing, number, section.clip((ny, nx)))
    return _as_masks(instances, drawing, z)


def _shared_instances(
    drawing: _SliceDrawing, expected: dict[int, SignedDistance], area: NDArray[np.int32]
) -> dict[int, list[int]]:
    """Instances (by rank) that cover half of the expected section of a missing particle, and these particles."""
    shared: dict[int, list[int]] = {}
    for number, section in expected.items():
        clipped = section.clip(drawing.owner.shape)
        covered = drawing.owner[clipped.box][clipped.depth > 0]
        counts = np.bincount(covered, minlength=1)
        counts[0] = 0
        rank = int(counts.argmax()) - 1
        # an instance that is mostly this section is another particle's own; it is not divided
        mostly = rank >= 0 and counts[rank + 1] >= BLOCKED * area[rank]
        if rank >= 0 and counts[rank + 1] >= BLOCKED * len(covered) and not mostly:
            shared.setdefault(rank, []).append(number)
    return shared


def _divide(drawing: _SliceDrawing, rank: int, sections: dict[int, SignedDistance]) -> None:
    """Divide an instance: each pixel goes to the particle in whose expected section it lies deepest."""
    ys, xs = np.nonzero(drawing.owner == rank + 1)
    depths = np.stack([sections[number].at(ys, xs) for number in sorted(sections)])
    drawing.drawn[ys, xs] = np.array(sorted(sections))[depths.argmax(0)]
    drawing.divided.add(rank)


def _fill(drawing: _SliceDrawing, number: int, section: SignedDistance) -> None:
    """Draw a missing particle on free pixels; where two meet, each pixel goes to the one in which it lies deeper."""
    drawn, best = drawing.drawn[section.box], drawing.best[section.box]
    better = (drawing.owner[section.box] == 0) & (section.depth > best)
    drawn[better] = number
    best[better] = section.depth[better]


def _as_masks(instances: Instances, drawing: _SliceDrawing, z: int) -> Masks:
    """Masks of a drawn slice: detections that were kept, and what was drawn."""
    keep = [i for i in range(len(drawing.indices)) if drawing.particle[i] > 0 and i not in drawing.divided]
    parts = [Masks(instances.take(drawing.indices[keep]), drawing.particle[keep], np.zeros(len(keep), np.uint8))]
    kinds = [(MaskKind.FILLED, drawing.owner == 0)]
    if drawing.divided:
        kinds.append((MaskKind.DIVIDED, drawing.owner > 0))
    for kind, where in kinds:
        image = np.where(where, drawing.drawn, 0)
        drawn = Instances.from_labels(image, z)
        number = image.reshape(-1)[drawn.run_start[drawn.offset[:-1]]].astype(np.uint32)
        parts.append(Masks(drawn, number, np.full(len(drawn), kind, np.uint8)))
    return _concatenate(parts, instances.shape)


def _concatenate(parts: list[Masks], shape: tuple[int, int]) -> Masks:
    """Join masks of rising slices."""
    parts = [Masks(Instances.empty(shape), np.zeros(0, np.uint32), np.zeros(0, np.uint8)), *parts]
    instances = Instances.concatenate(part.instances for part in parts)
    return Masks(instances, *(np.concatenate([getattr(part, name) for part in parts]) for name in ("particle", "kind")))
