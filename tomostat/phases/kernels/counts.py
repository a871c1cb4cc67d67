"""Histograms that add up exactly over blocks, and their encoding as text for the markers of tasks."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Bins:
    """Equal intervals of grey values; values beyond the ends fall into the first or last interval.

    Attributes
    ----------
    low, high
        Grey values of the ends.
    number
        Number of intervals.
    """

    low: float
    high: float
    number: int

    @property
    def width(self) -> float:
        """Width of an interval."""
        return (self.high - self.low) / self.number

    @property
    def centres(self) -> NDArray[np.float64]:
        """Centres of the intervals, (number,)."""
        centres: NDArray[np.float64] = self.low + (np.arange(self.number, dtype=np.float64) + 0.5) * self.width
        return centres

    def index(self, values: NDArray[Any]) -> NDArray[np.intp]:
        """Index of the interval of each value."""
        position = (values.astype(np.float32, copy=False) - np.float32(self.low)) * np.float32(1 / self.width)
        return np.clip(position, 0, self.number - 1).astype(np.intp)

    def count(self, values: NDArray[Any]) -> Counts:
        """Number of values in each interval, (number,) int64."""
        return np.bincount(self.index(values.ravel()), minlength=self.number).astype(np.int64)


def encode(counts: Counts) -> str:
    """Encode counts as short text."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(counts, "<i8").tobytes(), 1)).decode()


def decode(text: str, shape: Sequence[int] = (-1,)) -> Counts:
    """Decode counts from the text that `encode` made."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), "<i8").reshape(shape).astype(np.int64)


def decode_sum(texts: Sequence[str]) -> Counts:
    """Sum of encoded counts, which all have one shape; flattened."""
    total = decode(texts[0])
    for text in texts[1:]:
        total += decode(text)
    return total


def quantile(counts: Counts, bins: Bins, fraction: float) -> float:
    """Grey value below which a fraction of the counts lies, linear within an interval."""
    total = np.cumsum(counts)
    wanted = fraction * total[-1]
    i = int(np.searchsorted(total, wanted))
    before = total[i - 1] if i else 0
    return bins.low + (i + (wanted - before) / max(int(counts[i]), 1)) * bins.width
