"""Random options over the range of real images, for training (domain randomization)."""

from typing import Any

import numpy as np

from tomostat.phantom.options import PhantomOptions

MEAN_DIAMETER = 10.0
"""Mean particle diameter in micrometers; the spacing follows from the size in voxels."""


def random_options(rng: np.random.Generator, shape: tuple[int, int, int] = (16, 256, 256)) -> PhantomOptions:
    """Draw random options of an electrode and its image.

    Particles are 10 to 200 voxels wide, sparse to dense, intact to crumbled; images are sharp to blurred, clean to
    noisy, dry or wet. Particles are always brighter than their surroundings.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random number generator.
    shape : tuple of int
        Voxels (z, y, x).

    Returns
    -------
    PhantomOptions
        Different at each call.
    """
    small, large = _diameters(rng)
    spacing = 2 * MEAN_DIAMETER / (small + large)
    return PhantomOptions(
        shape=shape,
        spacing=(spacing,) * 3,
        seed=int(rng.integers(2**32)),
        diameters=(small * spacing, large * spacing),
        **_electrode(rng, spacing, small),
        **_collector_and_headspace(rng, shape, spacing, large),
        **_image(rng, small),
    )


def _diameters(rng: np.random.Generator) -> tuple[float, float]:
    """Smallest and largest diameter in voxels."""
    small = float(np.exp(rng.uniform(np.log(10), np.log(90))))
    return small, min(small * float(rng.uniform(1.3, 4.0)), 200.0)


def _electrode(rng: np.random.Generator, spacing: float, small: float) -> dict[str, Any]:
    """Options of the electrode; `spacing` in micrometers, `small` the smallest diameter in voxels."""
    gap = rng.uniform(1.5, 4.0)
    return {
        "distribution": str(rng.choice(["uniform", "lognormal"])),
        "active_fraction": float(rng.uniform(0.25, 0.5)),
        "cbd_fraction": float(rng.uniform(0.1, 0.48)),
        "elongation": float(rng.uniform(0, 0.8)),
        "bumpiness": float(rng.uniform(0.01, 0.06)),
        "roughness": float(spacing * small * rng.uniform(0, 0.025)),
        "touching": float(rng.uniform(0, 0.7)),
        "detachment_mean": float(rng.uniform(0, 0.7)),
        "gap_width": (gap * spacing, (gap + rng.uniform(0, 2)) * spacing),
        "film_thickness": float(spacing * rng.uniform(1.5, 2.0 + 0.05 * small)),
        "web_scale": float(rng.uniform(1.0, 8.0)),
        "hollow": float(rng.uniform(0.2, 1.0)),
        "cracked": float(rng.uniform(0, 0.8)),
        "fragmented": float(rng.uniform(0, 0.3)),
        "crumbled": float(rng.uniform(0, 0.15)),
        "grain_size": float(rng.uniform(0.2, 0.8)),
        "texture": float(rng.uniform(0.5, 2.0)),
        "contrast": "wet" if rng.random() < 0.2 else "dry",
        "cbd_porosity": float(rng.uniform(0, 0.6)),
        "density_spread": float(rng.uniform(0, 0.07)),
    }


def _collector_and_headspace(
    rng: np.random.Generator, shape: tuple[int, int, int], spacing: float, large: float
) -> dict[str, Any]:
    """Collector and headspace in some electrodes, if enough space for particles remains."""
    axis = int(rng.integers(1, 3))
    depth = shape[axis]
    thickness = [float(rng.uniform(0.05, 0.25) * depth * spacing) if rng.random() < 0.25 else 0.0 for _ in range(2)]
    if depth * spacing - sum(thickness) < 1.6 * large * spacing:
        thickness = [0.0, 0.0]
    return {"depth_axis": axis, "collector": thickness[0], "headspace": thickness[1]}


def _image(rng: np.random.Generator, small: float) -> dict[str, Any]:
    """Options of the image."""
    pore = rng.uniform(0.03, 0.35)

    def sometimes(chance: float, most: float) -> float:
        return float(rng.uniform(0, most)) if rng.random() < chance else 0.0

    return {
        "grey_levels": (float(pore), float(min(pore + rng.uniform(0.3, 0.65), 0.97))),
        "blur": float(rng.uniform(0.5, min(2.5, 0.6 + small / 15))),
        "noise": float(np.exp(rng.uniform(np.log(0.02), np.log(0.2)))),
        "noise_correlation": float(rng.uniform(0, 1.5)),
        "streaks": sometimes(0.4, 0.8),
        "fringe": sometimes(0.5, 0.8),
        "rings": sometimes(0.3, 0.06),
        "shading": sometimes(0.6, 0.25),
        "circle": 1.0 + sometimes(0.5, 0.4) if rng.random() < 0.15 else 0.0,
    }
