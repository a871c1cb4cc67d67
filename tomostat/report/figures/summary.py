"""At a glance: the finding, and what limits it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import xarray as xr

from tomostat.datasets import FEWEST
from tomostat.manifest import ALL, StageWarning
from tomostat.messages import plural
from tomostat.report.data import ReportData
from tomostat.report.sections import Section
from tomostat.report.style import colour
from tomostat.report.text import PERCENT, between, condition_names, pair_names, percent, probability

FIRST = 8
"""Findings that are shown at once."""

PAIRS = 3
"""Pairs of conditions that the lead compares."""


def glance(data: ReportData) -> str:
    """The finding, and what limits it."""
    confidence = data.confidence
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in all_limitations(data))
    box = f'<div class="limitations"><h3>Limitations</h3><ul>{items}</ul></div>' if items else ""
    tiles = mean_tiles(data.results) if data.measured else ""
    findings = found_list(data.findings)
    return f'<p class="lead">{lead(data.results, confidence)}</p>\n{tiles}\n{findings}\n{box}'


def found_list(sentences: list[str]) -> str:
    """What was found; all but the first `FIRST` sentences unfold."""
    if not sentences:
        return ""
    items = [f"<li>{escape(sentence)}</li>" for sentence in sentences]
    more = (
        f"<details><summary>All findings</summary><ul>{''.join(items[FIRST:])}</ul></details>" if items[FIRST:] else ""
    )
    return f'<div class="findings"><h3>Findings</h3><ul>{"".join(items[:FIRST])}</ul>{more}</div>'


def all_limitations(data: ReportData) -> list[str]:
    """Limitations of the results, of the fields and of the run, in sentences."""
    found = data.limitations
    empty = [view.name for view in data.views if not data.count(view.name)]
    if empty:
        found.append(f"No particle was found in {', '.join(empty)}.")
    flat = [view.name for view in data.views if view.info.shape[0] == 1]
    if flat:
        found.append(
            f"A single slice ({', '.join(flat)}): volumes and surfaces are those of a sheet one voxel thick, and "
            "columns that need depth are empty."
        )
    two = [view.name for view in data.views if view.fit is not None and view.fit.levels.cbd is None]
    if two:
        found.append(
            f"Two phases only ({', '.join(two)}): without a carbon-binder phase there is no detachment to measure."
        )
    if "fully_detached" in data.counted and (count := int(data.counted["fully_detached"].sum())):
        found.append(
            f"{plural(count, 'particle')} without any contact: fully detached, so the resistance is infinite and "
            "left empty in the table."
        )
    warned: dict[tuple[str, str], list[str]] = {}
    for warning in stage_warnings(data):
        warned.setdefault((warning.stage, warning.text), []).append(warning.scope)
    return [*found, *(_warning(stage, scopes, text) for (stage, text), scopes in warned.items())]


def stage_warnings(data: ReportData) -> Sequence[StageWarning]:
    """What the stages warn of."""
    if data.provenance.warnings is not None:
        return data.provenance.warnings
    known = [(view.name, view.fit.warnings) for view in data.views if view.fit]
    return [StageWarning(name, "phases", text) for name, texts in known for text in texts]


def _warning(stage: str, scopes: Sequence[str], text: str) -> str:
    """A warning of a stage as a sentence."""
    fields = f" of {', '.join(scopes)}" if scopes != [ALL] else ""
    return f"{stage.capitalize()}{fields}: {text}."


def lead(results: xr.Dataset, confidence: float) -> str:
    """The finding in one or two sentences (HTML)."""
    conditions = condition_names(results)
    counts = results["n_particles"].sel(size="all")
    if not conditions:
        return "No particle was found."
    if not int(counts.sum()):
        return (
            "The degree of detachment could not be measured for any whole particle: it requires a carbon-binder phase "
            "that can be distinguished from the pores, and particles that lie whole in their field. Shapes, sizes and "
            "grey values below do not depend on it."
        )
    return _few(conditions, counts.values.tolist()) + _comparison(results, conditions, confidence)


def _few(conditions: Sequence[str], counts: Sequence[int]) -> str:
    """A warning of conditions with few particles; empty where there are none."""
    few = [f"{int(n)} of {escape(name)}" for name, n in zip(conditions, counts, strict=True) if n < FEWEST]
    if not few:
        return ""
    return (
        f"<b>Too few particles to speak for others ({', '.join(few)}):</b> the mean holds for these alone; larger or "
        "more fields have more that lie whole in them. "
    )


def _comparison(results: xr.Dataset, conditions: Sequence[str], confidence: float) -> str:
    """The mean of a single condition, or differences between several."""
    if len(conditions) == 1:
        summary = results["summary"].isel(condition=0).sel(size="all", statistic="mean")
        interval = results["summary_interval"].isel(condition=0).sel(size="all", statistic="mean")
        return (
            f"On average {percent(float(summary), 1)} of a particle's surface is detached from the carbon-binder "
            f"domain ({_level(confidence)} {between(interval, digits=1) or 'unknown'})."
        )
    return " ".join(_difference(results, index, confidence) for index in range(min(results.sizes["pair"], PAIRS)))


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
        f"Particles of {second} are {points} {direction} detached than those of {first}, a difference that may be due "
        f"to chance {tail}"
    )


def mean_tiles(results: xr.Dataset) -> str:
    """Mean detachment of every condition, large (HTML)."""
    parts = []
    for index, name in enumerate(condition_names(results)):
        one = results.isel(condition=index)
        mean = one["summary"].sel(size="all", statistic="mean")
        interval = between(one["summary_interval"].sel(size="all", statistic="mean"), digits=1)
        count, missing = int(one["n_particles"].sel(size="all")), int(one["n_missing"].sel(size="all"))
        places = f"{plural(int(one['n_fields']), 'field')}, {plural(int(one['n_samples']), 'sample')}"
        without = f", {missing} not measured" if missing else ""
        parts.append(
            f'<div class="tile" style="--tint:{colour(index)}"><div class="name">{escape(name)}</div>'
            f'<div class="value">{percent(float(mean), 1)}</div>'
            f'<div class="small">mean detachment {interval}<br>{plural(count, "particle")}{without}, {places}</div>'
            "</div>"
        )
    return f'<div class="tiles">{"".join(parts)}</div>' if parts else ""


SUMMARY = Section(anchor="glance", heading="At a glance", position=10, make=glance)
