"""Other methods for distances over the surface of a voxel mask, for `benchmarks.bench_measure`.

Each takes a mask (z, y, x) and a function that gives the distance in voxels of points (n, 3) from the edge of the
contact (negative in contact), and returns surface points (n, 3) and their distance to the contact (n,). The time to
make a surface, graph or mesh from the mask counts. Methods that start from points start from those in contact; methods
that locate the edge between points use the function. Libraries that are not installed are left out.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import MCP_Geometric
from skimage.measure import marching_cubes

from tomostat.measure.shape.surface import extract_surface
from tomostat.measure.transport.geodesic import surface_distance

Floats = NDArray[np.float64]
Mask = NDArray[np.uint8]
Beyond = Callable[[Floats], Floats]
Method = Callable[[Mask, Beyond], tuple[Floats, Floats]]


def ours(mask: Mask, beyond: Beyond) -> tuple[Floats, Floats]:
    """tomostat's surface and its distance."""
    surface = extract_surface(mask, (1.0, 1.0, 1.0))
    points = np.asarray(surface.point, np.float64)
    return points, surface_distance(surface, np.clip(0.5 - beyond(points) / 4, 0, 1).astype(np.float32))


def voxel_graph(mask: Mask, beyond: Beyond) -> tuple[Floats, Floats]:
    """scikit-image's MCP_Geometric: Dijkstra on 26 neighbours among surface voxels."""
    shell = (mask > 0) & ~ndimage.binary_erosion(mask)
    points = np.argwhere(shell)
    costs = np.where(shell, 1.0, -1.0)
    found, _ = MCP_Geometric(costs).find_costs(points[beyond(points.astype(float)) <= 0])
    return points.astype(float), found[shell]


def fast_marching(mask: Mask, beyond: Beyond) -> tuple[Floats, Floats]:
    """scikit-fmm, second order, on a band of three voxels around the surface."""
    import skfmm

    inner = ndimage.distance_transform_edt(mask)
    band = ((inner > 0) & (inner < 2)) | ((inner == 0) & ndimage.binary_dilation(mask))
    points = np.argwhere(band)
    front = np.ones(mask.shape)
    front[tuple(points.T)] = beyond(points.astype(float))
    found = skfmm.distance(np.ma.MaskedArray(front, ~band), order=2)
    shell = band & (inner > 0) & (inner <= 1)
    return np.argwhere(shell).astype(float), np.maximum(np.ma.filled(found, np.nan)[shell], 0)


def exact_on_mesh(mask: Mask, beyond: Beyond) -> tuple[Floats, Floats]:
    """pygeodesic: exact distances on a mesh (Mitchell, Mount, Papadimitriou)."""
    from pygeodesic.geodesic import PyGeodesicAlgorithmExact

    points, faces = _mesh(mask)
    found, _ = PyGeodesicAlgorithmExact(points, faces).geodesicDistances(np.flatnonzero(beyond(points) <= 0))
    return points, found


def heat(mask: Mask, beyond: Beyond) -> tuple[Floats, Floats]:
    """potpourri3d: the heat method on a mesh."""
    from potpourri3d import MeshHeatMethodDistanceSolver

    points, faces = _mesh(mask)
    solver = MeshHeatMethodDistanceSolver(points, faces)
    return points, solver.compute_distance_multisource(np.flatnonzero(beyond(points) <= 0))


def _mesh(mask: Mask) -> tuple[Floats, NDArray[np.int32]]:
    points, faces, *_ = marching_cubes(ndimage.gaussian_filter(mask.astype(np.float32), 1.0), 0.5)
    return points.astype(np.float64), faces


METHODS: dict[str, tuple[str, Method]] = {
    "MCP_Geometric": ("skimage", voxel_graph),
    "scikit-fmm": ("skfmm", fast_marching),
    "pygeodesic": ("pygeodesic", exact_on_mesh),
    "potpourri3d": ("potpourri3d", heat),
}
"""By name: library that is needed, and the method."""


def installed() -> dict[str, Method]:
    """Methods that can run here; those that cannot are printed."""
    absent = [name for name, (library, _) in METHODS.items() if importlib.util.find_spec(library) is None]
    for name in absent:
        print(f"{name} is left out: it is not installed")
    return {name: method for name, (_, method) in METHODS.items() if name not in absent}
