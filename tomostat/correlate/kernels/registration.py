"""Registration of two maps of one object by scale, rotation, shift and flip.

All rotations, scales and flips of a grid are tried at low resolution, each with all shifts at once by masked
cross-correlation (Padfield, IEEE Transactions on Image Processing 21, 2706, 2012); the best few are refined with the
simplex method, at low and then at full resolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, optimize

from tomostat.kernels.arrays import Doubles, Mask

Spectrum = NDArray[np.complex128]

COARSE = 40
"""Longer side in pixels of the maps at low resolution."""

ROTATION_STEP, SCALE_STEP = 7.5, 0.05
"""Steps of the rotation in degrees, and of the logarithm of the scale."""

CANDIDATES, FINALISTS = 8, 2
"""Placements that are refined at low and at full resolution."""

LEAST_OVERLAP = 0.6
"""Least share of the smaller map that lies inside the other."""


@dataclass(frozen=True)
class Placement:
    """Where a pixel of the first map lies in the second.

    Attributes
    ----------
    scale
        Pixels of the first map on a pixel of the second.
    rotation
        Angle in degrees by which the second map is turned, from the first axis (y) towards the second (x).
    shift
        (y, x) shift in pixels of the first map of the second map's middle against that of the first.
    flip
        Whether the second map is mirrored along x first.
    """

    scale: float
    rotation: float
    shift: tuple[float, float]
    flip: bool

    def transform(self, shape: tuple[int, ...], other: tuple[int, ...]) -> tuple[Doubles, Doubles]:
        """Matrix (2, 2) and offset (2,) from a pixel of the first map to one of the second, of these shapes."""
        angle = np.deg2rad(self.rotation)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        matrix = np.diag([1.0, -1.0 if self.flip else 1.0]) @ turn / self.scale
        middle, other_middle = ((np.array(one) - 1) / 2 for one in (shape, other))
        return matrix, other_middle - matrix @ (middle + self.shift)


class Registered(NamedTuple):
    """The best placement found.

    Attributes
    ----------
    placement
        Of the second map.
    score
        Correlation of the maps, plus the agreement of the masks where these outline the same object.
    runner_up
        Score of the best placement at another rotation, flip or place; how distinct the best one is.
    """

    placement: Placement
    score: float
    runner_up: float


@dataclass(frozen=True)
class Search:
    """What is looked for.

    Attributes
    ----------
    scale
        Pixels of the first map on a pixel of the second, as the pixel sizes tell.
    tolerance
        Largest relative error of `scale`.
    rotation
        Largest rotation in degrees.
    flip
        Whether mirrored maps are tried.
    sign
        1 or -1 where the sign of the correlation is known, 0 for either.
    outline
        Whether both masks outline the same object, so that their agreement counts.
    """

    scale: float
    tolerance: float
    rotation: float
    flip: bool
    sign: int
    outline: bool

    def score(self, correlation: Doubles, overlap: Doubles, pixels: tuple[Doubles | float, Doubles | float]) -> Doubles:
        """Score of placements from the correlation and the overlap in pixels with masks of so many pixels."""
        found = np.abs(correlation) if self.sign == 0 else self.sign * correlation
        if self.outline:
            found = found + 2 * overlap / (pixels[0] + pixels[1])
        return np.where(overlap >= LEAST_OVERLAP * np.minimum(*pixels), found, -np.inf)

    def grid(self) -> Iterator[Placement]:
        """Placements without a shift."""
        steps = int(np.ceil(np.log1p(self.tolerance) / SCALE_STEP))
        scales = self.scale * np.exp(np.log1p(self.tolerance) * np.linspace(-1, 1, 2 * steps + 1))
        turns = np.arange(np.ceil(min(self.rotation, 179.9) / ROTATION_STEP) + 1)
        angles = np.unique(np.clip(ROTATION_STEP * np.concatenate([-turns, turns]), -self.rotation, self.rotation))
        if self.rotation == 180:
            angles = angles[:-1]  # the same as -180
        for scale, angle, flip in product(scales, angles, (False, True) if self.flip else (False,)):
            yield Placement(float(scale), float(angle), (0.0, 0.0), flip)


def fill_outside(values: Doubles, mask: Mask) -> Doubles:
    """A map whose pixels outside a mask have the value of the nearest one inside, so that interpolation is safe."""
    nearest = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    return np.asarray(values[tuple(nearest)])


def place(
    values: Doubles, mask: Mask, placement: Placement, shape: tuple[int, ...], order: int = 3
) -> tuple[Doubles, Mask]:
    """A second map, and its mask, on the pixels of the first.

    Parameters
    ----------
    values, mask
        (h, w) the second map; values outside the mask do not count.
    placement
        Where it lies.
    shape
        Of the first map.
    order
        Order of the splines that interpolate; a map with finer pixels is averaged over those of the first before.
    """
    return _moved(fill_outside(values, mask), mask, placement, shape, order)


def _moved(
    filled: Doubles, mask: Mask, placement: Placement, shape: tuple[int, ...], order: int
) -> tuple[Doubles, Mask]:
    """As `place`, of a map that is filled outside its mask already."""
    matrix, offset = placement.transform(shape, filled.shape)
    if placement.scale < 1:  # a Gaussian as wide as the pixel of the first map, in addition to the second's own
        filled = ndimage.gaussian_filter(filled, np.sqrt((placement.scale**-2 - 1) / 12), mode="nearest")
    moved: Doubles = ndimage.affine_transform(filled, matrix, offset, output_shape=shape, order=order, mode="nearest")  # type: ignore[call-overload]
    inside: Doubles = ndimage.affine_transform(mask.astype(np.float64), matrix, offset, output_shape=shape, order=1)
    return moved, inside > 0.5


def correlation(first: Doubles, second: Doubles, mask: Mask) -> float:
    """Pearson's correlation of two maps inside a mask; 0 where one of them does not vary."""
    a, b = (values[mask] - values[mask].mean() if mask.any() else values[mask] for values in (first, second))
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 0 else 0.0


def register(first: Doubles, mask: Mask, second: Doubles, other: Mask, search: Search) -> Registered:
    """Find where a second map lies on a first.

    Parameters
    ----------
    first, mask
        (h, w) the first map, and which of its pixels count.
    second, other
        (h2, w2) the second map, and which of its pixels count.
    search
        What is looked for.

    Returns
    -------
    Registered
        The placement with the highest score.
    """
    fine = 1 / search.scale
    shrink = max(max(first.shape) / COARSE, 1.0)
    small, small_mask = _shrunk(first, mask, shrink)
    # the second map with pixels as large as the small first one's
    tiny, tiny_mask = _shrunk(second, other, max(shrink * fine, 1.0))
    ratio = max(shrink * fine, 1.0)
    coarse = Search(search.scale * ratio / shrink, search.tolerance, search.rotation, search.flip, search.sign,
                    search.outline)  # fmt: skip
    ranked = sorted(_ranked(small, small_mask, tiny, tiny_mask, coarse), key=lambda one: -one[0])
    refined = [_refine(small, small_mask, tiny, tiny_mask, one, coarse, order=1) for _, one in ranked[:CANDIDATES]]
    finalists = _distinct(sorted(refined, key=lambda one: -one[0]))[:FINALISTS]
    start = [
        Placement(one.scale * shrink / ratio, one.rotation, (one.shift[0] * shrink, one.shift[1] * shrink), one.flip)
        for _, one in finalists
    ]
    ended = [_refine(first, mask, second, other, one, search, order=3) for one in start]
    ended.sort(key=lambda one: -one[0])
    score, best = ended[0]
    return Registered(best, score, ended[1][0] if len(ended) > 1 else -np.inf)


def _shrunk(values: Doubles, mask: Mask, factor: float) -> tuple[Doubles, Mask]:
    """A map with pixels larger by a factor, and its mask."""
    if factor <= 1:
        return values, mask
    shape = tuple(max(round(n / factor), 2) for n in values.shape)
    # the middle stays in the middle
    return place(values, mask, Placement(1 / factor, 0.0, (0.0, 0.0), False), shape, order=1)


def _ranked(
    first: Doubles, mask: Mask, second: Doubles, other: Mask, search: Search
) -> Iterator[tuple[float, Placement]]:
    """Score and placement of every scale, rotation and flip at its best shift."""
    size = max(*first.shape, int(np.ceil(np.hypot(*second.shape) * search.scale * (1 + search.tolerance))))
    shape = (fft.next_fast_len(first.shape[0] + size), fft.next_fast_len(first.shape[1] + size))
    fixed, filled = _spectra(first, mask, shape), fill_outside(second, other)
    pixels = float(mask.sum())
    middle = (np.array(first.shape) - 1) / 2 - (size - 1) / 2
    for one in search.grid():
        moved, inside = _moved(filled, other, one, (size, size), order=1)
        if not inside.any():
            continue
        score = search.score(
            *_correlations(fixed, _spectra(moved, inside, shape), shape), (pixels, float(inside.sum()))
        )
        where = np.array(np.unravel_index(np.argmax(score), score.shape))
        shift = np.where(where > np.array(shape) - size, where - shape, where) - middle
        yield float(score.max()), Placement(one.scale, one.rotation, (float(shift[0]), float(shift[1])), one.flip)


def _spectra(values: Doubles, mask: Mask, shape: tuple[int, int]) -> tuple[Spectrum, ...]:
    """Fourier transforms of a mask, and of the values and their squares inside it."""
    weight = mask.astype(np.float64)
    centred = np.where(mask, values - values[mask].mean(), 0.0)
    return tuple(fft.rfft2(part, shape) for part in (weight, centred, centred**2))


def _correlations(
    fixed: tuple[Spectrum, ...], moving: tuple[Spectrum, ...], shape: tuple[int, int]
) -> tuple[Doubles, Doubles]:
    """Correlation and overlap in pixels at every shift."""
    conjugate = [part.conj() for part in moving]

    def product_of(a: Spectrum, b: Spectrum) -> Doubles:
        return np.asarray(fft.irfft2(a * b, shape))

    overlap = np.maximum(np.rint(product_of(fixed[0], conjugate[0])), 0)
    count = np.maximum(overlap, 1)
    sums = product_of(fixed[1], conjugate[0]), product_of(fixed[0], conjugate[1])
    squares = (
        product_of(fixed[2], conjugate[0]) - sums[0] ** 2 / count,
        (product_of(fixed[0], conjugate[2]) - sums[1] ** 2 / count),
    )
    both = np.maximum(squares[0], 0) * np.maximum(squares[1], 0)
    covariance = product_of(fixed[1], conjugate[1]) - sums[0] * sums[1] / count
    found = np.divide(covariance, np.sqrt(both), out=np.zeros(shape), where=both > 1e-9 * both.max(initial=0))
    return np.clip(found, -1, 1), overlap


def _refine(
    first: Doubles, mask: Mask, second: Doubles, other: Mask, start: Placement, search: Search, order: int
) -> tuple[float, Placement]:
    """Improve scale, rotation and shift by the simplex method."""
    pixels, limit = float(mask.sum()), np.log1p(search.tolerance)
    reach, filled = max(first.shape) / 2, fill_outside(second, other)

    def placed(step: Doubles) -> Placement:
        bend = np.clip(np.log(start.scale / search.scale) + step[0] / reach, -limit, limit)
        turn = start.rotation + np.rad2deg(step[1] / reach)
        return Placement(float(search.scale * np.exp(bend)), float(turn),
                         (start.shift[0] + float(step[2]), start.shift[1] + float(step[3])), start.flip)  # fmt: skip

    def loss(step: Doubles) -> float:
        one = placed(step)
        moved, inside = _moved(filled, other, one, first.shape, order)
        both = mask & inside
        score = search.score(
            np.array(correlation(first, moved, both)),
            np.array(float(both.sum())),
            (pixels, float(other.sum()) * one.scale**2),
        )
        return -float(score) if np.isfinite(score) else 2.0

    # steps in pixels at the rim: of the order of one pixel for every parameter
    simplex = np.vstack([np.zeros(4), 1.5 * np.eye(4)])
    found = optimize.minimize(
        loss,
        np.zeros(4),
        method="Nelder-Mead",
        options={"initial_simplex": simplex, "xatol": 0.02, "fatol": 1e-5, "maxfev": 220},
    )
    best = placed(found.x)
    turn = (best.rotation + 180) % 360 - 180
    return -float(found.fun), Placement(best.scale, turn, best.shift, best.flip)


def _distinct(ranked: list[tuple[float, Placement]]) -> list[tuple[float, Placement]]:
    """Without placements that are hardly another than a better one."""
    kept: list[tuple[float, Placement]] = []
    for score, one in ranked:
        near = any(
            one.flip == other.flip
            and abs((one.rotation - other.rotation + 180) % 360 - 180) < ROTATION_STEP
            and np.hypot(*np.subtract(one.shift, other.shift)) < 3
            for _, other in kept
        )
        if not near:
            kept.append((score, one))
    return kept
