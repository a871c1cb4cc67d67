"""What lies inside a particle, and around it as a whole: cracks, pieces, density from surface to core, packing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.measure.crofton import crofton_area
from tomostat.measure.distance import distance_to
from tomostat.measure.smoothing import Mask, Spacing

PROFILE = 8
"""Shells from surface to core in which the grey value is averaged."""

CLEAR = 2.0
"""Multiples of the blur beyond which a voxel is free of what an edge blurs into it."""

PIECE = 0.01
"""Least share of a particle's volume that counts as a fragment."""


def crack_columns(mask: Mask, active: NDArray[np.bool_], spacing: Spacing) -> dict[str, Any]:
    """Fragments, and the surface of cracks and pores inside a particle.

    Parameters
    ----------
    mask
        (z, y, x) uint8, the filled particle.
    active
        (z, y, x) bool, active material.
    spacing
        Voxel size (z, y, x) in micrometers.

    Returns
    -------
    dict
        `fragments`: pieces of active material that voxel faces join, of at least `PIECE` of the volume;
        `crack_surface`: surface of the active material beyond that of the filled particle, micrometer^2, by Crofton's
        formula.
    """
    solid = (mask.view(bool) & active).view(np.uint8)
    pieces, count = ndimage.label(solid)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    inner = max(crofton_area(solid, spacing) - crofton_area(mask, spacing), 0.0)
    return {"fragments": int((sizes >= PIECE * mask.sum(dtype=np.int64)).sum()), "crack_surface": inner}


def grey_columns(
    mask: Mask, active: NDArray[np.bool_], grey: NDArray[np.float32], blur: float, spacing: Spacing
) -> dict[str, Any]:
    """Grey value of the active material clear of all edges, whole and from surface to core.

    Parameters
    ----------
    mask, active, spacing
        As in `crack_columns`.
    grey
        (z, y, x) float32.
    blur
        Sigma of the image in voxels.

    Returns
    -------
    dict
        `inner_count`, `inner_grey`, `inner_std`: number, mean and standard deviation of the voxels farther than `CLEAR`
        times the blur from the particle's surface and from any crack or pore; `grey_profile`: their mean in `PROFILE`
        shells of equal thickness from the surface (first) to the deepest point (last), NaN where a shell has none.
    """
    filled = mask.view(bool)
    known = filled & active & np.isfinite(grey)
    clear = distance_to(~known, spacing) > (CLEAR * blur + 0.5) * max(spacing if len(mask) > 1 else spacing[1:])
    depth = distance_to(~filled, spacing)
    depth[~np.isfinite(depth)] = 0.0  # the particle fills its box
    value = grey[clear].astype(np.float64)
    shell = np.minimum((depth[clear] * (PROFILE / max(float(depth.max()), 1e-12))).astype(np.int64), PROFILE - 1)
    count = np.bincount(shell, minlength=PROFILE)
    total = np.bincount(shell, value, PROFILE)
    profile = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    mean, spread = (float(value.mean()), float(value.std())) if len(value) else (math.nan, math.nan)
    return {"inner_count": len(value), "inner_grey": mean, "inner_std": spread, "grey_profile": profile.tolist()}


def shell_columns(
    mask: Mask, other: NDArray[np.bool_], outside: NDArray[np.bool_], thickness: float, spacing: Spacing
) -> dict[str, Any]:
    """How densely other particles lie around one.

    Parameters
    ----------
    mask
        (z, y, x) uint8, the filled particle.
    other, outside
        (z, y, x) bool: other particles; what lies outside the field of view.
    thickness
        Thickness of the shell in micrometers; the box must reach that far, or to the field's border.
    spacing
        Voxel size (z, y, x) in micrometers.

    Returns
    -------
    dict
        `packing`: share of the shell, as far as it lies in the field, that is in other particles; `gap`: shortest way
        over void and carbon-binder to another particle within the shell in micrometers, NaN where there is none.
    """
    distance = distance_to(mask.view(bool), spacing)
    shell = (distance > 0) & (distance <= thickness) & ~outside
    count = int(shell.sum())
    near = distance[shell & other]
    # between the centres of two touching voxels lies one voxel and no gap
    gap = max(float(near.min()) - min(spacing if len(mask) > 1 else spacing[1:]), 0.0) if len(near) else math.nan
    return {"packing": len(near) / count if count else math.nan, "gap": gap}
