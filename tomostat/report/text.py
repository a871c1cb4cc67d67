"""Numbers and sentences of the page."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import xarray as xr

from tomostat.report.style import colour

NONE = "\u2013"
TIMES = " \u00d7 "
RHO = "\u03c1"
SIGMA = "\u03c3"
PERCENT = "\u00a0%"
"""Percent sign with the space that does not break."""
STATISTICS = ("mean", "median", "peak", "spread")


def percent(value: float, digits: int = 0) -> str:
    """A share as percent."""
    return f"{100 * value:.{digits}f}{PERCENT}" if np.isfinite(value) else NONE


def number(value: Any, digits: int = 2) -> str:
    """A number, or a dash where there is none."""
    return f"{float(value):.{digits}f}" if value is not None and np.isfinite(float(value)) else NONE


def significant(value: Any, digits: int = 3) -> str:
    """A number with so many significant digits, never in powers of ten below a million."""
    if value is None or not np.isfinite(float(value)):
        return NONE
    places = max(0, digits - 1 - int(np.floor(np.log10(abs(float(value)))))) if value else 0
    return f"{float(value):.{places}f}"


def unit_text(units: str) -> str:
    """A unit as people write it; nothing for pure numbers."""
    known = {"1": "", "angstrom^-3": "1/Å³"}
    return known.get(units, units.replace("micrometer", "µm").replace("^3", "³").replace("^2", "²"))


def between(interval: Any, scale: float = 100, digits: int = 0) -> str:
    """An interval in brackets, or nothing."""
    low, high = (float(side) * scale for side in np.asarray(interval))
    return f"[{low:.{digits}f}, {high:.{digits}f}]" if np.isfinite(low + high) else ""


def plural(count: int, word: str) -> str:
    """A count with its noun."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def probability(value: float) -> str:
    """A p-value."""
    if not np.isfinite(value):
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def lead(results: xr.Dataset, confidence: float) -> str:
    """The finding in one or two sentences (HTML)."""
    conditions = [str(name) for name in results["condition"].values]
    counts = results["n_particles"].sel(size="all")
    if not conditions:
        return "No particle was found."
    if not int(counts.sum()):
        return (
            "The degree of detachment could not be measured for any particle: that takes a carbon-binder phase told "
            "apart from the pores. Shapes, sizes and grey values below hold all the same."
        )
    if len(conditions) == 1:
        summary = results["summary"].isel(condition=0).sel(size="all", statistic="mean")
        interval = results["summary_interval"].isel(condition=0).sel(size="all", statistic="mean")
        return (
            f"On average {percent(float(summary), 1)} of a particle's surface is detached from the carbon-binder "
            f"domain ({_level(confidence)} {between(interval, digits=1) or 'unknown'})."
        )
    return " ".join(_difference(results, index, confidence) for index in range(min(results.sizes["pair"], 3)))


def _level(confidence: float) -> str:
    return f"{100 * confidence:g}{PERCENT} interval"


def _difference(results: xr.Dataset, index: int, confidence: float) -> str:
    """One pair of conditions in a sentence."""
    chosen = {"size": "all", "statistic": "mean"}
    pair = results.isel(pair=index)
    names = pair_names(results)[index]
    difference = float(pair["difference"].sel(chosen))
    interval = np.asarray(pair["difference_interval"].sel(chosen))
    first, second = (escape(name) for name in names)
    if not np.isfinite(difference):
        return f"{second} and {first} cannot be compared: one of them has no measured detachment."
    p, ways = float(pair["p_value"].sel(chosen)), float(pair["permutations"])
    test = f"p {'' if p < 0.001 else '= '}{probability(p)}".replace(" ", "\u00a0")
    tested = f"{test}, {f'{ways:.0f}' if ways < 1e6 else f'{ways:.1e}'} ways to permute whole {pair['permuted'].item()}"
    tail = f"({_level(confidence)} {between(interval, digits=1) or 'unknown'}; {tested})."
    points = f"{abs(100 * difference):.1f} percentage points"
    direction = "more" if difference > 0 else "less"
    if interval[0] * interval[1] > 0 and p <= 1 - confidence:
        return f"Particles of {second} are {points} {direction} detached than those of {first} {tail}"
    return (
        f"Particles of {second} come out {points} {direction} detached than those of {first}, a difference that chance "
        f"may explain {tail}"
    )


def pair_names(results: xr.Dataset) -> list[tuple[str, str]]:
    """The conditions of every pair, in the order of the results."""
    names = [str(name) for name in results["condition"].values]
    return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]


def tiles(results: xr.Dataset) -> str:
    """Mean detachment of every condition, large (HTML)."""
    parts = []
    for index, name in enumerate(results["condition"].values):
        one = results.isel(condition=index)
        mean = one["summary"].sel(size="all", statistic="mean")
        interval = between(one["summary_interval"].sel(size="all", statistic="mean"), digits=1)
        count, missing = int(one["n_particles"].sel(size="all")), int(one["n_missing"].sel(size="all"))
        places = f"{plural(int(one['n_fields']), 'field')}, {plural(int(one['n_samples']), 'sample')}"
        without = f", {missing} not measured" if missing else ""
        parts.append(
            f'<div class="tile" style="--tint:{colour(index)}"><div class="name">{escape(str(name))}</div>'
            f'<div class="value">{percent(float(mean), 1)}</div>'
            f'<div class="small">mean detachment {interval}<br>{plural(count, "particle")}{without}, {places}</div>'
            "</div>"
        )
    return f'<div class="tiles">{"".join(parts)}</div>' if parts else ""
