"""Options of the phases stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tomostat.options import StageOptions, check


@dataclass(frozen=True, kw_only=True)
class PhasesOptions(StageOptions):
    """How grey values become pore, carbon-binder and active material.

    Attributes
    ----------
    phases
        Number of phases: 3 (pore, carbon-binder domain, active material) or 2 (pore, solid).
    thresholds
        Thresholds between the phases in grey values of the file, ascending, without shading; found by multi-Otsu on the
        whole volume when not given.
    collector
        Look for a current collector, a fourth grey level between carbon-binder and active material.
    shading
        Remove a slow additive shading before thresholding.
    shading_scale
        Length in micrometers over which shading may vary; 0 takes a quarter of the field of view along each axis.
    smoothing
        Gaussian sigma, in voxels, applied before thresholding; half as much again between pore and carbon-binder, and
        more in noisy images where they cannot be distinguished with that.
    """

    phases: Literal[2, 3] = 3
    thresholds: tuple[float, ...] | None = None
    collector: bool = False
    shading: bool = True
    shading_scale: float = 0.0
    smoothing: float = 0.7

    def __post_init__(self) -> None:
        check(self.phases in (2, 3), "phases", self.phases, "2 or 3")
        check(self.smoothing >= 0, "smoothing", self.smoothing, "0 or more voxels")
        check(self.shading_scale >= 0, "shading_scale", self.shading_scale, "0 or more micrometers")
        if self.thresholds is not None:
            count = self.phases - 1 + self.collector
            ascending = all(a < b for a, b in zip(self.thresholds, self.thresholds[1:], strict=False))
            check(
                len(self.thresholds) == count and ascending, "thresholds", self.thresholds, f"{count} ascending values"
            )
