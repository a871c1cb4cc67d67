"""Tortuosity of a phase by TauFactor."""

from __future__ import annotations

import contextlib
import io
import math
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.kernels.smoothing import Spacing

CONVERGED = 1e-3
"""Largest difference of the fluxes through two layers, relative to them."""

MOST_ROUNDS = 20_000
"""Most rounds of the solver."""


def check_solver() -> None:
    """Refuse to go on where TauFactor is not installed.

    Raises
    ------
    ValueError
        With what to install.
    """
    if find_spec("taufactor") is None:
        raise ValueError("tortuosity needs TauFactor, which is not installed; pip install tomostat[tortuosity]")


def tortuosity(mask: NDArray[np.bool_], axis: int, spacing: Spacing) -> float:
    """Tortuosity factor of a phase along an axis.

    Parameters
    ----------
    mask
        (z, y, x) bool, the phase.
    axis
        0, 1 or 2: the direction in which it conducts.
    spacing
        Voxel size (z, y, x) in micrometers.

    Returns
    -------
    float
        Volume fraction over relative diffusivity: 1 for straight channels, infinite where nothing connects the two
        sides, NaN where the solver does not converge.

    Notes
    -----
    Steady diffusion between two sides of constant concentration, no flux through the others: Cooper et al., SoftwareX
    5, 203 (2016); Kench et al., Journal of Open Source Software 8, 5358 (2023).
    """
    import taufactor

    along = np.ascontiguousarray(np.moveaxis(cubic_voxels(mask, spacing), axis, 0))
    pieces = ndimage.label(along)[0]
    if not np.intersect1d(pieces[0], pieces[-1]).any():
        return math.inf
    with contextlib.redirect_stdout(io.StringIO()):  # the solver prints
        solver = taufactor.Solver(along.astype(np.uint8), device="cpu")
        solver.solve(iter_limit=MOST_ROUNDS, verbose=False, conv_crit=CONVERGED)
    return float(solver.tau[0]) if solver.converged else math.nan


def cubic_voxels(mask: NDArray[np.bool_], spacing: Spacing) -> NDArray[np.bool_]:
    """A mask in cubic voxels as large as its smallest spacing, each that of the voxel around its centre.

    TauFactor's solver for other voxels takes fluxes for 0 where they differ by more than 1.7 (version 1.2).
    """
    for axis, size in enumerate(spacing):
        n = max(round(mask.shape[axis] * size / min(spacing)), 1)
        mask = np.take(mask, ((np.arange(n) + 0.5) * mask.shape[axis] / n).astype(np.intp), axis)
    return mask
