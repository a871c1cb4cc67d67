"""Pictures of particles in 3D: parallel rays through a label volume, no mesh and no graphics card."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.kernels.arrays import Doubles, Floats

Labels = NDArray[np.integer]

AZIMUTH, ELEVATION = math.radians(28), math.radians(38)
PAD = 2
"""Empty voxels around the volume, so that particles cut by the border are closed."""
LIGHT = np.array([0.62, -0.25, 0.55])
"""Where the light comes from: up, right, towards the viewer."""


def view() -> Doubles:
    """Axes of the camera, rows up, right and towards the viewer, each (z, y, x) of unit length; z points up."""
    sa, ca, se, ce = math.sin(AZIMUTH), math.cos(AZIMUTH), math.sin(ELEVATION), math.cos(ELEVATION)
    return np.array([[ce, -se * sa, -se * ca], [0.0, ca, -sa], [se, ce * sa, ce * ca]])


def project(points: Doubles) -> Doubles:
    """Points (n, 3) in micrometers z, y, x to (n, 3) up, right and towards the viewer."""
    return points @ view().T


def render(
    labels: Labels, spacing: tuple[float, float, float], colours: Doubles, width: int, shown: Labels | None = None
) -> tuple[Floats, Doubles]:
    """Draw all particles of a label volume.

    Parameters
    ----------
    labels
        (z, y, x) integers, 0 is empty.
    spacing
        Voxel size (z, y, x) in micrometers.
    colours
        (largest label + 1, 3) red, green, blue from 0 to 1.
    width
        Pixels across.
    shown
        (z, y, x) row of `colours` for every voxel of a particle, where particles are not of one colour each.

    Returns
    -------
    picture, extent
        (height, width, 4) float32, red, green, blue and opacity from 0 to 1; and left, right, bottom, top of the
        picture in micrometers of `project`.
    """
    padded = np.pad(labels, PAD)
    solid = ndimage.gaussian_filter((padded > 0).astype(np.float32), 0.8)
    step = np.asarray(spacing, np.float64)
    corners = np.array([[z, y, x] for z in (0, 1) for y in (0, 1) for x in (0, 1)]) * (np.array(labels.shape) - 1)
    flat = project(corners * step)
    margin = PAD * step.max()
    (bottom, left), (top, right) = flat[:, :2].min(axis=0) - margin, flat[:, :2].max(axis=0) + margin
    pixel = (right - left) / width
    height = math.ceil((top - bottom) / pixel)
    start = np.array([top, left, flat[:, 2].max() + margin]) + project(PAD * step)  # rays enter the padded volume
    tints = padded if shown is None else np.pad(shown, PAD)
    hit, depth, normal = cast(solid, tints.astype(np.int64), step, view(), start, pixel, height, width)
    outlined = hit if shown is None else hit > 0
    return _shade(hit, outlined, depth, normal, colours, pixel), np.array([left, right, top - height * pixel, top])


def _shade(
    hit: NDArray[np.int64], outlined: NDArray[Any], depth: Floats, normal: Floats, colours: Doubles, pixel: float
) -> Floats:
    """Colours with light, with shadow in corners, and with dark outlines where `outlined` changes."""
    seen = hit > 0
    towards = view().astype(np.float32)
    light = (LIGHT @ towards / np.linalg.norm(LIGHT)).astype(np.float32)
    diffuse = np.clip(normal @ light, 0, 1)
    facing = np.clip(normal @ towards[2], 0, 1)
    shine = np.clip(normal @ ((light + towards[2]) / np.linalg.norm(light + towards[2])), 0, 1) ** 30
    filled = np.where(seen, depth, depth.max())  # the background lies behind everything
    reach = min(max(1.5 / pixel, 2.0), 12.0)
    hidden = np.clip(
        (filled - ndimage.gaussian_filter(filled, reach, truncate=2.5)) / 3.0, 0, 1
    )  # micrometers behind neighbours
    bright = (0.45 + 0.52 * diffuse + 0.12 * facing) * (1 - 0.55 * hidden)
    picture = np.empty((*hit.shape, 4), np.float32)
    rgb = picture[..., :3]
    np.multiply(colours.astype(np.float32)[hit], bright[..., None], out=rgb)
    rgb += 0.10 * shine[..., None]
    edge = np.zeros(hit.shape, bool)
    for axis in (0, 1):
        jump = np.diff(outlined, axis=axis) != 0
        edge |= np.pad(jump, [(0, 1) if a == axis else (0, 0) for a in (0, 1)])
    rgb[edge] *= 0.45
    np.clip(rgb, 0, 1, out=rgb)
    picture[..., 3] = seen
    return picture


@numba.njit(cache=True, nogil=True)
def _level(solid: NDArray[np.float32], z: float, y: float, x: float) -> float:
    """Trilinear value, 0 outside."""
    nz, ny, nx = solid.shape
    if z < 0 or y < 0 or x < 0 or z >= nz - 1 or y >= ny - 1 or x >= nx - 1:
        return 0.0
    i, j, k = int(z), int(y), int(x)
    a, b, c = z - i, y - j, x - k
    low = (solid[i, j, k] * (1 - c) + solid[i, j, k + 1] * c) * (1 - b) + (
        solid[i, j + 1, k] * (1 - c) + solid[i, j + 1, k + 1] * c
    ) * b
    high = (solid[i + 1, j, k] * (1 - c) + solid[i + 1, j, k + 1] * c) * (1 - b) + (
        solid[i + 1, j + 1, k] * (1 - c) + solid[i + 1, j + 1, k + 1] * c
    ) * b
    return low * (1 - a) + high * a


@numba.njit(cache=True, nogil=True)
def _nearest_label(labels: NDArray[np.int64], z: float, y: float, x: float) -> int:
    """Label of the closest labelled voxel within one voxel."""
    best, found = 1e9, 0
    for i in range(round(z) - 1, round(z) + 2):
        for j in range(round(y) - 1, round(y) + 2):
            for k in range(round(x) - 1, round(x) + 2):
                if 0 <= i < labels.shape[0] and 0 <= j < labels.shape[1] and 0 <= k < labels.shape[2]:
                    distance = (z - i) ** 2 + (y - j) ** 2 + (x - k) ** 2
                    if labels[i, j, k] > 0 and distance < best:
                        best, found = distance, labels[i, j, k]
    return found


@numba.njit(cache=True, nogil=True)
def _span(shape: tuple[int, int, int], start: Doubles, ahead: Doubles) -> tuple[float, float]:
    """Where a ray enters the volume and leaves it; the second is smaller where it misses."""
    first, last = 0.0, 1e18
    for d in range(3):
        if abs(ahead[d]) > 1e-12:
            a, b = -start[d] / ahead[d], (shape[d] - 1 - start[d]) / ahead[d]
            first, last = max(first, min(a, b)), min(last, max(a, b))
        elif start[d] < 0 or start[d] > shape[d] - 1:
            return 0.0, -1.0
    return first, last


@numba.njit(cache=True, nogil=True)
def _first(solid: NDArray[np.float32], start: Doubles, ahead: Doubles, step: float) -> float:
    """Distance to the first surface, by steps and then by halving; negative where there is none."""
    t, last = _span(solid.shape, start, ahead)
    while t < last:
        z, y, x = start[0] + t * ahead[0], start[1] + t * ahead[1], start[2] + t * ahead[2]
        if solid[int(z), int(y), int(x)] < 0.01:  # most voxels are empty: no need to interpolate
            t += 2 * step
            continue
        if _level(solid, z, y, x) > 0.5:
            outer, inner = t - 2 * step, t
            for _ in range(5):
                middle = 0.5 * (inner + outer)
                z, y, x = (start[0] + middle * ahead[0], start[1] + middle * ahead[1], start[2] + middle * ahead[2])
                if _level(solid, z, y, x) > 0.5:
                    inner = middle
                else:
                    outer = middle
            return inner
        t += step
    return -1.0


@numba.njit(cache=True, nogil=True)
def cast(
    solid: NDArray[np.float32],
    labels: NDArray[np.int64],
    spacing: Doubles,
    axes: Doubles,
    corner: Doubles,
    pixel: float,
    height: int,
    width: int,
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """First surface along parallel rays.

    Parameters
    ----------
    solid
        (z, y, x) from 0 to 1; the surface lies at 0.5.
    labels
        (z, y, x), the same shape.
    spacing
        Voxel size in micrometers; the first voxel lies at the origin.
    axes
        Up, right and towards the viewer (rows; z, y, x).
    corner
        Place from which the rays of the upper left pixel start, along these axes, micrometers.
    pixel
        Pixel size in micrometers.
    height, width
        Pixels.

    Returns
    -------
    label, depth, normal
        (height, width) label or 0; distance from the start in micrometers, float32; (height, width, 3) unit vector
        outwards, float32.
    """
    hit = np.zeros((height, width), np.int64)
    depth = np.zeros((height, width), np.float32)
    normal = np.zeros((height, width, 3), np.float32)
    step = 0.5 * spacing.min()
    ahead = -axes[2] / spacing  # voxels per micrometer
    for row in range(height):
        for column in range(width):
            up, right = corner[0] - (row + 0.5) * pixel, corner[1] + (column + 0.5) * pixel
            start = (up * axes[0] + right * axes[1] + corner[2] * axes[2]) / spacing
            t = _first(solid, start, ahead, step)
            if t < 0:
                continue
            z, y, x = start[0] + t * ahead[0], start[1] + t * ahead[1], start[2] + t * ahead[2]
            hit[row, column] = _nearest_label(labels, z, y, x)
            depth[row, column] = t
            normal[row, column, 0] = (_level(solid, z - 1, y, x) - _level(solid, z + 1, y, x)) / spacing[0]
            normal[row, column, 1] = (_level(solid, z, y - 1, x) - _level(solid, z, y + 1, x)) / spacing[1]
            normal[row, column, 2] = (_level(solid, z, y, x - 1) - _level(solid, z, y, x + 1)) / spacing[2]
            length = math.sqrt((normal[row, column] ** 2).sum())
            normal[row, column] /= max(length, 1e-12)
    return hit, depth, normal
