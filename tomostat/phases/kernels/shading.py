"""Kernels that estimate a slow additive shading from histograms on a fixed coarse grid of cells.

Each cell tells where the grey peak of each phase lies in it. A peak, unlike a mean, does not move with how much of
the phase is there or with blurred edges. All peaks together are levels of the phases plus one smooth field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import spsolve

from tomostat.blocks import Box, Shape
from tomostat.phases.kernels.counts import Bins, Counts
from tomostat.phases.kernels.thresholds import multi_otsu

MOST_CELLS = 16
"""Most cells along an axis."""
SMALLEST_CELL = 8
"""Fewest voxels of a cell along an axis."""
STIFFNESS = 0.3
"""Weight of the field's second differences: waves shorter than some three cells are damped."""
LEAST_SHARE = 0.1
"""A phase has a peak in a cell when it fills this share of an ordinary cell."""
ROUNDS = 5
REWEIGHTINGS = 6

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Field:
    """A shading field.

    Attributes
    ----------
    cells
        (cz, cy, cx) shading at the middles of the cells, in grey values; its mean over the field of view is 0.
    counts
        (bins,) histogram of the whole volume without its shading.
    """

    cells: Floats
    counts: Counts


def cell_numbers(shape: Sequence[int], spacing: Sequence[float], scale: float) -> Shape:
    """Cells along each axis: three for every length `scale` (micrometers); 0 takes a quarter of each axis."""
    numbers = []
    for n, s in zip(shape, spacing, strict=True):
        wanted = 12 if scale == 0 else round(3 * n * s / scale)
        numbers.append(max(1, min(wanted, MOST_CELLS, n // SMALLEST_CELL)))
    z, y, x = numbers
    return z, y, x


def cell_counts(
    grey: NDArray[np.float32], inside: NDArray[np.bool_] | None, box: Box, shape: Shape, cells: Shape, bins: Bins
) -> tuple[Shape, Counts]:
    """Histograms of the cells that a box touches.

    Parameters
    ----------
    grey, inside
        (nz, ny, nx) grey values and field of view of the box.
    box
        Where the box lies in the volume.
    shape, cells
        Voxels and cells of the volume.

    Returns
    -------
    (z, y, x)
        First cell that the box touches.
    (cz, cy, cx, bins) int64
        Counts of the cells from there on.
    """
    place = [np.arange(s.start, s.stop) * m // n for s, m, n in zip(box, cells, shape, strict=True)]
    first = tuple(int(p[0]) for p in place)
    z, y, x = (p - p[0] for p in place)
    size = int(z[-1]) + 1, int(y[-1]) + 1, int(x[-1]) + 1
    cell = (z[:, None, None] * size[1] + y[:, None]) * size[2] + x
    key = cell * bins.number + bins.index(grey)
    chosen = key.ravel() if inside is None else key[inside]
    counts = np.bincount(chosen, minlength=int(np.prod(size)) * bins.number)
    return first, counts.astype(np.int64).reshape(*size, bins.number)  # type: ignore[return-value]


def fit_shading(counts: Counts, bins: Bins, classes: int) -> Field:
    """Shading field from the histograms of all cells.

    Peak y of phase k in cell c is modelled as level_k + field_c, fitted by least squares with a penalty on the
    field's second differences; peaks that do not fit are weighted down (Tukey's biweight), phases whose peaks scatter
    count less. Cells without a peak are filled smoothly.

    Parameters
    ----------
    counts
        (cz, cy, cx, bins) histograms.
    classes
        Number of well-parted grey classes, 2 or 3.
    """
    cells = counts.shape[:3]
    flat = counts.reshape(-1, bins.number).astype(np.float64)
    mass = flat.sum(axis=1)
    bend = _bending(cells)
    field = np.zeros(len(flat))
    total = _aligned(flat, field)
    for _ in range(ROUNDS if len(flat) > 1 else 0):
        cuts = multi_otsu(total, Bins(0, bins.number, bins.number), classes)
        peaks = _peaks(flat, cuts, field)
        if peaks.size == 0:
            break
        field = _smooth_fit(peaks, bend, field, bins.number)
        field -= np.average(field, weights=mass)
        total = _aligned(flat, field)
    return Field((field * bins.width).reshape(cells), total)


def _aligned(flat: Floats, field: Floats) -> Counts:
    """Sum of the cells' histograms, each moved back by its shading (in bins)."""
    places = np.arange(flat.shape[1])
    moved = np.zeros(flat.shape[1])
    for histogram, shift in zip(flat, field, strict=True):
        if histogram.any():
            moved += np.interp(places + shift, places, histogram, left=0, right=0)
    return np.rint(moved).astype(np.int64)


def _peaks(flat: Floats, cuts: Floats, field: Floats) -> Floats:
    """Grey peaks (n, 4): cell, phase, place in bins, weight."""
    ordinary = np.median(flat.sum(axis=1)[flat.any(axis=1)])
    width = max(0.04 * flat.shape[1] / (len(cuts) + 1), 1.0)
    found = []
    for cell, histogram in enumerate(flat):
        edges = np.clip(np.rint(np.concatenate([[0], cuts + field[cell], [len(histogram)]])), 0, len(histogram))
        for phase, (a, b) in enumerate(zip(edges[:-1].astype(int), edges[1:].astype(int), strict=True)):
            weight = histogram[a:b].sum() / ordinary
            if weight < LEAST_SHARE or b - a < 3:
                continue
            place = a + _mode(histogram[a:b], width)
            inner = [cut for cut in edges[1:-1] if abs(place - cut) < 3 * width]
            if not inner:  # a peak at the cut is the flank of another phase
                found.append((cell, phase, place, weight))
    return np.array(found, dtype=np.float64).reshape(-1, 4)


def _mode(histogram: Floats, width: float) -> float:
    """Place of the highest point of a smoothed histogram, by a parabola through it and its neighbours."""
    smooth = ndimage.gaussian_filter1d(histogram, width, mode="constant")
    i = int(np.argmax(smooth))
    if not 0 < i < len(smooth) - 1:
        return i + 0.5
    before, top, after = smooth[i - 1 : i + 2]
    curve = before - 2 * top + after
    return i + 0.5 + (0.5 * (before - after) / curve if curve < 0 else 0.0)


def _smooth_fit(peaks: Floats, bend: Any, field: Floats, number: int) -> Floats:
    """Field that fits the peaks, by iteratively reweighted least squares."""
    cell, phase = peaks[:, 0].astype(int), peaks[:, 1].astype(int)
    place, mass = peaks[:, 2], peaks[:, 3]
    phases = np.unique(phase)
    levels, spread = np.zeros(phase.max() + 1), np.ones(phase.max() + 1)
    for k in phases:
        levels[k] = np.median((place - field[cell])[phase == k])
    trust = np.ones(len(place))
    still = 1e-6 * sparse.identity(len(field))
    for _ in range(REWEIGHTINGS):
        weight = mass * trust * (spread[phases].min() / spread[phase]) ** 2
        here = np.bincount(cell, weight, len(field))
        pull = np.bincount(cell, weight * (place - levels[phase]), len(field))
        field = spsolve((sparse.diags(here) + STIFFNESS * bend + still).tocsc(), pull)
        for k in phases:
            mine = phase == k
            levels[k] = np.average((place - field[cell])[mine], weights=weight[mine] + 1e-12)
            off = np.abs(place - field[cell] - levels[k])[mine]
            spread[k] = max(1.4826 * np.median(off), 0.002 * number)
        far = (place - field[cell] - levels[phase]) / (4 * spread[phase])
        trust = np.where(np.abs(far) < 1, (1 - far**2) ** 2, 0.0)
    return field


def _bending(cells: Sequence[int]) -> Any:
    """Sum of squared second differences along each axis (first differences where there are only two cells)."""
    total: Any = sparse.csr_matrix((int(np.prod(cells)),) * 2)
    for axis, m in enumerate(cells):
        if m == 1:
            continue
        stencil = [-1.0, 1.0] if m == 2 else [1.0, -2.0, 1.0]
        rows = m - len(stencil) + 1
        along: Any = sparse.diags([np.full(rows, s) for s in stencil], list(range(len(stencil))), shape=(rows, m))
        parts: list[Any] = [sparse.identity(n) for n in cells]
        parts[axis] = along
        steps = sparse.kron(sparse.kron(parts[0], parts[1]), parts[2])
        total = total + steps.T @ steps
    return total.tocsr()


def field_grid(cells: Floats, shape: Shape) -> NDArray[np.float32]:
    """The field at nodes spread evenly from the first to the last voxel, as `tomostat.volume.write_shading` stores it.

    Two nodes per cell and one; linear between the middles of cells, and on beyond the outer ones.
    """
    values = cells
    for axis, n in enumerate(shape):
        m = values.shape[axis]
        if m == 1:
            continue
        place = np.linspace(0, n - 1, 2 * m + 1)
        place = (place + 0.5) * m / n - 0.5
        low = np.clip(np.floor(place).astype(int), 0, m - 2)
        weight = (place - low).reshape([-1 if a == axis else 1 for a in range(3)])
        values = values.take(low, axis) * (1 - weight) + values.take(low + 1, axis) * weight
    return values.astype(np.float32)
