"""Detectors as another package might offer them, good and bad ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tomostat.detect.detector import FunctionDetector
from tomostat.detect.options import DetectOptions
from tomostat.instances import Instances
from tomostat.phase import Phase


@dataclass(frozen=True)
class Threshold:
    """One particle a slice: all active pixels from a column on."""

    column: int = 0
    halo: int = 0
    fingerprint: str = "threshold-1"

    def __call__(self, grey, phases, first):
        labels = (phases == Phase.ACTIVE).astype(np.int32)
        labels[:, :, : self.column] = 0
        parts = [Instances.from_labels(image, first + z) for z, image in enumerate(labels)]
        return Instances.concatenate([Instances.empty(grey.shape[1:]), *parts])

    def memory(self, shape):
        return 4 * shape[0] * shape[1]


def make_threshold(options: DetectOptions) -> Threshold:
    return Threshold(column=int(options.settings.get("column", 0)))


def make_failing(options: DetectOptions) -> FunctionDetector:
    def fail(grey, phases, first):
        if first >= 4:
            raise KeyError("no weights")
        return Threshold()(grey, phases, first)

    return FunctionDetector(fail)


def make_refusing(options: DetectOptions) -> Threshold:
    raise RuntimeError(f"score {options.score} is not supported")


def make_number(options: DetectOptions) -> int:
    return 7


def make_none(options: DetectOptions) -> FunctionDetector:
    return FunctionDetector(lambda grey, phases, first: None)


def make_small(options: DetectOptions) -> FunctionDetector:
    return FunctionDetector(lambda grey, phases, first: Instances.empty((2, 2)))


def make_greedy(options: DetectOptions) -> Threshold:
    class Greedy(Threshold):
        def memory(self, shape):
            raise OverflowError("too large")

    return Greedy()


NOT_CALLABLE = 3
