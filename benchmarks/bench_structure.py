"""Tortuosity of layers, known from theory, and of random pores beside PoreSpy.

``python -m benchmarks.bench_structure [layers] [porespy]`` prints what is required beside what is measured, where
TauFactor is installed (``pip install tomostat[tortuosity]``); the second table is left out where PoreSpy (MIT) is not.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.report import Result, print_tables
from tomostat.structure.kernels.tortuosity import tortuosity

AXES = ("z", "y", "x")


def layers() -> Iterator[Result]:
    """Layers conduct along themselves as straight channels do, whatever the voxels, and not across."""
    mask = np.broadcast_to((np.arange(96) // 8 % 2 == 0)[:, None, None], (96, 96, 96))
    for spacing in ((0.1, 0.1, 0.1), (0.2, 0.1, 0.1)):
        for axis in (1, 2):
            error = abs(tortuosity(mask, axis, spacing) - 1)
            yield Result(f"layers, voxels {spacing}, along {AXES[axis]}: error", error, 0.01, "<=")
        across = tortuosity(mask, 0, spacing)
        yield Result(f"layers, voxels {spacing}: conducts across", float(np.isfinite(across)), 0, "==")


def random_pores(edge: int, share: float, size: float, seed: int) -> NDArray[np.bool_]:
    """Voxels (edge, edge, edge) where a smoothed noise lies in its highest `share`."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((edge, edge, edge)), size)
    return np.asarray(noise > np.quantile(noise, 1 - share))


def beside_porespy() -> Iterator[Result]:
    """Pores of 128 x 128 x 128 voxels of several shares, along every axis."""
    from porespy.simulations import tortuosity_fd

    for share, size in ((0.35, 3.0), (0.5, 4.0), (0.7, 3.0)):
        mask = random_pores(128, share, size, 7)
        for axis, name in enumerate(AXES):
            start = time.perf_counter()
            ours = tortuosity(mask, axis, (0.1, 0.1, 0.1))
            middle = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = float(tortuosity_fd(mask, axis).tortuosity)
            end = time.perf_counter()
            yield Result(f"{share:.0%} pores, along {name}: tortuosity", ours)
            yield Result("  PoreSpy's", theirs)
            yield Result("  difference", abs(ours / theirs - 1), 0.03, "<=")
            yield Result("  seconds", middle - start, unit="s")
            yield Result("  PoreSpy's", end - middle, unit="s")


TABLES = {
    **({"layers": layers} if find_spec("taufactor") else {}),
    **({"porespy": beside_porespy} if find_spec("porespy") and find_spec("taufactor") else {}),
}


def main() -> None:
    """Print the tables."""
    print_tables(TABLES, __doc__)


if __name__ == "__main__":
    main()
