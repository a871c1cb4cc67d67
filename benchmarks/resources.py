"""Time and memory that a piece of work takes in this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import psutil

from tomostat.events import RESET


def seconds_of_runs(
    work: Callable[[], object], repeats: int, clock: Callable[[], float] = time.process_time
) -> list[float]:
    """Seconds of every run, after one that is not counted, in which kernels are compiled."""
    work()
    seconds = []
    for _ in range(repeats):
        start = clock()
        work()
        seconds.append(clock() - start)
    return seconds


def shortest_seconds(
    work: Callable[[], object], repeats: int = 3, clock: Callable[[], float] = time.process_time
) -> float:
    """Seconds of the shortest run."""
    return min(seconds_of_runs(work, repeats, clock))


def median_seconds(work: Callable[[], object], repeats: int = 7) -> float:
    """Median of the processor seconds of some runs."""
    return median(seconds_of_runs(work, repeats))


def memory() -> int:
    """Memory that this process holds, in bytes."""
    return psutil.Process().memory_info().rss


def reset_peak_memory() -> None:
    """Let `tomostat.events.peak_memory` be the peak from now on (man 5 proc)."""
    RESET.write_text("5", encoding="ascii")
