"""Figures asked and got, side by side: what every benchmark's `main` prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
