"""Options of `tomostat correlate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tomostat.options import StageOptions, check


@dataclass(frozen=True, kw_only=True)
class CorrelateOptions(StageOptions):
    """How two maps are registered and correlated.

    Attributes
    ----------
    mask
        Which pixels belong to the object: values (finite and not 0) or otsu (brighter than Otsu's threshold).
    rim
        Pixels of the first map at the rim of the object that are left out: it is thin there, or blurred.
    flip
        Whether the second map may be seen from behind.
    rotation
        Largest rotation in degrees that is looked for, to either side.
    scale
        Largest relative error of the pixel sizes.
    sign
        Sign that the correlation is known to have, or either. Without a known sign a chance agreement passes more
        easily for the right place.
    confidence
        Level of the confidence intervals.
    resamples
        Number of bootstrap resamples.
    block
        Side in pixels of the blocks that are resampled; found from the autocorrelation of the maps when not given.
    seed
        Seed of the resampling.
    """

    mask: Literal["values", "otsu"] = "values"
    rim: float = 0.0
    flip: bool = True
    rotation: float = 180.0
    scale: float = 0.1
    sign: Literal["either", "positive", "negative"] = "either"
    confidence: float = 0.95
    resamples: int = 2000
    block: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check(self.mask in ("values", "otsu"), "mask", self.mask, "values or otsu")
        check(self.rim >= 0, "rim", self.rim, "0 or more pixels")
        check(0 <= self.rotation <= 180, "rotation", self.rotation, "degrees from 0 to 180")
        check(0 <= self.scale <= 0.5, "scale", self.scale, "a relative error from 0 to 0.5")
        check(self.sign in ("either", "positive", "negative"), "sign", self.sign, "either, positive or negative")
        check(0 < self.confidence < 1, "confidence", self.confidence, "a number between 0 and 1")
        check(self.resamples >= 100, "resamples", self.resamples, "100 or more")
        check(self.block is None or self.block >= 1, "block", self.block, "a side of 1 pixel or more")
