"""Rendering of any box of voxels of an electrode; a voxel does not depend on the box."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tomostat.phantom.kernels import image, voxels
from tomostat.phantom.kernels.rules import OUTSIDE
from tomostat.phantom.options import PhantomOptions
from tomostat.phantom.scene import Scene, circle_radius

FRINGE_SIGMA = 1.5
"""Width of edge fringes in voxels."""

OUTSIDE_LEVEL = 0.3
"""Constant grey level outside a round field of view, relative to pore 0 and active material 1."""

DELTA_ACTIVE, DELTA_CARBON, DELTA_ALUMINIUM, DELTA_ELECTROLYTE = 3.31e-6, 1.33e-6, 1.88e-6, 0.88e-6
"""Refractive decrements at 17 keV: NMC811, carbon and PVDF, aluminium, EC/EMC."""


class Rendered(NamedTuple):
    """A rendered block of an electrode.

    Attributes
    ----------
    grey : (nz, ny, nx) uint8 or uint16
        Grey values of the image.
    labels : (nz, ny, nx) uint32
        Particle of each voxel, its cracks, core and pores included; 0 elsewhere.
    phases : (nz, ny, nx) uint8
        Phase codes of `tomostat.phase.Phase`.
    """

    grey: NDArray[np.generic]
    labels: NDArray[np.uint32]
    phases: NDArray[np.uint8]


def contrast(options: PhantomOptions) -> NDArray[np.float64]:
    """Grey level of pore, CBD, active material and collector, scaled so that pore is 0 and active material 1.

    Returns
    -------
    (4,) float64
        Relative levels; grey values are linear in the refractive decrement.
    """
    pore, porosity = _pore_delta(options), options.cbd_porosity
    cbd = (1 - porosity) * DELTA_CARBON + porosity * pore
    deltas = np.array([pore, cbd, DELTA_ACTIVE, DELTA_ALUMINIUM])
    return np.asarray((deltas - pore) / (DELTA_ACTIVE - pore))


def _pore_delta(options: PhantomOptions) -> float:
    """Refractive decrement of the pores."""
    return DELTA_ELECTROLYTE if options.contrast == "wet" else 0.0


def density_calibration(options: PhantomOptions) -> tuple[float, float]:
    """Scale and offset of the refractive decrement (dimensionless): delta = grey * scale + offset."""
    low, high = (level * np.iinfo(options.dtype).max for level in options.grey_levels)
    scale = (DELTA_ACTIVE - _pore_delta(options)) / (high - low)
    return float(scale), float(_pore_delta(options) - low * scale)


def render(scene: Scene, start: Sequence[int], shape: Sequence[int]) -> Rendered:
    """Render a box of voxels.

    Parameters
    ----------
    scene : Scene
        From `make_scene`.
    start, shape : sequence of int
        First voxel and number of voxels (z, y, x). The box may extend beyond the volume.

    Returns
    -------
    Rendered
        Grey values, labels and phases; the same for a voxel whatever the box.

    Raises
    ------
    ValueError
        When `start` or `shape` is not three integers, or the shape is not positive.
    """
    if len(start) != 3 or len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"start is {start!r}, shape {shape!r}; expected three integers each, shape positive")
    options = scene.options
    first = np.array(start, np.int64)
    margins = [image.gaussian_reach(options.blur), image.gaussian_reach(FRINGE_SIGMA) if options.fringe else 0]
    halo = sum(margins)
    ideal, labels, phases = _ideal_image(scene, first - halo, np.array(shape) + 2 * halo)
    core = tuple(slice(halo, halo + n) for n in shape)
    labels, phases = labels[core].copy(), phases[core].copy()
    grey = image.gaussian(ideal, (options.blur,) * 3)
    if options.fringe:
        blurred = image.gaussian(grey, (FRINGE_SIGMA,) * 3)
        sharp = grey[(slice(margins[1], -margins[1]),) * 3]
        grey = sharp + np.float32(options.fringe) * (sharp - blurred)
    _add_artefacts(scene, first, grey)
    if options.circle:
        size, radius = np.array(options.shape), circle_radius(options)
        image.blank_outside_circle(grey, labels, phases, first, size, radius, OUTSIDE_LEVEL, OUTSIDE)
    return Rendered(_to_grey(grey, options), labels, phases)


def _ideal_image(
    scene: Scene, start: NDArray[np.int64], shape: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.uint32], NDArray[np.uint8]]:
    """Image without blur and artefacts, labels and phases."""
    particles, spacing = scene.particles, np.array(scene.options.spacing)
    labels = np.zeros(shape, np.uint32)
    states = np.zeros(shape, np.uint8)
    phases = np.empty(shape, np.uint8)
    grey = np.empty(shape, np.float32)
    levels = np.append(contrast(scene.options), scene.options.texture)
    reach = (particles.bound + np.maximum(particles.gap, scene.surroundings.film))[:, None]
    low, high = start * spacing, (start + shape - 1) * spacing
    chosen = np.flatnonzero(((particles.centre + reach >= low) & (particles.centre - reach <= high)).all(axis=1))
    origin = start.astype(np.float64)
    voxels.paint_particles(particles, scene.surroundings.film, chosen, origin, spacing, levels, labels, states, grey)
    voxels.paint_surroundings(scene.surroundings, origin, spacing, levels, states, phases, grey)
    return grey, labels, phases


def _add_artefacts(scene: Scene, start: NDArray[np.int64], grey: NDArray[np.float32]) -> None:
    """Add noise, rings and shading in place."""
    options, seed = scene.options, scene.options.seed
    streaks = options.streaks
    if options.noise:
        shape: tuple[int, int, int] = grey.shape
        sigma = options.noise_correlation
        strength = options.noise * math.sqrt(1 - streaks**2)
        grey += np.float32(strength) * image.correlated_noise(start, shape, seed + 31, (sigma, sigma, sigma))
        if streaks:
            grey += np.float32(options.noise * streaks) * image.streak_noise(start, shape, seed + 32)
    if options.rings or options.shading:
        image.add_rings_and_shading(grey, start, np.array(options.shape), seed, options.rings, options.shading)


def _to_grey(grey: NDArray[np.float32], options: PhantomOptions) -> NDArray[np.generic]:
    """Grey values from relative levels."""
    top = np.iinfo(options.dtype).max
    low, high = options.grey_levels
    scaled = np.rint((low + (high - low) * grey) * np.float32(top))
    values: NDArray[np.generic] = np.clip(scaled, 0, top).astype(options.dtype)
    return values
