"""The conventional baseline: a distance-transform watershed of the active phase, slice by slice.

It splits cracked particles and fuses particles that touch along a flat face; the network is compared with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import regionprops

from tomostat.detect.detector import Detector
from tomostat.detect.options import DetectOptions
from tomostat.instances import Instances
from tomostat.kernels.watershed import DEPTH, FILL, SMOOTHING, solidity, split
from tomostat.phase import Phase


@dataclass(frozen=True, kw_only=True)
class WatershedDetector(Detector):
    """Detector by watershed; call it with a block of slices.

    Attributes
    ----------
    smoothing, depth, fill
        As in `tomostat.kernels.watershed.split`.
    min_area
        Particles of a smaller area in pixels are dropped.
    """

    smoothing: float = SMOOTHING
    depth: float = DEPTH
    fill: int = FILL
    min_area: int = 40

    def __call__(self, grey: NDArray[np.float32], phases: NDArray[np.uint8], first: int) -> Instances:
        """Find particles in slices ``first``, ``first + 1``, ...

        Parameters
        ----------
        grey
            (n, ny, nx) float32; not used.
        phases
            (n, ny, nx) uint8 codes of `Phase`.
        first
            Index of the first slice.

        Returns
        -------
        Instances
            Scores are solidities.
        """
        shape = (grey.shape[1], grey.shape[2])
        parts = [self._slice(phases[i] == Phase.ACTIVE, first + i) for i in range(len(phases))]
        return Instances.concatenate([Instances.empty(shape), *parts])

    def _slice(self, active: NDArray[np.bool_], z: int) -> Instances:
        labels = split(active, smoothing=self.smoothing, depth=self.depth, fill=self.fill)
        regions: list[Any] = [region for region in regionprops(labels) if region.area >= self.min_area]
        kept, scores = np.zeros(labels.max() + 1, np.int32), np.zeros(len(regions) + 1, np.float32)
        for i, region in enumerate(regions, start=1):
            kept[region.label], scores[i] = i, solidity(region.image)
        return Instances.from_labels(kept[labels], z, scores)


def make(options: DetectOptions) -> WatershedDetector:
    """The watershed; no option changes it."""
    return WatershedDetector()
