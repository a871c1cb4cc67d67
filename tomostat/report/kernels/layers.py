"""A slice as pictures of three channels: grey values, particles with phases, maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomostat.report.kernels.surface import STEPS, UNKNOWN

Layer = NDArray[np.uint8]

PHASE_CODES = 8
"""More than there are codes of phases: what of the number of a particle two bytes cannot hold counts in steps of it."""
MOST_ROWS = 2**21 - 1
"""Particles that the numbers can tell apart."""


def grey_layer(grey: NDArray[Any]) -> Layer:
    """Grey values (rows, columns) from 0 to 255, three times; the brightest and darkest half percent are cut."""
    low, high = np.percentile(grey, [0.5, 99.5])
    shade = np.clip((grey.astype(np.float32) - low) * (255 / max(float(high - low), 1e-9)), 0, 255)
    return np.repeat(shade.astype(np.uint8)[..., None], 3, axis=2)


def label_layer(
    shape: tuple[int, ...], labels: NDArray[Any] | None, phases: NDArray[Any] | None, rows: Mapping[int, int]
) -> Layer:
    """Particles and phases.

    Parameters
    ----------
    shape
        Rows and columns.
    labels, phases
        (rows, columns); None where the field has none.
    rows
        Row of the particle table by label.

    Returns
    -------
    ndarray
        (rows, columns, 3): the low and the middle byte of the row of the particle + 1 (0 without a particle), and the
        phase + `PHASE_CODES` times its high bits.
    """
    layer = np.zeros((*shape, 3), np.uint8)
    if labels is not None:
        row_of = np.zeros(int(labels.max(initial=0)) + 1, np.uint32)
        for label, row in rows.items():
            if label < len(row_of) and row < MOST_ROWS:
                row_of[label] = row + 1
        row = row_of[labels]
        layer[..., 0], layer[..., 1], layer[..., 2] = row & 255, row >> 8 & 255, PHASE_CODES * (row >> 16)
    if phases is not None:
        layer[..., 2] += phases.astype(np.uint8)
    return layer


def map_layer(shape: tuple[int, ...], maps: Sequence[tuple[NDArray[np.float32] | None, float]]) -> Layer:
    """Up to three maps in steps from 0 to `STEPS`, the value beside each; `UNKNOWN` off the surface, or without one."""
    layer = np.full((*shape, 3), UNKNOWN, np.uint8)
    for channel, (values, top) in enumerate(maps):
        if values is not None:
            known = np.isfinite(values)
            layer[known, channel] = np.clip(np.rint(values[known] / top * STEPS), 0, STEPS).astype(np.uint8)
    return layer
