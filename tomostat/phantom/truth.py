"""Ground truth of each particle, computed from the exact surfaces of the electrode and not from voxels."""

import math
from collections.abc import Iterator

import numba
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tomostat.kernels.arrays import Doubles
from tomostat.phantom.detour import surface_detour
from tomostat.phantom.kernels.model import Particles, Surroundings
from tomostat.phantom.kernels.rules import ACTIVE, CBD, COLLECTOR, in_circle, phase_at
from tomostat.phantom.kernels.shape import directions, even_directions, interpolate
from tomostat.phantom.kernels.voxels import interior_of, void_at
from tomostat.phantom.scene import Scene, circle_radius

PROBE = 1.2
"""Distance from the surface, in voxels, at which contact is decided."""

CRUMBLED_BELOW = 0.4
"""Particles with a lower pore threshold are crumbled."""

VOID_RAYS, VOID_DEPTHS = 1000, 24
"""Directions in which, and depths of equal volume at which, the inside of a particle is looked at."""

ON_CBD, ON_PARTICLE, ON_COLLECTOR, ON_PORE, OUT_OF_FIELD = 0, 1, 2, 3, 4
"""What is next to a piece of surface; OUT_OF_FIELD for surface outside the field of view."""


@numba.njit(cache=True, nogil=True)
def _normal(radii: NDArray[np.float32], z: float, y: float, x: float, step: float) -> tuple[float, float, float]:
    """Outward unit normal of the surface at a point: gradient of |v| - r(v) over differences of two steps."""
    gz = (
        2 * step * z / np.sqrt(z * z + y * y + x * x)
        - interpolate(radii, z + step, y, x)
        + interpolate(radii, z - step, y, x)
    )
    gy = (
        2 * step * y / np.sqrt(z * z + y * y + x * x)
        - interpolate(radii, z, y + step, x)
        + interpolate(radii, z, y - step, x)
    )
    gx = (
        2 * step * x / np.sqrt(z * z + y * y + x * x)
        - interpolate(radii, z, y, x + step)
        + interpolate(radii, z, y, x - step)
    )
    length = np.sqrt(gz * gz + gy * gy + gx * gx)
    return gz / length, gy / length, gx / length


@numba.njit(cache=True, nogil=True)
def _what_is_beside(
    particles: Particles, surroundings: Surroundings, i: int, near: NDArray[np.int64], point: Doubles, outwards: Doubles
) -> int:
    """What is next to a point of the surface of one particle: `ON_CBD` and the others."""
    for attempt in range(1, 4):  # a rough surface may fold over itself: go further out
        out = point + attempt * outwards
        phase, owner = phase_at(particles, surroundings, near, out[0], out[1], out[2])
        if owner != i:
            break
    if phase == CBD:
        return ON_CBD
    if phase == ACTIVE and owner != i:
        return ON_PARTICLE
    return ON_COLLECTOR if phase == COLLECTOR else ON_PORE


@numba.njit(cache=True, nogil=True)
def surface_pieces(
    particles: Particles,
    surroundings: Surroundings,
    i: int,
    near: NDArray[np.int64],
    rays: Doubles,
    step: float,
    size: Doubles,
    spacing: Doubles,
    circle: float,
) -> tuple[Doubles, Doubles, NDArray[np.uint8]]:
    """Pieces of the surface of one particle, one per direction.

    Parameters
    ----------
    particles, surroundings : Particles, Surroundings
        The electrode.
    i : int
        Particle.
    near : (k,) int64
        Particles that may be next to it, itself included.
    rays : (n, 3) float64
        Directions spread evenly over the sphere.
    step : float
        Distance outside the surface where the phase is looked up, in micrometers.
    size : (3,) float64
        Voxels of the field of view.
    spacing : (3,) float64
        Voxel size in micrometers.
    circle : float
        Radius of the field of view in voxels; 0 where it is not limited.

    Returns
    -------
    (n, 3) float64
        Places in micrometers.
    (n,) float64
        Areas in square micrometers.
    (n,) uint8
        What is next to each: `ON_CBD` and the others.
    """
    count = rays.shape[0]
    places, areas, beside = np.empty((count, 3)), np.empty(count), np.empty(count, np.uint8)
    radii = particles.radius[i]
    solid_angle = 4 * np.pi / count
    for k in range(count):
        r = interpolate(radii, rays[k, 0], rays[k, 1], rays[k, 2])
        normal = np.array(_normal(radii, r * rays[k, 0], r * rays[k, 1], r * rays[k, 2], step))
        cosine = max(normal[0] * rays[k, 0] + normal[1] * rays[k, 1] + normal[2] * rays[k, 2], 0.2)
        areas[k] = solid_angle * r * r / cosine
        point = particles.centre[i] + r * rays[k]
        places[k] = point
        beside[k] = OUT_OF_FIELD
        voxel = point / spacing
        in_field = in_circle(voxel[1], voxel[2], int(size[1]), int(size[2]), circle)
        for a in range(3):
            in_field = in_field and -0.5 <= voxel[a] <= size[a] - 0.5
        if in_field:
            beside[k] = _what_is_beside(particles, surroundings, i, near, point, step * normal)
    return places, areas, beside


@numba.njit(cache=True, nogil=True)
def void_share(particles: Particles, i: int, rays: Doubles, depths: int) -> float:
    """Share of one particle's volume that is crack, core or pore, at some depths of equal volume along rays (n, 3)."""
    interior = interior_of(particles, i)
    void = total = 0.0
    for k in range(rays.shape[0]):
        z, y, x = rays[k, 0], rays[k, 1], rays[k, 2]
        r = interpolate(particles.radius[i], z, y, x)
        shift = (0.618033988749895 * k) % 1.0
        total += depths * r**3
        for d in range(depths):
            distance = r * ((d + shift) / depths) ** (1 / 3)
            if void_at(interior, distance * z, distance * y, distance * x, distance, r)[0]:
                void += r**3
    return void / total


def truth_table(scene: Scene, *, rays: int = 4000) -> pd.DataFrame:
    """Tabulate the ground truth of each particle in the field of view.

    Detachment is the share of the outer surface, by area, that has no CBD at 1.2 voxels from it; surface outside the
    field of view does not count. Contact with particles and with the collector counts as detached.

    Parameters
    ----------
    scene : Scene
        From `make_scene`.
    rays : int
        Directions in which each surface is sampled.

    Returns
    -------
    pandas.DataFrame
        One row per particle: `label`; `z`, `y`, `x` (centroid) and `equivalent_diameter` in micrometer; `volume` in
        micrometer^3 and `surface_area` in micrometer^2, of the whole particle even where the field of view cuts it;
        `detachment`, `contact_cbd`, `contact_particle`, `contact_collector` (shares of the surface in the field of
        view, NaN if no surface is in it); `intended_detachment`; `resistance_mean`, `resistance_max`, `resistance_std`
        (way along the surface to CBD or collector over the radius of the ball of equal volume; NaN for particles that
        the field of view cuts or that nothing touches); `crack_fraction` (cracks, core and pores over the volume);
        `density` (relative); `hollow`, `cracked`, `fragmented`, `crumbled`, `touches_border` (bool).
    """
    particles, count = scene.particles, scene.count
    volume, centroid = _moments(particles, count)
    diameter = np.cbrt(6 * volume / np.pi)
    cut = _touches_border(scene)
    areas, resistance = np.zeros((count, 5)), np.full((count, 3), np.nan)
    for i, (places, area, beside) in enumerate(_surfaces(scene, rays)):
        areas[i] = np.bincount(beside, area, minlength=5)
        if not cut[i]:
            detour = surface_detour(places, area, (beside == ON_CBD) | (beside == ON_COLLECTOR))
            resistance[i] = _figures(2 * detour / diameter[i], area)
    in_field = areas.sum(axis=1) - areas[:, OUT_OF_FIELD]
    with np.errstate(invalid="ignore"):
        shares = areas[:, :OUT_OF_FIELD] / in_field[:, None]
    inside = even_directions(VOID_RAYS)
    return pd.DataFrame(
        {
            "label": np.arange(1, count + 1, dtype=np.uint32),
            "z": centroid[:, 0],
            "y": centroid[:, 1],
            "x": centroid[:, 2],
            "volume": volume,
            "equivalent_diameter": diameter,
            "surface_area": areas.sum(axis=1),
            "detachment": shares[:, ON_PARTICLE:].sum(axis=1),
            "contact_cbd": shares[:, ON_CBD],
            "contact_particle": shares[:, ON_PARTICLE],
            "contact_collector": shares[:, ON_COLLECTOR],
            "intended_detachment": scene.intended[:count],
            "resistance_mean": resistance[:, 0],
            "resistance_max": resistance[:, 1],
            "resistance_std": resistance[:, 2],
            "crack_fraction": [void_share(particles, i, inside, VOID_DEPTHS) for i in range(count)],
            "density": particles.density[:count],
            "hollow": particles.core[:count] > 0,
            "cracked": (np.diff(particles.crack_start)[:count] > 0) | (particles.split[:count, 4] > 0),
            "fragmented": particles.split[:count, 4] > 0,
            "crumbled": particles.pore[:count] < CRUMBLED_BELOW,
            "touches_border": cut,
        }
    )


def _surfaces(scene: Scene, rays: int) -> Iterator[tuple[Doubles, Doubles, NDArray[np.uint8]]]:
    """Places, areas and neighbours of the surface of each particle in the field of view."""
    if scene.count == 0:
        return
    particles, options = scene.particles, scene.options
    step = PROBE * min(options.spacing)
    reach = particles.bound + np.maximum(particles.gap, scene.surroundings.film)
    tree = cKDTree(particles.centre)
    vectors = even_directions(rays)
    shape, spacing, circle = np.array(options.shape, np.float64), np.array(options.spacing), circle_radius(options)
    for i in range(scene.count):
        radius = particles.bound[i] + 3 * step + reach.max()
        near = np.array(sorted(tree.query_ball_point(particles.centre[i], radius)), np.int64)
        yield surface_pieces(particles, scene.surroundings, i, near, vectors, step, shape, spacing, circle)


def _figures(resistance: Doubles, area: Doubles) -> tuple[float, float, float]:
    """Mean over the surface, largest value and standard deviation; NaN where there is no way to a contact."""
    if not np.isfinite(resistance).all():
        return math.nan, math.nan, math.nan
    mean = float(np.average(resistance, weights=area))
    return mean, float(resistance.max()), math.sqrt(float(np.average((resistance - mean) ** 2, weights=area)))


def _moments(particles: Particles, count: int) -> tuple[Doubles, Doubles]:
    """Volumes (count,) and centroids (count, 3) of the first particles, from their surfaces."""
    vectors, weights = directions()
    radius = particles.radius[:count].astype(np.float64)
    volume = np.einsum("nij,ij->n", radius**3, weights) / 3
    first = np.einsum("nij,ij,ijk->nk", radius**4, weights, vectors) / 4
    return volume, particles.centre[:count] + first / volume[:, None]


def _touches_border(scene: Scene) -> NDArray[np.bool_]:
    """Particles (count,) that reach the outermost voxels of the field of view; an axis of one voxel has no border."""
    options, particles = scene.options, scene.particles
    vectors, _ = directions()
    last = np.array(options.shape) - 1
    circle = circle_radius(options)
    touches = np.zeros(scene.count, bool)
    for i in range(scene.count):
        surface = (particles.centre[i] + particles.radius[i][..., None] * vectors) / options.spacing
        beyond = (surface <= 0) | (surface >= last)
        touches[i] = beyond[..., last > 0].any()
        if circle:
            offset = surface[..., 1:] - 0.5 * last[1:]
            touches[i] |= bool((np.hypot(offset[..., 0], offset[..., 1]) >= circle - 1).any())
    return touches
