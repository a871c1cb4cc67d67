"""The range of grey values in the field of view, without outliers."""

from __future__ import annotations

from pathlib import Path

import dask
import numpy as np

from tomostat.blocks import Box
from tomostat.phases.kernels.counts import Bins, decode_sum, encode, quantile
from tomostat.phases.kernels.outside import Outside
from tomostat.phases.plan import PhasesPlan, read_block
from tomostat.volume import read_box

MOST_ZOOMS = 4
"""Most passes in which the bins of float grey values are narrowed to the range without outliers."""


def find_grey_range(plan: PhasesPlan) -> tuple[float, float]:
    """Find the range of grey values in the field of view, without outliers.

    Raises
    ------
    ValueError
        When all grey values in the field of view are equal.
    """
    if plan.info.dtype.kind == "u":
        top = np.iinfo(plan.info.dtype).max
        bins = Bins(-0.5, top + 0.5, top + 1)
    else:
        low, high = plan.info.grey_range or _extremes_of_volume(plan)
        bins = Bins(low, high, 2**16)
    count = dask.delayed(_grey_counts, pure=False)
    for zoom in range(MOST_ZOOMS):
        tasks = {block.key: count(plan.path, block.core, plan.outside, bins) for block in plan.blocks(0)}
        counts = decode_sum(plan.run(f"grey-{zoom}", tasks))
        if np.count_nonzero(counts) < 2:
            raise ValueError(
                f"{plan.path} has the same grey value in all of its field of view; phases cannot be distinguished"
            )
        low, high = quantile(counts, bins, 1e-4), quantile(counts, bins, 1 - 1e-4)
        if plan.info.dtype.kind == "u" or high - low > 256 * bins.width:
            break
        bins = Bins(low - bins.width, high + bins.width, 2**16)  # a few hot voxels made the bins too wide
    margin = 0.05 * (high - low) + bins.width
    return low - margin, high + margin


def _extremes_of_volume(plan: PhasesPlan) -> tuple[float, float]:
    """Smallest and largest grey value of the volume."""
    find = dask.delayed(_extremes, pure=False)
    found = np.array(plan.run("range", {block.key: find(plan.path, block.core) for block in plan.blocks(0)}))
    return float(found[:, 0].min()), float(found[:, 1].max())


def _extremes(path: Path, box: Box) -> list[float]:
    """Smallest and largest grey value of a box."""
    grey = read_box(path, box)
    return [float(grey.min()), float(grey.max())]


def _grey_counts(path: Path, box: Box, outside: Outside | None, bins: Bins) -> str:
    """Encoded histogram of the grey values of a box that lie in the field of view."""
    grey, in_field = read_block(path, box, outside, keep_shading=True)
    return encode(bins.count(grey, in_field))
