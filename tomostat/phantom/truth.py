"""What is true of each particle, from the electrode itself: no voxel is involved."""

import numba
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tomostat.phantom.kernels.model import Bodies, Floats, Matter
from tomostat.phantom.kernels.rules import ACTIVE, CBD, COLLECTOR, in_circle, phase_at
from tomostat.phantom.kernels.shape import directions, even_directions, value
from tomostat.phantom.scene import Scene, circle_radius

PROBE = 1.2
"""Voxels outside the surface where contact is decided; SCIENCE: degree of detachment."""

CRUMBLED_BELOW = 0.4
"""Pore threshold of crumbled particles; that of whole ones is higher."""

ON_CBD, ON_PARTICLE, ON_COLLECTOR, ON_NOTHING, CUT = 0, 1, 2, 3, 4
"""What a piece of surface touches; CUT lies outside the field."""


@numba.njit(cache=True, nogil=True)
def _normal(radii: NDArray[np.float32], z: float, y: float, x: float, step: float) -> tuple[float, float, float]:
    """Outward unit normal of the surface at a point: gradient of |v| - r(v) over differences of two steps."""
    gz = 2 * step * z / np.sqrt(z * z + y * y + x * x) - value(radii, z + step, y, x) + value(radii, z - step, y, x)
    gy = 2 * step * y / np.sqrt(z * z + y * y + x * x) - value(radii, z, y + step, x) + value(radii, z, y - step, x)
    gx = 2 * step * x / np.sqrt(z * z + y * y + x * x) - value(radii, z, y, x + step) + value(radii, z, y, x - step)
    length = np.sqrt(gz * gz + gy * gy + gx * gx)
    return gz / length, gy / length, gx / length


@numba.njit(cache=True, nogil=True)
def surface_areas(
    bodies: Bodies,
    matter: Matter,
    i: int,
    near: NDArray[np.int64],
    rays: Floats,
    step: float,
    size: Floats,
    spacing: Floats,
    circle: float,
) -> Floats:
    """Area of one particle's surface by what it touches.

    Parameters
    ----------
    bodies, matter : Bodies, Matter
        The electrode.
    i : int
        Particle.
    near : (k,) int64
        Particles that may reach its surroundings, itself included.
    rays : (n, 3) float64
        Directions spread evenly over the sphere.
    step : float
        Distance outside the surface where the phase is looked up, in micrometers.
    size : (3,) float64
        Voxels of the field.
    spacing : (3,) float64
        Voxel size in micrometers.
    circle : float
        Radius of the field of view in voxels; 0 where it is not limited.

    Returns
    -------
    (5,) float64
        Square micrometers on CBD, on particles, on the collector, on nothing, and outside the field.
    """
    areas = np.zeros(5)
    radii = bodies.radius[i]
    solid_angle = 4 * np.pi / rays.shape[0]
    for k in range(rays.shape[0]):
        r = value(radii, rays[k, 0], rays[k, 1], rays[k, 2])
        normal = np.array(_normal(radii, r * rays[k, 0], r * rays[k, 1], r * rays[k, 2], step))
        cosine = max(normal[0] * rays[k, 0] + normal[1] * rays[k, 1] + normal[2] * rays[k, 2], 0.2)
        area = solid_angle * r * r / cosine
        point = bodies.centre[i] + r * rays[k]
        voxel = point / spacing
        within = in_circle(voxel[1], voxel[2], int(size[1]), int(size[2]), circle)
        for a in range(3):
            within = within and -0.5 <= voxel[a] <= size[a] - 0.5
        if not within:
            areas[CUT] += area
            continue
        for turn in range(1, 4):  # a rough surface may fold over itself: go further out
            out = point + turn * step * normal
            phase, owner = phase_at(bodies, matter, near, out[0], out[1], out[2])
            if owner != i:
                break
        if phase == CBD:
            areas[ON_CBD] += area
        elif phase == ACTIVE and owner != i:
            areas[ON_PARTICLE] += area
        elif phase == COLLECTOR:
            areas[ON_COLLECTOR] += area
        else:
            areas[ON_NOTHING] += area
    return areas


def truth_table(scene: Scene, *, rays: int = 4000) -> pd.DataFrame:
    """Tabulate what is true of each particle in the field.

    Detachment is the share of the outer surface that has no CBD 1.2 voxels outside, by area; surface cut by the field's
    border counts neither way. Contact with particles and with the collector counts as detached.

    Parameters
    ----------
    scene : Scene
        From `make_scene`.
    rays : int
        Directions in which each surface is probed.

    Returns
    -------
    pandas.DataFrame
        One row per particle: `label`; `z`, `y`, `x` (centroid) and `equivalent_diameter` in micrometer; `volume` in
        micrometer^3 and `surface_area` in micrometer^2, of the whole particle even where the field cuts it;
        `detachment`, `contact_cbd`, `contact_particle`, `contact_collector` (shares of the surface in the field, NaN
        where none is in it); `intended_detachment`; `density` (relative); `hollow`, `cracked`, `fragmented`,
        `crumbled`, `touches_border` (bool).
    """
    bodies, count = scene.bodies, scene.count
    areas = _areas(scene, rays)
    inside = areas.sum(axis=1) - areas[:, CUT]
    with np.errstate(invalid="ignore"):
        shares = areas[:, :CUT] / inside[:, None]
    volume, centroid = _moments(bodies, count)
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
            "density": bodies.density[:count],
            "hollow": bodies.core[:count] > 0,
            "cracked": (np.diff(bodies.crack_start)[:count] > 0) | (bodies.split[:count, 4] > 0),
            "fragmented": bodies.split[:count, 4] > 0,
            "crumbled": bodies.pore[:count] < CRUMBLED_BELOW,
            "touches_border": _touches_border(scene),
        }
    )


def _areas(scene: Scene, rays: int) -> Floats:
    """Areas (count, 5) of the surfaces by what they touch."""
    bodies, options = scene.bodies, scene.options
    areas = np.zeros((scene.count, 5))
    if scene.count == 0:
        return areas
    step = PROBE * min(options.spacing)
    reach = bodies.bound + np.maximum(bodies.gap, scene.matter.film)
    tree = cKDTree(bodies.centre)
    for i in range(scene.count):
        radius = bodies.bound[i] + 3 * step + reach.max()
        near = np.array(sorted(tree.query_ball_point(bodies.centre[i], radius)), np.int64)
        areas[i] = surface_areas(
            bodies,
            scene.matter,
            i,
            near,
            even_directions(rays),
            step,
            np.array(options.shape, np.float64),
            np.array(options.spacing),
            circle_radius(options),
        )
    return areas


def _moments(bodies: Bodies, count: int) -> tuple[Floats, Floats]:
    """Volumes (count,) and centroids (count, 3) of the first particles, from their surfaces."""
    vectors, weights = directions()
    radius = bodies.radius[:count].astype(np.float64)
    volume = np.einsum("nij,ij->n", radius**3, weights) / 3
    first = np.einsum("nij,ij,ijk->nk", radius**4, weights, vectors) / 4
    return volume, bodies.centre[:count] + first / volume[:, None]


def _touches_border(scene: Scene) -> NDArray[np.bool_]:
    """Particles that reach the outermost voxels of the field; an axis of one voxel is no border."""
    options, bodies = scene.options, scene.bodies
    vectors, _ = directions()
    last = np.array(options.shape) - 1
    circle = circle_radius(options)
    touches = np.zeros(scene.count, bool)
    for i in range(scene.count):
        surface = (bodies.centre[i] + bodies.radius[i][..., None] * vectors) / options.spacing
        beyond = (surface <= 0) | (surface >= last)
        touches[i] = beyond[..., last > 0].any()
        if circle:
            offset = surface[..., 1:] - 0.5 * last[1:]
            touches[i] |= bool((np.hypot(offset[..., 0], offset[..., 1]) >= circle - 1).any())
    return touches
