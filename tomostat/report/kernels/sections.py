"""Three sections through a particle, on a square grid of its own: grey values, phases, and what its outline touches."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.phase import Phase

Places = NDArray[np.float64]


class Edge(IntEnum):
    """What a pixel of a section is to the particle: outside, inside, or on its outline and in contact or not."""

    OUTSIDE = 0
    INSIDE = 1
    CONTACT = 2
    GAP = 3
    UNKNOWN = 4


PHASE_STEP = 8
"""A pixel's code is its `Edge`, plus this times its phase."""


def grid_places(centre: float, reach: float, size: int) -> Places:
    """Middles of `size` pixels that cover `reach` on either side of `centre`."""
    return centre + (2 * (np.arange(size) + 0.5) / size - 1) * reach


def section(image: NDArray[Any], axis: int, places: Sequence[Places], smooth: bool) -> NDArray[Any]:
    """The section of an image across an axis.

    Parameters
    ----------
    image
        (z, y, x).
    axis
        Axis across which the section lies, through the voxel in the middle of its places.
    places
        Where pixels lie on every axis, in voxels of the image.
    smooth
        Whether to interpolate; else the nearest voxel is taken.

    Returns
    -------
    ndarray
        (n, n) of the image's dtype; 0 outside of it.
    """
    middle = min(max(round(places[axis].mean()), 0), image.shape[axis] - 1)
    grid = np.meshgrid(*(places[a] for a in range(3) if a != axis), indexing="ij")
    flat: Any = image.take(middle, axis)
    return np.asarray(ndimage.map_coordinates(flat, grid, order=1 if smooth else 0, mode="grid-constant", cval=0))


def section_codes(own: NDArray[np.bool_], phases: NDArray[np.uint8], contact: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Codes of a section: `Edge` plus `PHASE_STEP` times the phase.

    Parameters
    ----------
    own
        (n, n) whether a pixel belongs to the particle.
    phases
        (n, n) `Phase` codes.
    contact
        (n, n) contact from 0 to 1, NaN off the surface and where it is unknown; a pixel of the outline takes that of
        the nearest pixel that has one, not farther than `NEAR`.
    """
    outline = own & ~ndimage.binary_erosion(own)
    edge = np.where(own, Edge.INSIDE, Edge.OUTSIDE).astype(np.uint8)
    known = np.isfinite(contact)
    edge[outline] = Edge.UNKNOWN
    if known.any():
        distance, nearest = ndimage.distance_transform_edt(~known, return_indices=True)
        sure = outline & (distance <= NEAR)
        touching = contact[tuple(nearest)] >= 0.5
        edge[sure & touching], edge[sure & ~touching] = Edge.CONTACT, Edge.GAP
    return edge + np.uint8(PHASE_STEP) * phases


NEAR = 3.0
"""Pixels from which an outline takes what it touches."""


def sections(
    grey: NDArray[Any],
    own: NDArray[np.bool_],
    phases: NDArray[np.uint8] | None,
    contact: NDArray[np.float32] | None,
    middle: tuple[float, float, float],
    reach: tuple[float, float, float],
    size: int,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Sections across z, y and x through a particle, side by side.

    Parameters
    ----------
    grey, own, phases, contact
        (z, y, x) of a box around the particle: grey values, whether a voxel is the particle's, `Phase` codes and the
        contact from 0 to 1; the last two may be missing.
    middle, reach
        Where the sections cross, and how far they go on either side, in voxels of the box along z, y, x.
    size
        Pixels along an edge.

    Returns
    -------
    grey, codes
        (size, 3 size) uint8: grey values from 0 to 255, and `section_codes`.
    """
    places = [grid_places(m, r, size) for m, r in zip(middle, reach, strict=True)]
    low, high = np.percentile(grey, [0.5, 99.5])
    step = 255 / max(float(high - low), 1e-9)
    shades, codes = [], []
    inside = np.ones(grey.shape, np.uint8)
    for axis in range(3):
        here = section(inside, axis, places, False) > 0
        shade = (section(grey.astype(np.float32), axis, places, True) - low) * step
        shades.append(np.where(here, np.clip(shade, 0, 255), 0).astype(np.uint8))
        known = np.full(here.shape, np.nan, np.float32) if contact is None else section(contact, axis, places, False)
        phase = np.full(here.shape, Phase.PORE, np.uint8) if phases is None else section(phases, axis, places, False)
        found = section_codes(
            section(own.astype(np.uint8), axis, places, False) > 0,
            np.where(here, phase, np.uint8(Phase.OUTSIDE)),
            np.where(here, known, np.float32(np.nan)),
        )
        codes.append(found)
    return np.hstack(shades), np.hstack(codes)
