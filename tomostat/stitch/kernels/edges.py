"""Boundaries moved to where the grey value is half way between a particle's own and that of what lies outside.

One threshold for a whole volume puts the edge towards carbon-binder too far out and the edge towards pores too far in.
Here the mask is evened out, blurred as the image is, and compared with it. Around every place grey values are fitted by

    grey = outside + (inside - outside) (q + e |grad q|)

with the blurred mask ``q`` and three unknowns, the grey of the particle, the grey outside, and the distance ``e`` by
which the edge lies farther out than the mask's. The fit is linear least squares over a Gaussian window, on sums over
cells of 2 x 2 x 2 voxels that lie on even indices of the volume, so that a voxel does not depend on the block that it
is computed in. Two things are set right after it:

- What lies outside is rarely as thick as the window reaches. Behind a gap the grey values rise again, behind a film of
  carbon-binder they fall, and a uniform level in their place puts the edge too far in at gaps (by 0.2 voxels at one of
  3 voxels and a blur of 1.4) and too far out at films. A level near that of pores or carbon-binder is therefore drawn
  towards it, and the other unknowns follow.
- Blur moves the half height of a curved edge inwards by its variance times the mean curvature (a ball of radius R
  appears smaller by ``blur^2 / R``), which is added.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from tomostat.kernels.smoothing import gradient, smooth
from tomostat.phase import Phase, PhaseFit
from tomostat.stitch.kernels.evening import even_out, evening_halo

WINDOW, WINDOW_REACH = 1.6, 4
"""Standard deviation and reach of the window, in cells."""
OUTER_REACH = 2.25
"""Voxels outside count up to this distance from the mask: beyond lies what does not touch the particle."""
BAND = 0.03
"""The boundary moves where the blurred mask lies between this share and 1 less it."""
FARTHEST = 1.5
"""Longest way in voxels that a boundary moves."""
MOST_CURVED = 0.4
"""Largest correction for curvature in voxels."""
OUTSIDE_LEVEL, OUTSIDE_STD, INSIDE_STD, EDGE_STD = 0.15, 1.0, 0.12, 1.5
"""Priors of the fit in units of the contrast of pore (0) and active material (1): mean and standard deviation of the
grey outside, standard deviation of the grey inside, and that of the edge in voxels."""
CORRELATED_VOXELS = 3.0
"""Voxels that err together, since noise is correlated and no particle is quite uniform."""
SMOOTHING, MOST_SMOOTHING = 5.5, 1.5
"""Sigma in voxels of a Gaussian over the grey values, over the noise relative to the contrast, and the largest:
boundaries that follow the noise are rough, and have too much area."""
EVENING, MOST_EVENING = 2.5, 1.8
"""Sigma in voxels of the Gaussian that evens out a mask, over that which smooths the grey values, and the largest. With
more, balls of a radius of 6 voxels become too large by 4 % and more, and in noise of a third of the contrast particles
less than 20 voxels across are lost."""
LEAST_NOISE = 0.03
"""Smallest noise that is assumed, relative to the contrast: the texture of clean images."""
TURN, TURNED = 0.55, 0.3
"""Place between pore (0) and carbon-binder (1) at which the level outside is drawn to neither, and how far from it it
is drawn as much as it ever is."""
TOWARDS_PORE, TOWARDS_BINDER = 0.5, 0.35
"""Shares of the way on which it is drawn then: half of it cancels what gaps of 3 voxels and more add."""
LEAST_BINDER = 0.1
"""Carbon-binder less bright than this share of the contrast, as in wet electrodes, is like a pore to an edge."""
_N, _Q, _G, _QQ, _QG, _GG, _V, _QV, _GV, _CURVATURE, _HALF_WAY = range(11)
"""Sums of a cell: number of voxels, blurred mask q, its slope g, their products, grey value v, its products with them,
curvature, and number of voxels where q is near one half, from which it is taken."""

_NEAR = np.array(
    sorted(
        ((z, y, x) for z in range(-2, 3) for y in range(-2, 3) for x in range(-2, 3) if 0 < z * z + y * y + x * x <= 6),
        key=lambda offset: (sum(step * step for step in offset), offset),
    ),
    np.int64,
)
"""Neighbours up to 2.4 voxels away, nearest first."""
_OUTSIDE = int(Phase.OUTSIDE)


@dataclass(frozen=True)
class EdgeModel:
    """What the edges of active material look like in the image.

    Attributes
    ----------
    pore, active
        Grey levels.
    noise
        Standard deviation of the grey values.
    blur
        Gaussian sigma of the edges in voxels.
    binder
        Grey level of carbon-binder; None where there is none.
    """

    pore: float
    active: float
    noise: float
    blur: float
    binder: float | None = None

    @classmethod
    def of(cls, fit: PhaseFit) -> EdgeModel | None:
        """The edges that the phases stage found; None where there is no active material or no pore."""
        pore, active = fit.levels.pore, fit.levels.active
        if pore is None or active is None or active <= pore:
            return None
        return cls(pore, active, fit.noise, fit.edge_blur, fit.levels.cbd)

    @property
    def brightness(self) -> float:
        """Carbon-binder in units of the contrast of pore (0) and active material (1); 0 where it does not stand out."""
        relative = 0.0 if self.binder is None else (self.binder - self.pore) / (self.active - self.pore)
        return relative if relative >= LEAST_BINDER else 0.0

    @property
    def smoothing(self) -> float:
        """Sigma in voxels with which grey values are smoothed."""
        return float(min(SMOOTHING * self.noise / (self.active - self.pore), MOST_SMOOTHING))

    @property
    def evening(self) -> float:
        """Sigma in voxels with which a mask is evened out."""
        return min(EVENING * self.smoothing, MOST_EVENING)

    @property
    def sigma(self) -> float:
        """Sigma in voxels with which a mask is blurred: edges along whole voxels have a variance of 1/12 already."""
        return math.sqrt(max(self.blur**2 + self.smoothing**2 - 1 / 12, 0.5))

    @property
    def reach(self) -> int:
        """Voxels over which a mask is blurred."""
        return math.ceil(2.5 * self.sigma)

    @property
    def halo(self) -> int:
        """Voxels around a block that its boundaries depend on."""
        mask = evening_halo(self.evening) + self.reach
        return max(mask, math.ceil(2.5 * self.smoothing)) + 2 + 2 * (WINDOW_REACH + 1) + 1


def move_edges(
    labels: NDArray[np.uint32],
    phases: NDArray[np.uint8],
    grey: NDArray[np.float32],
    model: EdgeModel,
    origin: tuple[int, int, int] = (0, 0, 0),
) -> NDArray[np.uint32]:
    """Move the outer boundaries of particles to the half height of their edges.

    Parameters
    ----------
    labels
        Particles, (z, y, x) uint32; voids that they enclose are labelled too, and deep ones stay.
    phases
        Codes of `Phase`, (z, y, x) uint8: voxels of a particle that are not active material are its voids.
    grey
        Grey values without shading, (z, y, x) float32.
    model
        Grey levels, noise and blur.
    origin
        First voxel of the box in the volume.

    Returns
    -------
    ndarray
        (z, y, x) uint32; exact from `EdgeModel.halo` voxels inside the box, and where the box ends with the volume.
    """
    if not labels.any():
        return labels
    relative = ((grey - np.float32(model.pore)) / np.float32(model.active - model.pore)).astype(np.float32)
    usable = ((phases != _OUTSIDE) & np.isfinite(relative)).view(np.uint8)
    relative[usable == 0] = OUTSIDE_LEVEL
    relative = smooth(relative, max(model.smoothing, 0.1), math.ceil(2.5 * model.smoothing))
    solid = ((labels > 0) & (phases == Phase.ACTIVE)).view(np.uint8)
    labels, solid = even_out(labels, solid, usable, model.evening)
    blurred = smooth(solid, model.sigma, model.reach)
    first = np.array(origin, np.int64)
    shift = _shifts(blurred, solid, relative, usable, model, first)
    return _move(labels, solid, blurred, usable, shift, _depth_table(model.sigma), first)


def _shifts(
    blurred: NDArray[np.float32],
    solid: NDArray[np.uint8],
    relative: NDArray[np.float32],
    usable: NDArray[np.uint8],
    model: EdgeModel,
    first: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Way outwards in voxels from the half height of the blurred mask to the edge, (z, y, x) cells."""
    cells = [(a + n - 1) // 2 - a // 2 + 1 for a, n in zip(first.tolist(), blurred.shape, strict=True)]
    sums = np.zeros((_HALF_WAY + 1, *cells), np.float32)
    _sum_cells(blurred, solid, relative, usable, first, float(ndtr(-OUTER_REACH / model.sigma)), sums)
    for total in sums:
        total[:] = smooth(total, WINDOW, WINDOW_REACH)
    noise = max(model.noise / (model.active - model.pore), LEAST_NOISE)
    # the sum over a cell, smoothed with weights that add up to 1, times the cells of a Gaussian window
    window = math.prod(math.sqrt(2 * math.pi) * WINDOW for n in cells if n > 1)
    return _solve_cells(sums, window / (CORRELATED_VOXELS * noise**2), model.sigma**2, model.brightness)


@numba.njit(cache=True, nogil=True)
def _sum_cells(blurred, solid, relative, usable, first, least, sums):  # type: ignore[no-untyped-def]
    """Sums for the normal equations of each cell, and of the mean curvature of the blurred mask."""
    nz, ny, nx = blurred.shape
    oz, oy, ox = first[0] // 2, first[1] // 2, first[2] // 2
    slope, unit = np.empty(3), np.ones(3)
    for z in range(nz):
        cz = (first[0] + z) // 2 - oz
        for y in range(ny):
            cy = (first[1] + y) // 2 - oy
            for x in range(nx):
                q = blurred[z, y, x]
                if not usable[z, y, x] or (q <= least and not solid[z, y, x]):
                    continue
                cx = (first[2] + x) // 2 - ox
                value = relative[z, y, x]
                sums[_N, cz, cy, cx] += 1
                sums[_Q, cz, cy, cx] += q
                sums[_QQ, cz, cy, cx] += q * q
                sums[_V, cz, cy, cx] += value
                sums[_QV, cz, cy, cx] += q * value
                if q > 0.999:
                    continue
                gradient(blurred, z, y, x, unit, slope)
                square = slope[0] * slope[0] + slope[1] * slope[1] + slope[2] * slope[2]
                g = np.sqrt(square)
                sums[_G, cz, cy, cx] += g
                sums[_QG, cz, cy, cx] += q * g
                sums[_GG, cz, cy, cx] += square
                sums[_GV, cz, cy, cx] += g * value
                if 0.2 <= q <= 0.8 and square >= 1e-4:
                    sums[_CURVATURE, cz, cy, cx] += _mean_curvature(blurred, z, y, x, slope)
                    sums[_HALF_WAY, cz, cy, cx] += 1


@numba.njit(cache=True, nogil=True)
def _mean_curvature(f, z, y, x, slope):  # type: ignore[no-untyped-def]
    """Mean curvature per voxel of the surface of equal `f` through a voxel, positive for a ball; `slope` is grad f.

    Half the divergence of the unit normal ``-grad f / |grad f|``, by second differences.
    """
    nz, ny, nx = f.shape
    a, b = max(z - 1, 0), min(z + 1, nz - 1)
    c, d = max(y - 1, 0), min(y + 1, ny - 1)
    e, g = max(x - 1, 0), min(x + 1, nx - 1)
    zz = f[b, y, x] - 2 * f[z, y, x] + f[a, y, x]
    yy = f[z, d, x] - 2 * f[z, y, x] + f[z, c, x]
    xx = f[z, y, g] - 2 * f[z, y, x] + f[z, y, e]
    zy = 0.25 * (f[b, d, x] - f[b, c, x] - f[a, d, x] + f[a, c, x])
    zx = 0.25 * (f[b, y, g] - f[b, y, e] - f[a, y, g] + f[a, y, e])
    yx = 0.25 * (f[z, d, g] - f[z, d, e] - f[z, c, g] + f[z, c, e])
    gz, gy, gx = slope
    square = gz * gz + gy * gy + gx * gx
    along = gz * gz * zz + gy * gy * yy + gx * gx * xx
    along += 2 * (gz * gy * zy + gz * gx * zx + gy * gx * yx)
    return 0.5 * (along / square - zz - yy - xx) / np.sqrt(square)


@numba.njit(cache=True, nogil=True)
def _solve_cells(sums, weight, variance, binder):  # type: ignore[no-untyped-def]
    """Least squares for grey outside, contrast and edge in every cell near a boundary; the shift of the edge."""
    _, nz, ny, nx = sums.shape
    shift = np.zeros((nz, ny, nx), np.float32)
    outside, inside, edge = 1 / OUTSIDE_STD**2, 1 / INSIDE_STD**2, 1 / EDGE_STD**2
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if sums[_HALF_WAY, z, y, x] * 8 < 0.05:
                    continue
                s = sums[:, z, y, x] * weight
                # unknowns: grey outside b, contrast d of inside and outside, and d times the edge's place
                bb, bd, be = s[_N] + outside + inside, s[_Q] + inside, s[_G]
                dd, de, ee = s[_QQ] + inside, s[_QG], s[_GG] + edge
                rb, rd, re = s[_V] + outside * OUTSIDE_LEVEL + inside, s[_QV] + inside, s[_GV]
                # Cholesky of three unknowns, written out rather than a call of LAPACK for every cell
                l11 = math.sqrt(bb)
                l21, l31 = bd / l11, be / l11
                l22 = math.sqrt(max(dd - l21 * l21, 1e-9))
                l32 = (de - l31 * l21) / l22
                l33 = math.sqrt(max(ee - l31 * l31 - l32 * l32, 1e-9))
                f1 = rb / l11
                f2 = (rd - l21 * f1) / l22
                f3 = (re - l31 * f1 - l32 * f2) / l33
                moved = f3 / l33
                contrast = (f2 - l32 * moved) / l22
                if binder > 0:
                    level = _drawn((f1 - l21 * contrast - l31 * moved) / l11, binder)
                    rd, re, determinant = rd - bd * level, re - be * level, dd * ee - de * de
                    contrast, moved = (rd * ee - re * de) / determinant, (re * dd - rd * de) / determinant
                place = moved / max(contrast, 0.2)
                curved = variance * sums[_CURVATURE, z, y, x] / sums[_HALF_WAY, z, y, x]
                shift[z, y, x] = min(max(place, -FARTHEST), FARTHEST) + min(max(curved, -MOST_CURVED), MOST_CURVED)
    return shift


@numba.njit(cache=True, nogil=True)
def _drawn(level, binder):  # type: ignore[no-untyped-def]
    """The level outside, drawn from the one found towards that of pores, 0, or of carbon-binder."""
    place = (level / binder - TURN) / TURNED
    to_pore, to_binder = min(max(-place, 0.0), 1.0), min(max(place, 0.0), 1.0)
    return level - TOWARDS_PORE * to_pore * level + TOWARDS_BINDER * to_binder * (binder - level)


def _depth_table(sigma: float) -> NDArray[np.float32]:
    """Depth in voxels below a plane surface for 1025 shares of the blurred mask from 0 to 1."""
    share = np.clip(np.linspace(0, 1, 1025), BAND / 2, 1 - BAND / 2)
    table: NDArray[np.float32] = (sigma * ndtri(share)).astype(np.float32)
    return table


@numba.njit(cache=True, nogil=True)
def _move(labels, solid, blurred, usable, shift, depths, first):  # type: ignore[no-untyped-def]
    """Labels after the boundary has moved: a voxel joins the nearest particle, or leaves its own."""
    nz, ny, nx = labels.shape
    moved = labels.copy()
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                q = blurred[z, y, x]
                if q <= BAND or q >= 1 - BAND or not usable[z, y, x] or (labels[z, y, x] and not solid[z, y, x]):
                    continue
                at = q * 1024
                k = int(at)
                depth = depths[k] + (at - k) * (depths[k + 1] - depths[k]) + _between(shift, first, z, y, x)
                if (depth >= 0) == (labels[z, y, x] != 0):
                    continue
                for n in range(len(_NEAR)):
                    a, b, c = z + _NEAR[n, 0], y + _NEAR[n, 1], x + _NEAR[n, 2]
                    if not (0 <= a < nz and 0 <= b < ny and 0 <= c < nx):
                        continue
                    if depth >= 0 and labels[a, b, c]:
                        moved[z, y, x] = labels[a, b, c]
                        break
                    if depth < 0 and labels[a, b, c] == 0:
                        moved[z, y, x] = 0
                        break
    return moved


@numba.njit(cache=True, nogil=True)
def _between(shift, first, z, y, x):  # type: ignore[no-untyped-def]
    """Shift at a voxel, trilinear between the centres of the cells."""
    nz, ny, nx = shift.shape
    w = 0.5 * (first[0] + z) - 0.25 - first[0] // 2
    v = 0.5 * (first[1] + y) - 0.25 - first[1] // 2
    u = 0.5 * (first[2] + x) - 0.25 - first[2] // 2
    k, j, i = math.floor(w), math.floor(v), math.floor(u)
    total = 0.0
    for n in range(8):
        a, b, c = k + n // 4, j + n // 2 % 2, i + n % 2
        share = (1 - abs(w - a)) * (1 - abs(v - b)) * (1 - abs(u - c))
        total += share * shift[min(max(a, 0), nz - 1), min(max(b, 0), ny - 1), min(max(c, 0), nx - 1)]
    return total
