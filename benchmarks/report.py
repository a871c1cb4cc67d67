"""Figures asked and got, side by side: what every benchmark's `main` prints; and the memory of a process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda got, asked: got >= asked,
    "<=": lambda got, asked: got <= asked,
    "==": lambda got, asked: got == asked,
}


@dataclass(frozen=True)
class Figure:
    """One line: what was measured, what was asked, what came out."""

    what: str
    got: float
    asked: float | None = None
    comparison: str = ">="
    unit: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the bar is met; None where nothing was asked."""
        return None if self.asked is None else COMPARISONS[self.comparison](self.got, self.asked)


def print_figures(title: str, figures: list[Figure]) -> None:
    """Print a table of figures."""
    print(f"\n{title}\n" + "-" * 96)
    for figure in figures:
        asked = "" if figure.asked is None else f"asked {figure.comparison} {figure.asked:g}"
        verdict = {True: "met", False: "SHORT", None: ""}[figure.holds]
        print(f"{figure.what:<58}{figure.got:>11.4g} {figure.unit:<8}{asked:<16}{verdict}", flush=True)


def memory() -> int:
    """Memory that this process holds, in bytes."""
    return _status("VmRSS")


def peak_memory() -> int:
    """Most memory that this process has held since it began, or since `forget_peak`, in bytes."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Let the peak start anew (man 5 proc)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(name: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{name}:")[1].split()[0]) * 1024
