"""Places on surfaces of known shapes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.measure.shape.surface import Surface


def polar_angle(surface: Surface, pole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angle in radians of each surface point from a pole, seen from the centre of gravity."""
    centre = np.array(ndimage.center_of_mass(surface.mask)) * surface.spacing
    out = surface.point - centre
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    return np.arccos(np.clip(out @ pole, -1, 1))


def cap_contact(angle: NDArray[np.float64], share: float, radius: float) -> tuple[NDArray[np.float32], NDArray]:
    """Contact on a cap, and each point's angle beyond its rim."""
    beyond = angle - np.arccos(1 - 2 * share)
    return np.clip(0.5 - beyond * radius / 4, 0, 1).astype(np.float32), beyond


def rims(surface: Surface, radius: int, width: float, normal: NDArray, open_to: NDArray) -> tuple[int, int]:
    """Two points that face each other across a slot's mouth."""
    centre = (np.array(surface.index.shape) - 1) / 2
    place = surface.point - centre
    sides = [open_to * (radius - 0.5) + side * normal * (width / 2 + 1) for side in (-1, 1)]
    first, second = (int(np.argmin(np.linalg.norm(place - side, axis=1))) for side in sides)
    return first, second
