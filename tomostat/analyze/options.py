"""Options of the analyze stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tomostat.options import StageOptions, check


@dataclass(frozen=True, kw_only=True)
class AnalyzeOptions(StageOptions):
    """How statistics are computed from the particle table.

    Attributes
    ----------
    size_split
        Diameter in micrometers that separates small from big particles, or found: the one that separates the
        distribution of diameters best (Otsu's method).
    confidence
        Level of the confidence intervals.
    resamples
        Number of bootstrap resamples.
    seed
        Seed of the resampling.
    border
        Particles cut by the field's border: weighted (left out, the others weighted by 1 / P(inside)), kept or
        excluded.
    """

    size_split: float | Literal["found"] = 11.0
    confidence: float = 0.95
    resamples: int = 1000
    seed: int = 0
    border: Literal["weighted", "kept", "excluded"] = "weighted"

    def __post_init__(self) -> None:
        known = self.size_split == "found" if isinstance(self.size_split, str) else self.size_split > 0
        check(known, "size_split", self.size_split, "a diameter above 0 micrometers, or found")
        check(0 < self.confidence < 1, "confidence", self.confidence, "a number between 0 and 1")
        check(self.resamples >= 100, "resamples", self.resamples, "100 or more")
        check(self.border in ("weighted", "kept", "excluded"), "border", self.border, "weighted, kept or excluded")
