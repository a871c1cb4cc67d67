"""Finds connected pieces of active material in every slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from tomostat import DetectOptions, Detector, Instances, Phase


@dataclass(frozen=True)
class Blobs(Detector):
    """Pieces of active material of at least `least` pixels."""

    least: float

    def __call__(self, grey, phases, first):
        """Label the active material of every slice."""
        parts = [Instances.empty(grey.shape[1:])]
        for index, codes in enumerate(phases):
            labels, count = ndimage.label(codes == Phase.ACTIVE)
            sizes = np.bincount(labels.ravel(), minlength=count + 1)
            kept = np.where(sizes >= self.least, np.arange(count + 1), 0)
            kept[0] = 0
            numbers = np.unique(kept, return_inverse=True)[1].astype(np.int32)
            parts.append(Instances.from_labels(numbers[labels], first + index))
        return Instances.concatenate(parts)


def make(options: DetectOptions) -> Blobs:
    """Blobs as the settings want them."""
    return Blobs(float(options.settings.get("least", 20)))
