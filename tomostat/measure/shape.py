"""Columns of the particle table that follow from the sums over a particle's voxels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Shape
from tomostat.measure.density import Branch, Curve, electron_density, state_of_charge
from tomostat.measure.moments import (
    BORDER,
    COUNT,
    FACES,
    INSIDE,
    KINDS,
    PHASES,
    FixedPoint,
    Moments,
    centroids,
    covariances,
    grey_statistics,
)
from tomostat.measure.neighbours import nearest_distances
from tomostat.measure.smoothing import Spacing
from tomostat.measure.window import Window, border_weights

PORE, CBD, OUTSIDE = 0, 1, 4
"""Phase codes that matter here."""


def field_window(moments: Moments, shape: Shape, spacing: Spacing, circle: tuple[float, float, float] | None) -> Window:
    """The window that a field is; it cuts the material along an axis where its border cuts a particle.

    Parameters
    ----------
    moments
        Sums over the whole volume.
    shape, spacing
        Voxels (z, y, x) and voxel size in micrometers of the volume.
    circle
        Centre y, x and radius in voxels of a round field.
    """
    z, y, x = (bool(faces.any()) for faces in _cut_faces(moments, shape[0] == 1).T)
    return Window(shape=shape, spacing=spacing, cut=(z, y, x), circle=circle)


def _cut_faces(moments: Moments, flat: bool) -> NDArray[np.int64]:
    """Faces of each particle on the field's border by axis, (n, 3); a single slice has none along z."""
    faces = moments.sums[:, FACES:].reshape(-1, 3, KINDS)
    cut: NDArray[np.int64] = faces[:, :, BORDER] + faces[:, :, OUTSIDE]
    if flat:
        cut[:, 0] = 0
    return cut


def shape_columns(
    moments: Moments,
    *,
    window: Window,
    fixed: FixedPoint,
    pore: float | None,
    depth_axis: int,
) -> dict[str, NDArray[Any]]:
    """Size, place, shape, grey values, cracks and border of every particle.

    Parameters
    ----------
    moments
        Sums over the whole volume.
    window
        The field, as `field_window` makes it.
    fixed
        How grey values became integers.
    pore
        Grey level of the pores, from which intensities count; from 0 where there is none.
    depth_axis
        0 z, 1 y, 2 x.

    Returns
    -------
    dict
        Columns of the particle table. In a volume of one slice, what needs depth is NaN and the equivalent diameter is
        that of the disc of equal area.
    """
    flat, spacing = window.shape[0] == 1, window.spacing
    voxels = moments.sums[:, COUNT]
    centre = centroids(moments, spacing)
    mean, spread = grey_statistics(moments, fixed)
    void = moments.sums[:, INSIDE : INSIDE + PHASES][:, [PORE, CBD]].sum(axis=1)
    floor = 0.0 if pore is None else pore
    columns = {
        "label": moments.label,
        "voxel_count": voxels,
        "centroid": centre,
        "bbox": np.stack([moments.low, moments.high], axis=1),
        "mean_grey": mean,
        "std_grey": spread,
        "relative_intensity": (mean - floor) / (np.nanmedian(mean) - floor) if np.isfinite(mean).any() else mean,
        "crack_fraction": void / voxels,
        "touches_border": _cut_faces(moments, flat).any(axis=1),
        "border_weight": border_weights(moments.high - moments.low, window),
        "nearest_distance": nearest_distances(centre),
        "depth": np.full(len(moments), np.nan) if flat and depth_axis == 0 else centre[:, depth_axis],
    }
    return columns | (_flat_size(voxels, spacing) if flat else _solid_size(moments, spacing))


def _flat_size(voxels: NDArray[np.int64], spacing: Sequence[float]) -> dict[str, NDArray[Any]]:
    return {"equivalent_diameter": 2 * np.sqrt(voxels * spacing[1] * spacing[2] / math.pi)}


def _solid_size(moments: Moments, spacing: Sequence[float]) -> dict[str, NDArray[Any]]:
    """Volume and the ellipsoid of equal second moments, whose semi-axes are sqrt(5) standard deviations."""
    volume = moments.sums[:, COUNT] * math.prod(spacing)
    values, vectors = np.linalg.eigh(covariances(moments, spacing))
    lengths = 2 * np.sqrt(5 * np.maximum(values[:, ::-1], 0))
    long_axis = vectors[:, :, -1]
    return {
        "volume": volume,
        "equivalent_diameter": np.cbrt(6 * volume / math.pi),
        "axis_length": lengths,
        "elongation": lengths[:, 0] / lengths[:, 2],
        "orientation": np.where(long_axis[:, :1] < 0, -long_axis, long_axis),
    }


def sphericity(volume: NDArray[np.float64], area: NDArray[np.float64]) -> NDArray[np.float64]:
    """``pi^(1/3) (6 V)^(2/3) / S`` (Wadell 1935); NaN without surface."""
    usable = np.where(area > 0, area, np.nan)
    result: NDArray[np.float64] = math.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / usable
    return result


def density_columns(
    columns: Mapping[str, NDArray[Any]],
    attributes: Mapping[str, Any],
    *,
    energy: float,
    blur: float,
    branch: Branch | None,
    curve: Curve,
) -> dict[str, NDArray[Any]]:
    """Electron density and state of charge, where the volume's grey values are calibrated.

    Parameters
    ----------
    columns
        `mean_grey`, `inner_grey`, `inner_std`, `inner_count` and `grey_profile`. Particles too small to have voxels
        clear of all edges get the mean of all their active material.
    attributes
        `density_scale` and `density_offset`: delta = grey * scale + offset; nothing is returned without.
    energy
        Photon energy in keV.
    blur
        Sigma of the image in voxels: neighbours within it are no independent values.
    branch, curve
        See `tomostat.measure.density.state_of_charge`; no state of charge without branch.
    """
    if "density_scale" not in attributes:
        return {}
    scale, offset = float(attributes["density_scale"]), float(attributes.get("density_offset", 0.0))

    def density(grey: NDArray[np.float64]) -> NDArray[np.float64]:
        return electron_density(grey * scale + offset, energy)

    inner = columns["inner_grey"]
    spread = density(inner + columns["inner_std"]) - density(inner)
    found: dict[str, NDArray[Any]] = {
        "electron_density": density(np.where(np.isfinite(inner), inner, columns["mean_grey"])),
        "electron_density_std": np.abs(spread),
        "electron_density_profile": density(columns["grey_profile"]),
    }
    if branch is not None:
        values = np.maximum(columns["inner_count"] / (2 * math.sqrt(math.pi) * max(blur, 0.5)) ** 3, 1)
        error = np.abs(spread) / np.sqrt(values)
        found["soc"], found["soc_std"], found["soc_flag"] = state_of_charge(
            found["electron_density"], error, branch, curve
        )
    return found
