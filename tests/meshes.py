"""What any mesh of a particle must satisfy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def closed(faces: NDArray[Any]) -> bool:
    """Every edge runs once in either direction: closed, and all faces turn the same way."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forth, counts = np.unique(edges, axis=0, return_counts=True)
    back = np.unique(edges[:, ::-1], axis=0)
    return bool((counts == 1).all() and np.array_equal(forth, back))


def area_and_volume(place: NDArray[np.float64], faces: NDArray[Any]) -> tuple[float, float]:
    """Area, and volume that is positive where faces look outwards."""
    a, b, c = (place[faces[:, k]] - place.mean(axis=0) for k in range(3))
    cross = np.cross(b - a, c - a)
    return float(np.linalg.norm(cross, axis=1).sum() / 2), float((a * np.cross(b, c)).sum() / 6)
