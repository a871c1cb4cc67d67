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

from tomostat.kernels.arrays import Doubles, Floats
from tomostat.kernels.smoothing import smooth
from tomostat.measure.shape.surface import Surface

POSITIONS = np.arange(-1.0, 7.0)
"""Positions along the normal at which profiles are sampled, in voxels from the surface point."""

OFFSETS = np.linspace(-1.6, 1.6, 9)
"""Positions tried for the edge, in voxels from the surface point."""

FINE_STEPS = 16
"""Steps between two of `OFFSETS` for the final position of the edge."""

LAYERS = np.array([1.0, 2.0, 3.0, 4.0, 5.5])
"""Where one layer outside the edge ends and the next begins, in voxels."""

MISFIT, LAYER_STEP, EDGE_STD = 0.02, 0.4, 0.5
"""Standard deviations of the priors: misfit of a profile beyond the noise, relative to the contrast of void and active
material; step between layers, relative to the contrast of void and carbon-binder; position of the edge in voxels."""

MODEST_BLUR = 1.2
"""Blur in voxels up to which noise, not blur, limits what is seen outside an edge. `MISFIT` falls with the square of a
wider one, under which a thin layer and the particle's own edge differ by little."""

TRILINEAR, OUTLINE = 1 / 6, 0.4**2
"""Variances in voxel^2 that linear interpolation adds to the blur, and averaging over points whose outline is some
tenths of a voxel off. Without the second, a rest of the edge passes for carbon-binder that has little contrast."""


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
def _solve(a: Doubles, b: Doubles) -> float:
    """Solve a symmetric positive system in place by Cholesky (lower half read); the solution x replaces b.

    Returns ``-b . x``, the least value of ``x . a x - 2 b . x``.
    """
    n = len(b)
    for j in range(n):
        for i in range(j, n):
            s = a[i, j]
            for k in range(j):
                s -= a[i, k] * a[j, k]
            a[i, j] = math.sqrt(max(s, 1e-12)) if i == j else s / a[j, j]
    for i in range(n):
        for k in range(i):
            b[i] -= a[i, k] * b[k]
        b[i] /= a[i, i]
    least = 0.0
    for i in range(n):
        least -= b[i] * b[i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            b[i] -= a[k, i] * b[k]
        b[i] /= a[i, i]
    return least


@njit(cache=True, nogil=True)
def _fit_one(
    profile: Floats,
    weight: Floats,
    solid: Floats,
    basis: Doubles,
    bright: float,
    noise: float,
    steps: Doubles,
    a: Doubles,
    b: Doubles,
    row: Doubles,
) -> float:
    """Least squares with priors at one place of the edge: levels into `b`, the misfit (less a constant) returned."""
    size = len(b)
    a[:] = 0.0
    b[:] = 0.0
    a[0, 0] = 1 / steps[0] ** 2
    b[0] = bright / steps[0] ** 2
    for k in range(1, size):
        a[k, k] += 1 / steps[2] ** 2
        if k + 1 < size:
            a[k, k] += 1 / steps[1] ** 2
            a[k + 1, k + 1] += 1 / steps[1] ** 2
            a[k + 1, k] -= 1 / steps[1] ** 2
    scale = 1.0 / noise**2
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
    return _solve(a, b)


@njit(cache=True, nogil=True)
def _fit(
    profile: Floats,
    weight: Floats,
    solid: Floats,
    at: Doubles,
    blur: float,
    layers: Doubles,
    offsets: Doubles,
    bright: float,
    noise: float,
    steps: Doubles,
    value: Floats,
    edge: Floats,
) -> None:
    """Fit every profile at each offset of the edge, then between the best offset's neighbours."""
    size, count = len(layers) + 2, len(offsets)
    step = offsets[1] - offsets[0]
    basis = np.empty(((count - 1) * FINE_STEPS + 1, len(at), size))
    for j in range(len(basis)):
        _basis(at, offsets[0] + j * step / FINE_STEPS, blur, layers, basis[j])
    a, b, row = np.empty((size, size)), np.empty(size), np.empty(size)
    misfit = np.empty(count)
    for i in range(len(profile)):
        misfit[:] = np.inf
        best, j = count // 2, count // 2
        while 0 <= j < count:  # downhill from the middle
            for k in range(max(j - 1, 0), min(j + 2, count)):
                if misfit[k] == np.inf:
                    misfit[k] = _fit_one(
                        profile[i], weight[i], solid[i], basis[k * FINE_STEPS], bright, noise, steps, a, b, row
                    )
                    misfit[k] += (offsets[k] / steps[3]) ** 2
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
        _fit_one(profile[i], weight[i], solid[i], basis[nearest], bright, noise, steps, a, b, row)
        value[i] = b[1:]


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
    particle's level near `levels.active`, neighbouring layers alike, the edge near 0.
    """
    contrast = levels.contrast
    bright = (levels.active - levels.pore) / contrast
    # averaging leaves an eighth of the noise; texture and roughness add some hundredths of the full contrast
    misfit = MISFIT * min((MODEST_BLUR / levels.blur) ** 2, 1.0)
    noise = math.hypot(misfit * bright, levels.noise / abs(contrast) / 8)
    steps = np.array([0.25 * bright, LAYER_STEP, 1.0, EDGE_STD])
    blur = math.sqrt(levels.blur**2 + TRILINEAR + OUTLINE)
    value, edge = np.empty((len(profile), len(LAYERS) + 1), np.float32), np.empty(len(profile), np.float32)
    scaled = ((profile - levels.pore) / contrast).astype(np.float32)
    _fit(scaled, weight, solid, POSITIONS, blur, LAYERS, OFFSETS, bright, noise, steps, value, edge)
    return value, edge


def blurred_solid(solid: NDArray[np.uint8], blur: float) -> Floats:
    """Active material of other particles blurred as the image is, (z, y, x) float32 from 0 to 1."""
    return smooth(solid, blur, max(1, math.ceil(3 * blur)))
