"""Histograms that add up exactly over blocks, and their encoding as text for the markers of tasks."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomostat.kernels.arrays import Floats, Mask

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
        position = (values.astype(np.float32, copy=False) - np.float32(self.low)) * self.scale
        return np.clip(position, 0, self.number - 1).astype(np.intp)

    @property
    def scale(self) -> np.float32:
        """Intervals per grey value."""
        return np.float32(1 / self.width)

    def count(self, values: NDArray[Any], mask: Mask | None = None) -> Counts:
        """Number of values, or of those in a mask, in each interval; (number,) int64."""
        return self.count_groups(values, mask, 1)[0]

    def count_groups(self, values: NDArray[Any], group: NDArray[Any] | None, number: int) -> Counts:
        """Number of values in each interval for each group, (groups, number) int64.

        Parameters
        ----------
        values
            (z, y, x) or (n,) values.
        group
            Group of each value from 1 on, 0 where it is not counted: uint8, or bool for one group. All are counted in
            the first when None.
        number
            Number of groups.
        """
        values = np.atleast_3d(values).astype(np.float32, copy=False)
        group = np.ones((1, 1, 1), np.uint8) if group is None else np.atleast_3d(group).view(np.uint8)
        counts = np.zeros((number + 1, self.number), np.int64)
        _count(values, np.broadcast_to(group, values.shape), np.float32(self.low), self.scale, counts)
        return counts[1:]

    def count_differences(self, first: Floats, second: Floats, mask: Mask) -> Counts:
        """Number of absolute differences of two (z, y, x) images in each interval, where the mask holds."""
        counts = np.zeros(self.number, np.int64)
        _count_differences(first, second, mask, np.float32(self.low), self.scale, counts)
        return counts


@njit(cache=True, nogil=True)
def _interval(value: np.float32, low: np.float32, scale: np.float32, number: int) -> int:
    """Interval of a value, those beyond the ends in the first or last."""
    return int(min(max((value - low) * scale, np.float32(0)), np.float32(number - 1)))


@njit(cache=True, nogil=True)
def _count(values: Floats, group: NDArray[np.uint8], low: np.float32, scale: np.float32, counts: Counts) -> None:
    """Count the values of each group; group 0 is counted as well, which is faster than to leave it out."""
    nz, ny, nx = values.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                counts[group[z, y, x], _interval(values[z, y, x], low, scale, counts.shape[1])] += 1


@njit(cache=True, nogil=True)
def _count_differences(
    first: Floats, second: Floats, mask: Mask, low: np.float32, scale: np.float32, counts: Counts
) -> None:
    """Count absolute differences where the mask holds."""
    nz, ny, nx = first.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if mask[z, y, x]:
                    counts[_interval(abs(first[z, y, x] - second[z, y, x]), low, scale, len(counts))] += 1


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
