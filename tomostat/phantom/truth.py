"""Ground truth of each particle, computed from the exact surfaces of the electrode and not from voxels."""

import numba
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tomostat.phantom.kernels.model import Floats, Particles, Surroundings
from tomostat.phantom.kernels.rules import ACTIVE, CBD, COLLECTOR, in_circle, phase_at
from tomostat.phantom.kernels.shape import directions, even_directions, interpolate
from tomostat.phantom.scene import Scene, circle_radius

PROBE = 1.2
"""Distance from the surface, in voxels, at which contact is decided."""

CRUMBLED_BELOW = 0.4
"""Particles with a lower pore threshold are crumbled."""

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
def surface_areas(
    particles: Particles,
    surroundings: Surroundings,
    i: int,
    near: NDArray[np.int64],
    rays: Floats,
    step: float,
    size: Floats,
    spacing: Floats,
    circle: float,
) -> Floats:
    """Area of the surface of one particle by what is next to it.

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
    (5,) float64
        Square micrometers next to CBD, particles, the collector and pores, and outside the field of view.
    """
    areas = np.zeros(5)
    radii = particles.radius[i]
    solid_angle = 4 * np.pi / rays.shape[0]
    for k in range(rays.shape[0]):
        r = interpolate(radii, rays[k, 0], rays[k, 1], rays[k, 2])
        normal = np.array(_normal(radii, r * rays[k, 0], r * rays[k, 1], r * rays[k, 2], step))
        cosine = max(normal[0] * rays[k, 0] + normal[1] * rays[k, 1] + normal[2] * rays[k, 2], 0.2)
        area = solid_angle * r * r / cosine
        point = particles.centre[i] + r * rays[k]
        voxel = point / spacing
        in_field = in_circle(voxel[1], voxel[2], int(size[1]), int(size[2]), circle)
        for a in range(3):
            in_field = in_field and -0.5 <= voxel[a] <= size[a] - 0.5
        if not in_field:
            areas[OUT_OF_FIELD] += area
            continue
        for attempt in range(1, 4):  # a rough surface may fold over itself: go further out
            out = point + attempt * step * normal
            phase, owner = phase_at(particles, surroundings, near, out[0], out[1], out[2])
            if owner != i:
                break
        if phase == CBD:
            areas[ON_CBD] += area
        elif phase == ACTIVE and owner != i:
            areas[ON_PARTICLE] += area
        elif phase == COLLECTOR:
            areas[ON_COLLECTOR] += area
        else:
            areas[ON_PORE] += area
    return areas


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
        view, NaN if no surface is in it); `intended_detachment`; `density` (relative); `hollow`, `cracked`,
        `fragmented`, `crumbled`, `touches_border` (bool).
    """
    particles, count = scene.particles, scene.count
    areas = _areas(scene, rays)
    in_field = areas.sum(axis=1) - areas[:, OUT_OF_FIELD]
    with np.errstate(invalid="ignore"):
        shares = areas[:, :OUT_OF_FIELD] / in_field[:, None]
    volume, centroid = _moments(particles, count)
    return pd.DataFrame(
        {
            "label": np.arange(1, count + 1, dtype=np.uint32),
            "z": centroid[:, 0],
            "y": centroid[:, 1],
            "x": centroid[:, 2],
            "volume": volume,
            "equivalent_diameter": np.cbrt(6 * volume / np.pi),
            "surface_area": areas.sum(axis=1),
            "detachment": shares[:, ON_PARTICLE:].sum(axis=1),
            "contact_cbd": shares[:, ON_CBD],
            "contact_particle": shares[:, ON_PARTICLE],
            "contact_collector": shares[:, ON_COLLECTOR],
            "intended_detachment": scene.intended[:count],
            "density": particles.density[:count],
            "hollow": particles.core[:count] > 0,
            "cracked": (np.diff(particles.crack_start)[:count] > 0) | (particles.split[:count, 4] > 0),
            "fragmented": particles.split[:count, 4] > 0,
            "crumbled": particles.pore[:count] < CRUMBLED_BELOW,
            "touches_border": _touches_border(scene),
        }
    )


def _areas(scene: Scene, rays: int) -> Floats:
    """Areas (count, 5) of the surfaces by what is next to them."""
    particles, options = scene.particles, scene.options
    areas = np.zeros((scene.count, 5))
    if scene.count == 0:
        return areas
    step = PROBE * min(options.spacing)
    reach = particles.bound + np.maximum(particles.gap, scene.surroundings.film)
    tree = cKDTree(particles.centre)
    vectors = even_directions(rays)
    shape, spacing, circle = np.array(options.shape, np.float64), np.array(options.spacing), circle_radius(options)
    for i in range(scene.count):
        radius = particles.bound[i] + 3 * step + reach.max()
        near = np.array(sorted(tree.query_ball_point(particles.centre[i], radius)), np.int64)
        areas[i] = surface_areas(particles, scene.surroundings, i, near, vectors, step, shape, spacing, circle)
    return areas


def _moments(particles: Particles, count: int) -> tuple[Floats, Floats]:
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
