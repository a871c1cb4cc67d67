"""Sums over the voxels of every particle, which add up over blocks.

Everything is summed in int64, grey values in fixed point, so that the order of the blocks cannot change a bit. Rows of
two blocks of one particle merge by adding sums and widening boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomostat.kernels.arrays import Ints
from tomostat.phase import Phase

PHASES = len(Phase)
"""Number of phase codes."""

ACTIVE = int(Phase.ACTIVE)
"""Phase code of the active material, whose grey values are summed."""

OTHER, BORDER = PHASES, PHASES + 1
"""Kinds of face beyond the five phases: onto another particle, onto the edge of the volume."""

FACE_KINDS = PHASES + 2

COUNT, FIRST, SECOND, GREY, SQUARE, GREY_COUNT, FACES = 0, 1, 4, 10, 11, 12, 13
"""Columns of the sums: voxels; z y x; zz yy xx zy zx yx; grey and grey^2 over the active voxels with a value, their
number; faces per axis and kind."""

COLUMN_COUNT = FACES + 3 * FACE_KINDS

LARGEST = 1 << 15
"""Longest axis in voxels for which no sum of squares can overflow."""

CLIP = float(1 << 19)
"""Largest fixed-point grey value."""


@dataclass(frozen=True)
class Moments:
    """Sums of the particles in a block, or in a whole volume.

    Attributes
    ----------
    label
        (n,) uint32, ascending.
    sums
        (n, COLUMN_COUNT) int64; voxel indices count from the first voxel of the volume.
    low, high
        (n, 3) int64: the particle's box is ``low <= voxel < high``.
    """

    label: NDArray[np.uint32]
    sums: Ints
    low: Ints
    high: Ints

    def __len__(self) -> int:
        return len(self.label)

    @property
    def faces(self) -> Ints:
        """Faces by axis and kind, (n, 3, FACE_KINDS)."""
        return self.sums[:, FACES:].reshape(-1, 3, FACE_KINDS)


@dataclass(frozen=True)
class FixedPoint:
    """Grey values as integers: ``rint((grey - offset) * scale)``.

    Attributes
    ----------
    offset, scale
        Must not depend on the block. Integer grey values keep 0 and 1 and so lose nothing.
    """

    offset: float = 0.0
    scale: float = 1.0

    @classmethod
    def of_range(cls, low: float, high: float) -> FixedPoint:
        """One part in 32768 of a grey range; a constant image gets one grey value."""
        return cls(low, 32768.0 / (high - low)) if high > low else cls(low, 1.0)


@njit(cache=True, nogil=True)
def _row_of(keys: Ints, rows: Ints, label: int, used: int) -> int:
    """Row of a label in an open hash table; a new label gets row `used`."""
    size = len(keys)
    at = (label * 2654435761) & (size - 1)
    while keys[at] != label:
        if keys[at] < 0:
            keys[at], rows[at] = label, used
            return used
        at = (at + 1) & (size - 1)
    return rows[at]


@njit(cache=True, nogil=True)
def _add_run(row: Ints, z: int, y: int, a: int, b: int) -> None:
    """Add the voxels a <= x < b of one line."""
    n = b - a
    x1 = (a + b - 1) * n // 2
    x2 = (b - 1) * b * (2 * b - 1) // 6 - (a - 1) * a * (2 * a - 1) // 6
    row[COUNT] += n
    row[FIRST] += n * z
    row[FIRST + 1] += n * y
    row[FIRST + 2] += x1
    row[SECOND] += n * z * z
    row[SECOND + 1] += n * y * y
    row[SECOND + 2] += x2
    row[SECOND + 3] += n * z * y
    row[SECOND + 4] += z * x1
    row[SECOND + 5] += y * x1


@njit(cache=True, nogil=True)
def _widen(low: Ints, high: Ints, z: int, y: int, a: int, b: int) -> None:
    low[0], high[0] = min(low[0], z), max(high[0], z + 1)
    low[1], high[1] = min(low[1], y), max(high[1], y + 1)
    low[2], high[2] = min(low[2], a), max(high[2], b)


@njit(cache=True, nogil=True)
def _add_grey(row: Ints, grey: NDArray[Any], whole: bool, offset: float, scale: float) -> None:
    """Add the grey values of a run: as they are where they are integers, else in fixed point, NaN left out."""
    total, square, count = np.int64(0), np.int64(0), np.int64(0)
    if whole:
        for value in grey:
            q = np.int64(value)
            total += q
            square += q * q
        count = np.int64(len(grey))
    else:
        for value in grey:
            known = value == value
            scaled = (value - offset) * scale if known else 0.0
            q = np.int64(np.rint(min(max(scaled, -CLIP), CLIP)))
            total += q
            square += q * q
            count += np.int64(known)
    row[GREY] += total
    row[SQUARE] += square
    row[GREY_COUNT] += count


@njit(cache=True, nogil=True)
def _add_active(
    row: Ints, grey: NDArray[Any], phases: NDArray[np.uint8], whole: bool, offset: float, scale: float
) -> None:
    """Add the grey values of the active voxels of a run."""
    start = 0
    for x in range(1, len(phases) + 1):
        if x == len(phases) or phases[x] != phases[start]:
            if phases[start] == ACTIVE:
                _add_grey(row, grey[start:x], whole, offset, scale)
            start = x


@njit(cache=True, nogil=True)
def _add_faces(
    row: Ints, labels: NDArray[np.uint32], phases: NDArray[np.uint8], z: int, y: int, a: int, b: int
) -> None:
    """Count the faces of the run a <= x < b by axis and by what lies behind; the array's edge is the volume's."""
    nz, ny, nx = labels.shape
    label = labels[z, y, a]
    for k in range(4):
        axis = k // 2
        side = 2 * (k % 2) - 1
        zk, yk = (z + side, y) if axis == 0 else (z, y + side)
        at = FACES + axis * FACE_KINDS
        if not (0 <= zk < nz and 0 <= yk < ny):
            row[at + BORDER] += b - a
            continue
        beside = labels[zk, yk]
        for x in range(a, b):
            if beside[x] != label:
                row[at + (OTHER if beside[x] else phases[zk, yk, x])] += 1
    at = FACES + 2 * FACE_KINDS
    for x in (a - 1, b):
        if not 0 <= x < nx:
            row[at + BORDER] += 1
        elif labels[z, y, x] != label:  # else the run goes on in the next block
            row[at + (OTHER if labels[z, y, x] else phases[z, y, x])] += 1


@njit(cache=True, nogil=True)
def _scan(
    labels: NDArray[np.uint32],
    grey: NDArray[Any],
    phases: Any,
    first: Ints,
    stop: Ints,
    whole: bool,
    offset: float,
    scale: float,
    keys: Ints,
    rows: Ints,
    names: NDArray[np.uint32],
    sums: Ints,
    low: Ints,
    high: Ints,
) -> int:
    """Sum over the core, run by run along x. Returns the number of labels, or -1 where the table is too small."""
    used = 0
    for z in range(first[0], stop[0]):
        for y in range(first[1], stop[1]):
            line = labels[z, y]
            x = first[2]
            while x < stop[2]:
                label = line[x]
                a = x
                x += 1
                while x < stop[2] and line[x] == label:
                    x += 1
                if label == 0:
                    continue
                at = _row_of(keys, rows, np.int64(label), used)
                if at == used:
                    if used == len(names):
                        return -1
                    names[at] = label
                    used += 1
                row = sums[at]
                _add_run(row, z, y, a, x)
                _widen(low[at], high[at], z, y, a, x)
                if phases is None:
                    _add_grey(row, grey[z, y, a:x], whole, offset, scale)
                else:
                    _add_active(row, grey[z, y, a:x], phases[z, y, a:x], whole, offset, scale)
                    _add_faces(row, labels, phases, z, y, a, x)
    return used


def _shift(sums: Ints, by: Sequence[int]) -> None:
    """Move first and second moments to another origin, exactly."""
    n = sums[:, COUNT].copy()
    old = sums[:, FIRST : FIRST + 3].copy()
    for k, (i, j) in enumerate(((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))):
        sums[:, SECOND + k] += old[:, i] * by[j] + old[:, j] * by[i] + n * (by[i] * by[j])
    for i in range(3):
        sums[:, FIRST + i] += n * by[i]


def block_moments(
    labels: NDArray[np.uint32],
    grey: NDArray[Any],
    phases: NDArray[np.uint8] | None = None,
    *,
    origin: Sequence[int] = (0, 0, 0),
    core: tuple[slice, ...] | None = None,
    fixed: FixedPoint | None = None,
) -> Moments:
    """Sum up one block.

    Parameters
    ----------
    labels, grey, phases
        (z, y, x) of one shape. For faces they reach one voxel beyond the core wherever the volume goes on there.
        Without phases all voxels of a particle count as active, and faces are not counted.
    origin
        Index in the volume of the arrays' first voxel.
    core
        The block itself within the arrays; all of them when not given.
    fixed
        How grey values become integers; integer grey values are kept and floats rounded when not given.

    Returns
    -------
    Moments
        One row per label in the core.

    Raises
    ------
    ValueError
        When shapes differ, a phase code is unknown or the volume is too long for exact sums.
    """
    _check(labels, grey, phases, origin)
    box = core or tuple(slice(0, n) for n in labels.shape)
    first = np.array([s.start for s in box], np.int64)
    stop = np.array([s.stop for s in box], np.int64)
    whole = fixed is None and grey.dtype.kind in "ui"
    scaling = fixed or FixedPoint()
    size, used = 512, -1
    while used < 0:
        size *= 2
        keys, rows = np.full(2 * size, -1, np.int64), np.zeros(2 * size, np.int64)
        names = np.zeros(size, np.uint32)
        sums = np.zeros((size, COLUMN_COUNT), np.int64)
        low, high = np.full((size, 3), LARGEST, np.int64), np.zeros((size, 3), np.int64)
        used = _scan(
            labels, grey, phases, first, stop, whole, scaling.offset, scaling.scale,
            keys, rows, names, sums, low, high,
        )  # fmt: skip
    order = np.argsort(names[:used])
    sums = sums[:used][order]
    _shift(sums, [int(n) for n in origin])
    return Moments(names[:used][order], sums, low[:used][order] + origin, high[:used][order] + origin)


def _check(
    labels: NDArray[np.uint32], grey: NDArray[Any], phases: NDArray[np.uint8] | None, origin: Sequence[int]
) -> None:
    if labels.ndim != 3 or labels.shape != grey.shape or (phases is not None and phases.shape != labels.shape):
        given = [a.shape for a in (labels, grey, phases) if a is not None]
        raise ValueError(f"labels, grey and phases have shapes {given}; expected one 3D shape")
    if max(np.add(labels.shape, origin)) > LARGEST:
        raise ValueError(f"the block ends at voxel {max(np.add(labels.shape, origin))}; sums are exact up to {LARGEST}")
    if phases is not None and phases.size and phases.max() >= PHASES:
        raise ValueError(f"phases hold code {phases.max()}; expected codes below {PHASES}")


def merge_moments(parts: Sequence[Moments]) -> Moments:
    """Merge the rows of several blocks; any order gives the same bits."""
    parts = [part for part in parts if len(part)]
    if not parts:
        no_box = np.zeros((0, 3), np.int64)
        return Moments(np.zeros(0, np.uint32), np.zeros((0, COLUMN_COUNT), np.int64), no_box, no_box)
    label = np.concatenate([part.label for part in parts])
    order = np.argsort(label, kind="stable")
    label = label[order]
    start = np.flatnonzero(np.diff(label, prepend=label[:1] + np.uint32(1)) != 0)
    return Moments(
        label[start],
        np.add.reduceat(np.concatenate([part.sums for part in parts])[order], start, axis=0),
        np.minimum.reduceat(np.concatenate([part.low for part in parts])[order], start, axis=0),
        np.maximum.reduceat(np.concatenate([part.high for part in parts])[order], start, axis=0),
    )


def centroids(moments: Moments, spacing: Sequence[float]) -> NDArray[np.float64]:
    """Centres of gravity, (n, 3) float64, micrometers from the centre of the volume's first voxel."""
    n = moments.sums[:, COUNT, None]
    whole, rest = np.divmod(moments.sums[:, FIRST : FIRST + 3], n)
    return (whole + rest / n) * np.asarray(spacing)


def covariances(moments: Moments, spacing: Sequence[float]) -> NDArray[np.float64]:
    """Covariance of the position within each particle, (n, 3, 3) float64, micrometer^2.

    Each voxel counts as a solid brick (spacing^2 / 12 on the diagonal), so that one voxel has the covariance of a box.
    """
    size = np.asarray(spacing, np.float64)
    sums = moments.sums.copy()
    n = sums[:, COUNT]
    # the box's own corner as origin, in integers: floats would cancel
    for i in range(len(sums)):
        _shift(sums[i : i + 1], [-int(v) for v in moments.low[i]])
    mean = sums[:, FIRST : FIRST + 3] / n[:, None]
    out = np.empty((len(sums), 3, 3))
    for k, (i, j) in enumerate(((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))):
        value = sums[:, SECOND + k] / n - mean[:, i] * mean[:, j] + (1 / 12 if i == j else 0)
        out[:, i, j] = out[:, j, i] = value * size[i] * size[j]
    return out


def grey_statistics(moments: Moments, fixed: FixedPoint | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean and standard deviation of the grey values, (n,) float64 each; NaN without any."""
    scaling = fixed or FixedPoint()
    n = np.where(moments.sums[:, GREY_COUNT] > 0, moments.sums[:, GREY_COUNT], np.nan)
    mean = moments.sums[:, GREY] / n
    variance = moments.sums[:, SQUARE] / n - mean**2
    return mean / scaling.scale + scaling.offset, np.sqrt(np.maximum(variance, 0)) / scaling.scale
