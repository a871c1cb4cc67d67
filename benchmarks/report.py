"""The table that every benchmark prints: what is measured beside what is required."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda value, required: value >= required,
    "<=": lambda value, required: value <= required,
    "==": lambda value, required: value == required,
}


@dataclass(frozen=True)
class Result:
    """One line of a table.

    Attributes
    ----------
    name
        What was measured.
    value
        What came out.
    required
        The bound that the value must keep; None where there is none.
    comparison
        How it must compare with the bound, one of `COMPARISONS`.
    unit
        Unit of both.
    """

    name: str
    value: float
    required: float | None = None
    comparison: str = ">="
    unit: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the bound is kept; None where there is none."""
        return None if self.required is None else COMPARISONS[self.comparison](self.value, self.required)


PRINTED: dict[str, list[Result]] = {}
"""Tables that were printed, by their titles; `benchmarks.figures` keeps them."""


def print_results(title: str, results: list[Result]) -> None:
    """Print a table."""
    PRINTED[title] = results
    print(f"\n{title}\n" + "-" * 96)
    for result in results:
        required = "" if result.required is None else f"required {result.comparison} {result.required:g}"
        met = {True: "met", False: "NOT MET", None: ""}[result.met]
        print(f"{result.name:<58}{result.value:>11.4g} {result.unit:<9}{required:<19}{met}", flush=True)
