"""Description of an electrode for the kernels: named tuples of plain arrays, which numba can read."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tomostat.kernels.arrays import Doubles


class Particles(NamedTuple):
    """Particles, one along the first axis of each array; lengths in micrometers.

    Attributes
    ----------
    centre : (n, 3) float64
        Position z, y, x; voxel i lies at i times the spacing.
    radius, detached : (n, SIDE, SIDE) float32
        Radius of the surface over directions, and a function of direction that is positive where a gap separates the
        surface from the CBD.
    bound : (n,) float64
        Largest radius.
    gap : (n,) float64
        Width of the gap.
    core, core_scale : (n,) float64
        Extent of the hollow core relative to the radius (0 for none), and size of its cavities.
    pore : (n,) float64
        Value of the grain noise above which there is a pore.
    grain : (n, 2) float64
        Tangential frequency (per radian) and radial frequency (1/micrometer) of the grains.
    density : (n,) float64
        Density relative to nominal density.
    seed : (n,) int64
        Seed of the texture.
    split : (n, 8) float64
        Crack through the whole particle: normal (3), distance from the centre, width (0 for none), sideways move (3).
    crack_start : (n + 1,) int64
        Particle i has the cracks from `crack_start[i]` to `crack_start[i + 1]`.
    crack : (m, 12) float64
        Normal (3), direction from the core (3), width, start, end (relative radius), opening (+1 outward, -1
        inward), waviness, reach along its axis.
    """

    centre: Doubles
    radius: NDArray[np.float32]
    detached: NDArray[np.float32]
    bound: Doubles
    gap: Doubles
    core: Doubles
    core_scale: Doubles
    pore: Doubles
    grain: Doubles
    density: Doubles
    seed: NDArray[np.int64]
    split: Doubles
    crack_start: NDArray[np.int64]
    crack: Doubles


class Surroundings(NamedTuple):
    """Carbon-binder domain (CBD), pores and collector between the particles; lengths in micrometers.

    Attributes
    ----------
    seed : int
        Seed of the noise fields.
    film : float
        Thickness of the CBD film on particles.
    scale, threshold : float
        Size of the pores and struts in the CBD web, and the noise value above which there is CBD.
    axis : int
        Depth axis.
    low, high : float
        Positions along the depth axis below which there is collector and above which there is no web.
    """

    seed: int
    film: float
    scale: float
    threshold: float
    axis: int
    low: float
    high: float
