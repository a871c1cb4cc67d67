"""Grey values along a particle's outward normals, and the layers outside its edge with the blur undone.

Blur makes every edge between active material and void pass through the grey of carbon-binder, so a thresholded image
shows a false film of it around every particle. Contact is read from the grey values beyond the blur instead: profiles
along the outward normal, averaged over the surface nearby, are decomposed into the particle's own blurred edge and the
layers outside it; the grey of the first layers distinguishes carbon-binder from void.

Layer values are in units of the contrast between void (0) and carbon-binder (1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomostat.kernels.smoothing import Floats, smooth
from tomostat.measure.shape.surface import Surface

Doubles = NDArray[np.float64]

POSITIONS = np.arange(-1.0, 7.0)
"""Positions along the normal at which profiles are sampled, in voxels from the surface point."""

OFFSETS = np.linspace(-1.6, 1.6, 9)
"""Positions tried for the edge, in voxels from the surface point."""

FINE_STEPS = 16
"""Steps between two of `OFFSETS` for the final position of the edge."""

LAYERS = np.array([1.0, 2.0, 3.0, 4.0, 5.5])
"""Where one layer outside the edge ends and the next begins, in voxels."""

MISFIT, LAYER_STD, LAYER_STEP, EDGE_STD = 0.01, 0.4, 0.4, 0.5
"""Standard deviations of the priors: misfit of a profile beyond the noise, relative to the contrast of void and active
material; level of a layer around its pattern, and step between the deviations of two layers, relative to the contrast
of void and carbon-binder; position of the edge in voxels."""

FILM_LEVEL = 0.85
"""Level of carbon-binder beside a particle: a porous film is darker than carbon-binder in bulk."""

THINNEST = 2
"""Fewest layers of a film or a gap that patterns tell; what is thinner is left to the deviations."""


def _layer_patterns() -> tuple[Doubles, Doubles]:
    """Levels that the layers may have, (n, layers): void or carbon-binder throughout, gaps, films; and their odds.

    All gaps before carbon-binder together are as likely as carbon-binder throughout, and all films as void throughout:
    otherwise a point half way between contact and gap would be one or the other by the number of patterns.
    """
    count = len(LAYERS) + 1
    depths = [*range(THINNEST, count), count]
    films = np.array([np.arange(count) < depth for depth in depths])
    odds = np.array([1.0 if depth == count else 1 / (len(depths) - 1) for depth in depths])
    return FILM_LEVEL * np.concatenate([films, ~films]).astype(np.float64), np.concatenate([odds, odds])


PATTERNS, ODDS = _layer_patterns()
"""Patterns of the layers and their odds before a profile is seen."""

TRILINEAR = 1 / 6
"""Variance in voxel^2 that linear interpolation adds to the blur."""


@dataclass(frozen=True)
class GreyLevels:
    """Grey levels, blur and noise of a field, as the phases stage found them.

    Attributes
    ----------
    pore, cbd, active
        Grey levels; `cbd` is None where there is no carbon-binder phase.
    collector
        Grey level of the current collector, None where there is none.
    blur
        Sigma of the edges in voxels.
    noise
        Standard deviation of the grey values.
    """

    pore: float
    cbd: float | None
    active: float
    collector: float | None
    blur: float
    noise: float

    @property
    def contrast(self) -> float:
        """Grey level of carbon-binder above void; only where there is carbon-binder."""
        return float(self.cbd or 0.0) - self.pore


@njit(cache=True, nogil=True)
def _sample(
    image: NDArray[Any],
    usable: NDArray[np.uint8],
    place: Floats,
    step: Floats,
    at: Doubles,
    value: Floats,
    weight: Floats,
) -> None:
    """Trilinear values at ``place + at * step`` (voxels) from the usable voxels around, and the usable share."""
    nz, ny, nx = image.shape
    for i in range(len(place)):
        for k in range(len(at)):
            z, y, x = (
                place[i, 0] + at[k] * step[i, 0],
                place[i, 1] + at[k] * step[i, 1],
                place[i, 2] + at[k] * step[i, 2],
            )
            a, b, c = math.floor(z), math.floor(y), math.floor(x)
            total, share = 0.0, 0.0
            for n in range(8):
                p, q, r = a + n // 4, b + n // 2 % 2, c + n % 2
                if 0 <= p < nz and 0 <= q < ny and 0 <= r < nx and usable[p, q, r]:
                    w = (1 - abs(z - p)) * (1 - abs(y - q)) * (1 - abs(x - r))
                    total += w * image[p, q, r]
                    share += w
            weight[i, k] = share
            value[i, k] = total / share if share > 1e-6 else 0.0


def sample_profiles(
    surface: Surface, image: NDArray[Any], usable: NDArray[np.uint8], at: Doubles = POSITIONS
) -> tuple[Floats, Floats]:
    """Sample profiles along the outward normals.

    Parameters
    ----------
    surface
        Outer surface of a particle in a box.
    image
        (z, y, x), any number type.
    usable
        (z, y, x) uint8, 1 where the image may be read.
    at
        (k,) distances from the surface in voxels (the voxel's size along the normal), negative inside.

    Returns
    -------
    tuple of numpy.ndarray
        Values and usable shares, (n, k) float32 each.
    """
    spacing = np.asarray(surface.spacing, np.float32)
    pitch = np.linalg.norm(surface.normal * spacing, axis=1, keepdims=True)
    step = surface.normal * pitch / spacing
    value, weight = (np.empty((len(surface), len(at)), np.float32) for _ in range(2))
    _sample(image, usable, surface.point / spacing, step.astype(np.float32), at, value, weight)
    return value, weight


@njit(cache=True, nogil=True)
def _phi(x: float) -> float:
    """Normal distribution function."""
    return 0.5 * math.erfc(-x * 0.7071067811865476)


@njit(cache=True, nogil=True)
def _basis(at: Doubles, offset: float, blur: float, layers: Doubles, out: Doubles) -> None:
    """Blurred share of the particle (column 0) and of each layer outside it along a profile."""
    for k in range(len(at)):
        u = at[k] - offset
        before = _phi(u / blur)
        out[k, 0] = 1.0 - before
        for n in range(len(layers)):
            behind = _phi((u - layers[n]) / blur)
            out[k, n + 1] = before - behind
            before = behind
        out[k, len(layers) + 1] = before


@njit(cache=True, nogil=True)
def _factorize(a: Doubles) -> None:
    """Cholesky factor of a symmetric positive matrix in place (lower half)."""
    for j in range(len(a)):
        for i in range(j, len(a)):
            s = a[i, j]
            for k in range(j):
                s -= a[i, k] * a[j, k]
            a[i, j] = math.sqrt(max(s, 1e-12)) if i == j else s / a[j, j]


@njit(cache=True, nogil=True)
def _fit_one(
    profile: Floats,
    weight: Floats,
    solid: Floats,
    basis: Doubles,
    noise: float,
    prior: Doubles,
    pull: Doubles,
    cost: Doubles,
    a: Doubles,
    b: Doubles,
    row: Doubles,
    found: Doubles,
) -> float:
    """Least squares at one place of the edge, with each of several priors for the levels, averaged by probability.

    Levels go into `found`; returned is the misfit, less a constant: -2 times the logarithm of the mean likelihood.
    """
    size = len(b)
    a[:] = prior
    b[:] = 0.0
    scale, bright = 1.0 / noise**2, pull[0, 0] / prior[0, 0]
    for k in range(len(profile)):
        w = weight[k] * scale
        y = w * (profile[k] - bright * solid[k])
        share = 1.0
        if solid[k] > 0:
            outside = 1.0 - basis[k, 0]
            share = max(outside - solid[k], 0.0) / max(outside, 1e-9)
        for p in range(size):
            row[p] = basis[k, p] * (share if p else 1.0)
            b[p] += y * row[p]
            wide = w * row[p]
            for q in range(p + 1):
                a[p, q] += wide * row[q]
    _factorize(a)
    best, total = np.inf, 0.0
    for n in range(len(pull)):
        misfit = cost[n]
        for i in range(size):
            s = b[i] + pull[n, i]
            for k in range(i):
                s -= a[i, k] * row[k]
            row[i] = s / a[i, i]
            misfit -= row[i] * row[i]
        if misfit < best:  # shares of earlier priors are relative to their best
            fade = math.exp(0.5 * (misfit - best)) if n else 0.0
            for i in range(size):
                found[i] *= fade
            total *= fade
            best = misfit
        share = math.exp(0.5 * (best - misfit))
        total += share
        for i in range(size):
            found[i] = (found[i] if n else 0.0) + share * row[i]
    for i in range(size - 1, -1, -1):
        for k in range(i + 1, size):
            found[i] -= a[k, i] * found[k]
        found[i] /= a[i, i]
    for i in range(size):
        found[i] /= total
    return best - 2 * math.log(total)


@njit(cache=True, nogil=True)
def _fit(
    profile: Floats,
    weight: Floats,
    solid: Floats,
    at: Doubles,
    blur: float,
    layers: Doubles,
    offsets: Doubles,
    edge_std: float,
    noise: float,
    prior: Doubles,
    pull: Doubles,
    cost: Doubles,
    value: Floats,
    edge: Floats,
) -> None:
    """Fit every profile at each offset of the edge, then between the best offset's neighbours."""
    size, count = len(layers) + 2, len(offsets)
    step = offsets[1] - offsets[0]
    basis = np.empty(((count - 1) * FINE_STEPS + 1, len(at), size))
    for j in range(len(basis)):
        _basis(at, offsets[0] + j * step / FINE_STEPS, blur, layers, basis[j])
    a, b, row, found = np.empty((size, size)), np.empty(size), np.empty(size), np.empty(size)
    misfit = np.empty(count)
    for i in range(len(profile)):
        misfit[:] = np.inf
        best, j = count // 2, count // 2
        while 0 <= j < count:  # downhill from the middle
            for k in range(max(j - 1, 0), min(j + 2, count)):
                if misfit[k] == np.inf:
                    misfit[k] = _fit_one(
                        profile[i],
                        weight[i],
                        solid[i],
                        basis[k * FINE_STEPS],
                        noise,
                        prior,
                        pull,
                        cost,
                        a,
                        b,
                        row,
                        found,
                    )
                    misfit[k] += (offsets[k] / edge_std) ** 2
                if misfit[k] < misfit[best]:
                    best = k
            if best == j:
                break
            j = best
        edge[i] = offsets[best]
        if 0 < best < count - 1:  # a parabola through the best three
            bend = misfit[best - 1] - 2 * misfit[best] + misfit[best + 1]
            slope = 0.5 * (misfit[best - 1] - misfit[best + 1])
            edge[i] += step * slope / max(bend, 1e-9)
        nearest = min(max(round((edge[i] - offsets[0]) / step * FINE_STEPS), 0), len(basis) - 1)
        _fit_one(profile[i], weight[i], solid[i], basis[nearest], noise, prior, pull, cost, a, b, row, found)
        value[i] = found[1:]


def fit_layers(profile: Floats, weight: Floats, solid: Floats, levels: GreyLevels) -> tuple[Floats, Floats]:
    """Grey of the layers outside the edge, the blur undone.

    Parameters
    ----------
    profile
        (n, k) float32, grey values at the `POSITIONS`, averaged over the surface.
    weight
        (n, k) float32, share of usable voxels.
    solid
        (n, k) float32, blurred share of other particles in each value.
    levels
        Grey levels and blur; `cbd` must be known.

    Returns
    -------
    tuple of numpy.ndarray
        Levels of the layers that `LAYERS` separates, (n, len(LAYERS) + 1) float32, void 0 and carbon-binder 1; and the
        position of the edge in voxels, (n,) float32.

    Notes
    -----
    A profile is the particle's level times ``Phi(-u / blur)`` plus each layer's level times its own blurred share, with
    the normal distribution function ``Phi`` and the distance ``u`` from the edge. Least squares with priors: the
    particle's level near `levels.active`, the layers near one of the `PATTERNS`, the edge near 0. Levels are averaged
    over the patterns by their probability: at a blur of 2 voxels a profile does not tell four free layers apart, but a
    gap of 3 voxels from none.
    """
    contrast = levels.contrast
    bright = (levels.active - levels.pore) / contrast
    # averaging leaves an eighth of the noise; texture and roughness add some hundredths of the full contrast
    noise = math.hypot(MISFIT * bright, levels.noise / abs(contrast) / 8)
    prior, pull, cost = _layer_priors(bright)
    blur = math.sqrt(levels.blur**2 + TRILINEAR)
    value, edge = np.empty((len(profile), len(LAYERS) + 1), np.float32), np.empty(len(profile), np.float32)
    scaled = ((profile - levels.pore) / contrast).astype(np.float32)
    _fit(scaled, weight, solid, POSITIONS, blur, LAYERS, OFFSETS, EDGE_STD, noise, prior, pull, cost, value, edge)
    return value, edge


def _layer_priors(bright: float) -> tuple[Doubles, Doubles, Doubles]:
    """Priors of the levels, of which the first is the particle's: precision, and for each pattern pull and misfit.

    The pull is the precision times the mean, (n, levels); the misfit is that of levels 0 with its odds, (n,).
    """
    size = len(LAYERS) + 2
    precision = np.diag([(0.25 * bright) ** -2] + [LAYER_STD**-2] * (size - 1))
    for k in range(1, size - 1):
        precision[k : k + 2, k : k + 2] += np.array([[1, -1], [-1, 1]]) / LAYER_STEP**2
    means = np.hstack([np.full((len(PATTERNS), 1), bright), PATTERNS])
    pull = means @ precision
    return precision, pull, (means * pull).sum(axis=1) - 2 * np.log(ODDS)


def blurred_solid(solid: NDArray[np.uint8], blur: float) -> Floats:
    """Active material of other particles blurred as the image is, (z, y, x) float32 from 0 to 1."""
    return smooth(solid, blur, max(1, math.ceil(3 * blur)))
