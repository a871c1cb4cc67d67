"""Particles in batches: neighbouring ones are read together, and memory is bounded by that of a large particle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import box_between
from tomostat.measure.particle import ParticleBox
from tomostat.measure.shape.moments import BORDER, COUNT, Moments
from tomostat.volume import Spacing, VolumeInfo, read_box, read_flat

BATCH_VOXELS = 4_000_000
"""Most voxels in the boxes of one batch, and in the box around them, unless a single particle has more."""

READ_BYTES, BYTES_PER_VOXEL = 16, 70
"""Bytes of memory per voxel that is read, and per voxel in the box of the particle that is measured."""

CALIBRATION_PARTICLES, CALIBRATION_VOXELS = 32, 500
"""Number of particles to which a field's layer values are calibrated, and the least number of their voxels."""


@dataclass(frozen=True)
class Batch:
    """Particles that one task measures.

    Attributes
    ----------
    number
        Number of the batch in its field.
    members
        Label, and first and last voxel + 1 of its padded box (2, 3), for each particle.
    whole
        Box around all (2, 3), read once; None where reading each on its own costs less.
    need
        Bytes of memory that measuring the batch takes at most, without `MeasureOptions.conduction`.
    """

    number: int
    members: list[tuple[int, NDArray[np.int64]]]
    whole: NDArray[np.int64] | None
    need: int

    @property
    def key(self) -> str:
        """Key of its tasks."""
        return f"{self.number:06d}"

    @property
    def file(self) -> str:
        """Name of the file with its surface points."""
        return f"{self.key}.parquet"

    @property
    def boxes(self) -> NDArray[np.int64]:
        """Padded boxes of the particles, (n, 2, 3)."""
        return np.array([box for _, box in self.members])

    @classmethod
    def of(cls, number: int, members: list[tuple[int, NDArray[np.int64]]]) -> Batch:
        """Decide how a batch is read."""
        boxes = np.array([box for _, box in members])
        whole = np.stack([boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)])
        sizes = np.prod(boxes[:, 1] - boxes[:, 0], axis=1)
        voxels = int(np.prod(whole[1] - whole[0]))
        once = voxels <= max(BATCH_VOXELS, 2 * int(sizes.max()))
        need = BYTES_PER_VOXEL * int(sizes.max()) + (READ_BYTES * voxels if once else 0)
        return cls(number, members, whole if once else None, need)


def make_batches(moments: Moments, info: VolumeInfo, chosen: NDArray[np.intp], pad: Sequence[int]) -> list[Batch]:
    """Batch the chosen particles by place, so that neighbours are read together; their boxes are widened by `pad`."""
    low = np.maximum(moments.low[chosen] - np.asarray(pad), 0)
    high = np.minimum(moments.high[chosen] + np.asarray(pad), info.shape)
    boxes = np.stack([low, high], axis=1)
    groups = _halve(boxes, np.arange(len(boxes))) if len(boxes) else []
    return [
        Batch.of(number, [(int(moments.label[chosen[i]]), boxes[i]) for i in group])
        for number, group in enumerate(groups)
    ]


def _halve(boxes: NDArray[np.int64], group: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Halve a group of boxes (n, 2, 3) by place along its longest side until each part is a batch (a k-d tree)."""
    sizes = np.prod(boxes[group, 1] - boxes[group, 0], axis=1)
    if len(group) == 1 or sizes.sum() <= BATCH_VOXELS:
        return [group]
    middles = boxes[group].sum(axis=1)
    along = middles[:, np.ptp(middles, axis=0).argmax()]
    order = np.argsort(along, kind="stable")
    before = np.cumsum(sizes[order])
    half = int(np.clip(np.searchsorted(before, before[-1] / 2) + 1, 1, len(group) - 1))
    return [*_halve(boxes, group[order[:half]]), *_halve(boxes, group[order[half:]])]


def calibration_particles(moments: Moments) -> NDArray[np.intp]:
    """Particles to which a field's layer values are calibrated: not cut along y or x, not tiny, evenly spread."""
    whole = moments.faces[:, 1:, BORDER].sum(axis=1) == 0
    usable = np.flatnonzero(whole & (moments.sums[:, COUNT] >= CALIBRATION_VOXELS))
    count = min(CALIBRATION_PARTICLES, len(usable))
    return usable[np.unique(np.linspace(0, len(usable) - 1, count).round().astype(np.intp))]


def read_boxes(path: Path, batch: Batch, spacing: Spacing) -> Iterator[ParticleBox]:
    """Read a batch's particles one by one, in the order of its members."""
    whole = None if batch.whole is None else _read(path, batch.whole)
    for label, corners in batch.members:
        if whole is None or batch.whole is None:
            labels, grey, phases = _read(path, corners)
        else:
            inner = box_between(*(corners - batch.whole[0]))
            labels, grey, phases = (np.ascontiguousarray(image[inner]) for image in whole)
        z, y, x = corners[0].tolist()
        yield ParticleBox(labels, grey, phases, label, spacing, (z, y, x))


def _read(path: Path, corners: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    box = box_between(*corners)
    return read_box(path, box, "particles"), read_flat(path, box), read_box(path, box, "phases")
