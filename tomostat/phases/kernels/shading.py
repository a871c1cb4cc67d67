"""Kernels that estimate a slow additive shading from histograms on a fixed coarse grid of cells.

The histogram of a cell has a peak for each phase in it. The position of a peak, unlike a mean grey value, depends
neither on the amount of the phase in the cell nor on blurred edges. All peaks are fitted by one grey level per phase
plus a smooth shading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg

from tomostat.blocks import Box, Shape
from tomostat.kernels.arrays import Doubles
from tomostat.phases.kernels.counts import Bins, Counts
from tomostat.phases.kernels.thresholds import multi_otsu

MOST_CELLS = 16
"""Largest number of cells along an axis."""
SMALLEST_CELL = 8
"""Fewest voxels of a cell along an axis."""
STIFFNESS = 0.3
"""Weight of the second differences of the shading: variation over less than some three cells is damped."""
LEAST_SHARE = 0.1
"""Least volume of a phase in a cell, as a share of the median cell, from which its peak is used."""
PEAK_WIDTH = 0.04
"""Standard deviation with which histograms are smoothed, as a share of the grey range of a class."""
ROUNDS = 5
"""Repetitions of threshold, peaks and fit."""
REWEIGHTINGS = 6
"""Iterations of the robust fit."""


@dataclass(frozen=True)
class ShadingFit:
    """Shading of a volume.

    Attributes
    ----------
    cells
        (cz, cy, cx) float64 shading at the centres of the cells, in grey values; its mean over the field of view is 0.
    counts
        (bins,) int64 histogram of the whole volume without its shading.
    """

    cells: Doubles
    counts: Counts


def cell_numbers(shape: Sequence[int], spacing: Sequence[float], scale: float) -> Shape:
    """Number of cells along each axis: three per length `scale` (micrometers); 0 takes a quarter of each axis."""
    numbers = []
    for n, s in zip(shape, spacing, strict=True):
        wanted = 12 if scale == 0 else round(3 * n * s / scale)
        numbers.append(max(1, min(wanted, MOST_CELLS, n // SMALLEST_CELL)))
    z, y, x = numbers
    return z, y, x


def cell_counts(
    grey: NDArray[np.float32], in_field: NDArray[np.bool_] | None, box: Box, shape: Shape, cells: Shape, bins: Bins
) -> tuple[Shape, Counts]:
    """Histograms of the cells that a box overlaps.

    Parameters
    ----------
    grey, in_field
        (nz, ny, nx) float32 grey values of the box, and bool voxels in the field of view; all when None.
    box
        Where the box lies in the volume.
    shape, cells
        Voxels and cells of the volume.

    Returns
    -------
    (z, y, x)
        First cell that the box overlaps.
    (cz, cy, cx, bins) int64
        Counts of that cell and the next ones.
    """
    index = [np.arange(s.start, s.stop) * m // n for s, m, n in zip(box, cells, shape, strict=True)]
    first = tuple(int(i[0]) for i in index)
    z, y, x = (i - i[0] for i in index)
    size = int(z[-1]) + 1, int(y[-1]) + 1, int(x[-1]) + 1
    counts = np.zeros((*size, bins.number), np.int64)
    for cell in np.ndindex(size):
        inside = tuple(slice(*np.searchsorted(along, (i, i + 1))) for along, i in zip((z, y, x), cell, strict=True))
        counts[cell] = bins.count(grey[inside], None if in_field is None else in_field[inside])
    return first, counts  # type: ignore[return-value]


def fit_shading(counts: Counts, bins: Bins, classes: int) -> ShadingFit:
    """Fit the shading to the histograms of all cells.

    The position of the peak of phase k in cell c is modelled as level_k + shading_c, fitted by least squares with a
    penalty on the second differences of the shading. Outliers are weighted down (Tukey's biweight, iteratively
    reweighted least squares), and so are phases whose peaks scatter. Cells without a peak are filled smoothly.

    Parameters
    ----------
    counts
        (cz, cy, cx, bins) histograms.
    classes
        Number of grey classes that are well separated, 2 or 3.

    Returns
    -------
    ShadingFit
        Shading of the cells, and the histogram without it.
    """
    cells = counts.shape[:3]
    flat = counts.reshape(-1, bins.number).astype(np.float64)
    mass = flat.sum(axis=1)
    penalty = _second_differences(cells)
    shading = np.zeros(len(flat))
    width = max(PEAK_WIDTH * bins.number / classes, 1.0)
    smoothed = ndimage.gaussian_filter1d(flat, width, axis=1, mode="constant")
    total = _aligned(flat, shading)
    for _ in range(ROUNDS if len(flat) > 1 else 0):
        thresholds = multi_otsu(total, Bins(0, bins.number, bins.number), classes)
        peaks = _peaks(flat, smoothed, width, thresholds, shading)
        if peaks.size == 0:
            break
        shading = _smooth_fit(peaks, penalty, shading, bins.number)
        shading -= np.average(shading, weights=mass)
        total = _aligned(flat, shading)
    return ShadingFit((shading * bins.width).reshape(cells), total)


def _aligned(flat: Doubles, shading: Doubles) -> Counts:
    """Sum of the histograms of the cells, each shifted back by its shading (in bins)."""
    positions = np.arange(flat.shape[1])
    shifted = np.zeros(flat.shape[1])
    for histogram, shift in zip(flat, shading, strict=True):
        if histogram.any():
            shifted += np.interp(positions + shift, positions, histogram, left=0, right=0)
    return np.rint(shifted).astype(np.int64)


def _peaks(flat: Doubles, smoothed: Doubles, width: float, thresholds: Doubles, shading: Doubles) -> Doubles:
    """Peaks (n, 4) of the histograms, smoothed by `width` bins: cell, phase, position in bins, weight."""
    median_mass = np.median(flat.sum(axis=1)[flat.any(axis=1)])
    found = []
    for cell, histogram in enumerate(flat):
        edges = np.clip(np.rint(np.concatenate([[0], thresholds + shading[cell], [len(histogram)]])), 0, len(histogram))
        for phase, (a, b) in enumerate(zip(edges[:-1].astype(int), edges[1:].astype(int), strict=True)):
            weight = histogram[a:b].sum() / median_mass
            if weight < LEAST_SHARE or b - a < 3:
                continue
            position = a + _mode(smoothed[cell, a:b])
            near = any(abs(position - edge) < 3 * width for edge in edges[1:-1])
            if not near:  # a peak at a threshold is the flank of another phase
                found.append((cell, phase, position, weight))
    return np.array(found, dtype=np.float64).reshape(-1, 4)


def _mode(histogram: Doubles) -> float:
    """Position of the highest point of a smooth histogram, by a parabola through it and its neighbours."""
    i = int(np.argmax(histogram))
    if not 0 < i < len(histogram) - 1:
        return i + 0.5
    before, top, after = histogram[i - 1 : i + 2]
    curve = before - 2 * top + after
    return i + 0.5 + (0.5 * (before - after) / curve if curve < 0 else 0.0)


def _smooth_fit(peaks: Doubles, penalty: Any, shading: Doubles, number: int) -> Doubles:
    """Shading (cells,) that fits the peaks, in bins, by iteratively reweighted least squares.

    Parameters
    ----------
    peaks
        From `_peaks`.
    penalty
        From `_second_differences`.
    shading
        Shading to start from.
    number
        Number of bins.
    """
    cell, phase = peaks[:, 0].astype(int), peaks[:, 1].astype(int)
    position, mass = peaks[:, 2], peaks[:, 3]
    phases = np.unique(phase)
    levels, spread = np.zeros(phase.max() + 1), np.ones(phase.max() + 1)
    for k in phases:
        levels[k] = np.median((position - shading[cell])[phase == k])
    robust = np.ones(len(position))
    ridge = 1e-6 * sparse.identity(len(shading))
    for _ in range(REWEIGHTINGS):
        weight = mass * robust * (spread[phases].min() / spread[phase]) ** 2
        diagonal = np.bincount(cell, weight, len(shading))
        right_side = np.bincount(cell, weight * (position - levels[phase]), len(shading))
        matrix = sparse.diags(diagonal) + STIFFNESS * penalty + ridge
        # 3D cells fill a factorisation up; conjugate gradients take a hundredth of its time
        shading, _ = cg(matrix, right_side, x0=shading, rtol=1e-10, M=sparse.diags(1 / matrix.diagonal()))
        for k in phases:
            of_phase = phase == k
            levels[k] = np.average((position - shading[cell])[of_phase], weights=weight[of_phase] + 1e-12)
            residual = np.abs(position - shading[cell] - levels[k])[of_phase]
            spread[k] = max(1.4826 * np.median(residual), 0.002 * number)
        scaled = (position - shading[cell] - levels[phase]) / (4 * spread[phase])
        robust = np.where(np.abs(scaled) < 1, (1 - scaled**2) ** 2, 0.0)
    return shading


def _second_differences(cells: Sequence[int]) -> Any:
    """Matrix whose quadratic form is the sum of squared second differences along each axis.

    An axis of two cells has first differences.
    """
    total: Any = sparse.csr_matrix((int(np.prod(cells)),) * 2)
    for axis, m in enumerate(cells):
        if m == 1:
            continue
        stencil = [-1.0, 1.0] if m == 2 else [1.0, -2.0, 1.0]
        count = m - len(stencil) + 1
        difference: Any = sparse.diags(
            [np.full(count, s) for s in stencil], list(range(len(stencil))), shape=(count, m)
        )
        parts: list[Any] = [sparse.identity(n) for n in cells]
        parts[axis] = difference
        steps = sparse.kron(sparse.kron(parts[0], parts[1]), parts[2])
        total = total + steps.T @ steps
    return total.tocsr()


def shading_grid(cells: Doubles, shape: Shape) -> NDArray[np.float32]:
    """Interpolate the shading of cells at nodes spread evenly from the first to the last voxel.

    Parameters
    ----------
    cells
        (cz, cy, cx) shading at the centres of the cells.
    shape
        Voxels of the volume.

    Returns
    -------
    (2 cz + 1, 2 cy + 1, 2 cx + 1) float32
        Shading as `tomostat.volume.write_shading` stores it; linear between the centres of cells, and continued
        linearly beyond the outer ones. An axis of one cell has one node.
    """
    values = cells
    for axis, n in enumerate(shape):
        m = values.shape[axis]
        if m == 1:
            continue
        position = np.linspace(0, n - 1, 2 * m + 1)
        position = (position + 0.5) * m / n - 0.5
        low = np.clip(np.floor(position).astype(int), 0, m - 2)
        weight = (position - low).reshape([-1 if a == axis else 1 for a in range(3)])
        values = values.take(low, axis) * (1 - weight) + values.take(low + 1, axis) * weight
    return values.astype(np.float32)
