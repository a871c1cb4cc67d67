"""Options of the stitch stage."""

from __future__ import annotations

from dataclasses import dataclass

from tomostat.options import StageOptions, check


@dataclass(frozen=True, kw_only=True)
class StitchOptions(StageOptions):
    """How detections in slices are joined into particles.

    Attributes
    ----------
    min_iou
        Smallest overlap (intersection over union) that links two instances of neighbouring slices.
    min_containment
        Smallest share of the smaller of the two that overlaps, which links them as well.
    max_gap
        Largest number of missing slices that a track bridges.
    min_slices
        Particles seen in fewer slices are dropped.
    margin
        Voxels within which the boundary follows the phases rather than the detector's mask.
    """

    min_iou: float = 0.2
    min_containment: float = 0.6
    max_gap: int = 2
    min_slices: int = 2
    margin: int = 3

    def __post_init__(self) -> None:
        check(0 < self.min_iou <= 1, "min_iou", self.min_iou, "a number above 0, up to 1")
        check(0 < self.min_containment <= 1, "min_containment", self.min_containment, "a number above 0, up to 1")
        check(self.max_gap >= 0, "max_gap", self.max_gap, "0 or more slices")
        check(self.min_slices >= 1, "min_slices", self.min_slices, "1 or more")
        check(0 <= self.margin <= 20, "margin", self.margin, "0 to 20 voxels")
