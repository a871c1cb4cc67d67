"""A particle's surface as a mesh of triangles with values at its corners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from tomostat.kernels.arrays import ByteMask, Floats
from tomostat.kernels.smoothing import RADIUS, Spacing, smooth
from tomostat.measure.shape.voids import fill_voids

CLEAR = 0.02
"""How far the smoothed mask stays off 1/2 in every voxel: what the smoothing would wipe out, a flake or a crack of one
voxel, is kept."""


@dataclass(frozen=True)
class Mesh:
    """Triangles with values at their corners.

    Attributes
    ----------
    vertex
        (n, 3) float32, x y z in micrometers from the centre of the field's first voxel.
    face
        (m, 3) int32, corners of the triangles, counter-clockwise seen from outside.
    values
        (n,) float32 by name; NaN where a corner lies on no known surface, such as a cut by the field.
    """

    vertex: Floats
    face: NDArray[np.int32]
    values: Mapping[str, Floats]


def particle_mesh(
    labels: NDArray[Any], label: int, values: Mapping[str, Floats], spacing: Spacing, origin: Sequence[int] = (0, 0, 0)
) -> Mesh:
    """The closed outer surface of a particle; voids that it encloses are filled, cuts by the field are closed.

    Parameters
    ----------
    labels
        (z, y, x) integers, a box that holds the particle.
    label
        The particle.
    values
        (z, y, x) float32 by name, NaN off the surface. A corner takes the values of the nearest surface voxel of the
        particle, not farther than a voxel's diagonal.
    spacing
        Voxel size (z, y, x) in micrometers.
    origin
        First voxel (z, y, x) of the box in the field.

    Returns
    -------
    Mesh
        Every edge belongs to two triangles.

    Raises
    ------
    ValueError
        When the box holds no such particle.

    Notes
    -----
    Marching cubes (Lewiner et al., Journal of Graphics Tools 8, 1, 2003) on the smoothed mask.
    """
    own = labels == label
    if not own.any():
        raise ValueError(f"the box holds no particle {label}")
    margin = RADIUS + 1
    level = smooth_level(fill_voids(np.pad(own, margin).astype(np.uint8)))
    corners, faces, _, _ = marching_cubes(level, 0.5, spacing=spacing)
    place = corners + (np.asarray(origin) - margin) * np.asarray(spacing)
    found = _values_at(place, own, values, spacing, origin)
    return Mesh(
        vertex=np.ascontiguousarray(place[:, ::-1], np.float32),  # x y z: mirrors the mesh, which faced inwards before
        face=np.ascontiguousarray(faces, np.int32),
        values=found,
    )


def smooth_level(mask: ByteMask) -> Floats:
    """The smoothed mask, above 1/2 in all of its voxels and below in all others."""
    level = smooth(mask)
    return np.where(mask > 0, np.maximum(level, 0.5 + CLEAR), np.minimum(level, 0.5 - CLEAR)).astype(np.float32)


def _values_at(
    place: NDArray[np.float64],
    own: NDArray[np.bool_],
    values: Mapping[str, Floats],
    spacing: Spacing,
    origin: Sequence[int],
) -> dict[str, Floats]:
    """Values of the nearest voxel that has one, for every place (n, 3) in micrometers."""
    known = own & np.any([np.isfinite(image) for image in values.values()], axis=0)
    voxel = np.argwhere(known)
    if not len(voxel):
        return {name: np.full(len(place), np.nan, np.float32) for name in values}
    size = np.asarray(spacing)
    reach = float(np.linalg.norm(size))
    nearest = cKDTree((voxel + np.asarray(origin)) * size).query(place, distance_upper_bound=reach)[1]
    return {name: np.append(image[known], np.float32(np.nan))[nearest] for name, image in values.items()}
