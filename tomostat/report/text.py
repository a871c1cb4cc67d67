"""Numbers and sentences of the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

DASH = "\u2013"
TIMES = " \u00d7 "
RHO = "\u03c1"
SIGMA = "\u03c3"
PERCENT = "\u00a0%"
"""Percent sign with the space that does not break."""
STATISTICS = ("mean", "median", "peak", "spread")


def percent(value: float, digits: int = 0) -> str:
    """A share as percent."""
    return f"{100 * value:.{digits}f}{PERCENT}" if np.isfinite(value) else DASH


def number(value: Any, digits: int = 2) -> str:
    """A number, or a dash where it is unknown."""
    return f"{float(value):z.{digits}f}" if value is not None and np.isfinite(float(value)) else DASH


def significant(value: Any, digits: int = 3) -> str:
    """A number with so many significant digits, without an exponent."""
    if value is None or not np.isfinite(float(value)):
        return DASH
    places = max(0, digits - 1 - int(np.floor(np.log10(abs(float(value)))))) if value else 0
    return f"{float(value):.{places}f}"


def unit_text(units: str) -> str:
    """A unit in the usual notation; empty for pure numbers."""
    known = {"1": "", "angstrom^-3": "1/Å³"}
    return known.get(units, units.replace("micrometer", "µm").replace("^3", "³").replace("^2", "²"))


def short_units(sentence: str) -> str:
    """A sentence with micrometers written as on the rest of the page."""
    return re.sub(r"\bmicrometers?\b", "µm", sentence)


def between(interval: Any, scale: float = 100, digits: int = 0) -> str:
    """An interval in brackets; empty where it is unknown."""
    low, high = (float(side) * scale for side in np.asarray(interval))
    return f"[{low:z.{digits}f}, {high:z.{digits}f}]" if np.isfinite(low + high) else ""


def join_words(words: Sequence[str]) -> str:
    """Words with commas and an "and"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def probability(value: float) -> str:
    """A p-value."""
    if not np.isfinite(value):
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def file_name(name: str) -> str:
    """A name as part of the name of a file."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)


def condition_names(results: xr.Dataset) -> list[str]:
    """Conditions in the order of the results."""
    return [str(name) for name in results["condition"].values]


def pair_names(results: xr.Dataset) -> list[tuple[str, str]]:
    """The conditions of every pair, in the order of the results."""
    names = condition_names(results)
    return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
