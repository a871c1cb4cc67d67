"""The blur of the edges of active material, measured in boxes spread over the volume."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import dask
import numpy as np

from tomostat.blocks import Box, Shape, grid_shape
from tomostat.kernels.smoothing import smooth
from tomostat.phase import Phase
from tomostat.phases.first_guess import FirstGuess
from tomostat.phases.kernels import sharpness
from tomostat.phases.kernels.outside import Outside
from tomostat.phases.options import PhasesOptions
from tomostat.phases.plan import PhasesPlan, read_block

PROBES = 3
"""Most probe boxes along each axis in which edges are measured."""
PROBE_VOXELS = 64**3
"""Most voxels of a probe box."""


def find_blur(plan: PhasesPlan, guess: FirstGuess) -> float | None:
    """Find the Gaussian sigma of the edges of active material in voxels; None where there are too few edges.

    Edges are measured in probe boxes whose places depend on the shape of the volume alone.
    """
    probe = dask.delayed(_edge_probe, pure=False)
    boxes = enumerate(_probes(plan.info.shape))
    parts = plan.run(
        guess.step("edges"),
        {f"{i:03d}": probe(plan.path, box, plan.outside, guess, plan.options) for i, box in boxes},
    )
    number, misfits = (np.sum([part[i] for part in parts], axis=0) for i in range(2))
    return sharpness.likeliest_blur(int(number), misfits)


def _probes(shape: Shape) -> list[Box]:
    """Boxes of up to `PROBE_VOXELS` voxels, spread evenly over the volume; they depend on its shape alone."""
    depth = min(shape[0], round(PROBE_VOXELS ** (1 / 3)))
    side = math.isqrt(PROBE_VOXELS // depth)
    return spread_boxes(shape, (depth, min(shape[1], side), min(shape[2], side)))


def spread_boxes(shape: Shape, size: Shape) -> list[Box]:
    """Boxes of one size spread evenly over a volume, at most `PROBES` along each axis."""
    counts = [min(PROBES, count) for count in grid_shape(shape, size)]
    places = [np.linspace(0, n - s, c).round().astype(int) for n, s, c in zip(shape, size, counts, strict=True)]
    return [
        tuple(slice(int(a), int(a) + s) for a, s in zip(corner, size, strict=True))  # type: ignore[misc]
        for corner in itertools.product(*places)
    ]


def _edge_probe(
    path: Path, box: Box, outside: Outside | None, guess: FirstGuess, options: PhasesOptions
) -> tuple[int, list[float]]:
    """Number of edge profiles in a probe box, and the misfit of each blur to them."""
    grey, in_field = read_block(path, box, outside, keep_shading=False)
    smoothed = smooth(grey, options.smoothing, math.ceil(sharpness.WIDE * options.smoothing))
    phases = np.where(smoothed >= (guess.thresholds.active or np.inf), Phase.ACTIVE, Phase.PORE).astype(np.uint8)
    if in_field is not None:
        phases[~in_field] = Phase.OUTSIDE
    profiles = sharpness.edge_profiles(grey, phases, guess.dark, guess.active)
    return len(profiles), sharpness.blur_misfits(profiles).tolist()
