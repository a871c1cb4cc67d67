"""Time and memory that a piece of work takes in this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median


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
    return _status("VmRSS")


def peak_memory() -> int:
    """Most memory that this process has held since it began, or since `reset_peak_memory`, in bytes."""
    return _status("VmHWM")


def reset_peak_memory() -> None:
    """Measure the peak from now on (man 5 proc)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(name: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{name}:")[1].split()[0]) * 1024
