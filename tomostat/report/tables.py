"""Tables of the page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import xarray as xr

from tomostat.datasets import shown_in
from tomostat.report.fields import FieldView
from tomostat.report.style import colour
from tomostat.report.text import (
    NONE,
    RHO,
    STATISTICS,
    TIMES,
    between,
    number,
    pair_names,
    percent,
    probability,
    significant,
    unit_text,
)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1, caption: str = "") -> str:
    """HTML table; the first `texts` columns are words, the others numbers. Cells are HTML."""

    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(f"<{tag}{' class=text' if i < texts else ''}>{v}</{tag}>" for i, v in enumerate(values))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    below = f"<caption>{caption}</caption>" if caption else ""
    top = f"<thead><tr>{cells('th', head)}</tr></thead>"
    return f'<div class="scroll"><table>{below}{top}<tbody>{body}</tbody></table></div>'


def with_interval(value: float, interval: Any, scale: float = 100, digits: int = 1) -> str:
    """A value with its interval in small print."""
    text = number(scale * value, digits)
    return text if text == NONE else f"{text}<small>{between(interval, scale, digits)}</small>"


def condition_cell(index: int, name: str) -> str:
    """Name of a condition with a dot in its colour."""
    return f'<span class="dot" style="--tint:{colour(index)}"></span>{escape(name)}'


def summary_table(results: xr.Dataset, split: float) -> str:
    """Detachment per condition and size group."""
    groups = {"all": "all", "small": f"small, < {split:g} µm", "big": f"big, ≥ {split:g} µm"}
    rows = []
    for index, name in enumerate(results["condition"].values):
        for size, words in groups.items():
            group = results.isel(condition=index).sel(size=size)
            cells = [
                with_interval(float(group["summary"].sel(statistic=s)), group["summary_interval"].sel(statistic=s))
                for s in STATISTICS
            ]
            counts = [str(int(group[n])) for n in ("n_particles", "n_missing", "n_border")]
            rows.append([condition_cell(index, str(name)) if size == "all" else "", words, *counts, *cells])
    head = ["condition", "particles", "used", "not measured", "at border", *STATISTICS]
    return table(
        head,
        rows,
        2,
        "Degree of detachment in percent, with confidence intervals in brackets. Spread: standard deviation.",
    )


def difference_table(results: xr.Dataset) -> str:
    """Differences between conditions, and between small and big particles."""
    rows = []
    for index, (first, second) in enumerate(pair_names(results)):
        for size in results["size"].values:
            one = results.isel(pair=index).sel(size=size)
            if not np.isfinite(one["difference"]).any():
                continue
            cells = []
            for statistic in STATISTICS:
                part = one.sel(statistic=statistic)
                cells.append(with_interval(float(part["difference"]), part["difference_interval"]))
                cells.append(probability(float(part["p_value"])))
            rows.append([f"{escape(second)} less {escape(first)}", str(size), *cells])
    for index, name in enumerate(results["condition"].values):
        one = results.isel(condition=index)
        if np.isfinite(one["size_difference"]).any():
            cells = []
            for statistic in STATISTICS:
                part = one.sel(statistic=statistic)
                cells += [with_interval(float(part["size_difference"]), part["size_difference_interval"]), ""]
            rows.append(["small less big", condition_cell(index, str(name)), *cells])
    if not rows:
        return ""
    head = ["difference", "of"] + [part for name in ("mean", "median", "peak", "spread") for part in (name, "p")]
    return table(
        head,
        rows,
        2,
        "Differences in percentage points. p-values: two-sided, by permutation, not corrected for their number.",
    )


def quantity_table(results: xr.Dataset) -> str:
    """Medians of further columns and their relation to the detachment."""
    conditions = [str(name) for name in results["condition"].values]
    rows = []
    for name in results["quantity"].values:
        one = results.sel(quantity=name)
        if not np.isfinite(one["quantity_median"]).any():
            continue
        cells = []
        for index in range(len(conditions)):
            group = one.isel(condition=index)
            cells.append(significant(float(group["quantity_median"].sel(size="all"))))
            cells.append(with_interval(float(group["correlation"]), group["correlation_interval"], 1, 2))
        unit, heading = unit_text(str(one["quantity_units"].item())), str(one["quantity_heading"].item())
        rows.append([escape(heading), escape(unit), *cells])
    head = ["quantity", "unit"]
    for index, name in enumerate(conditions):
        head += [f"{condition_cell(index, name)}: median", f"{RHO} with detachment"]
    caption = f"{RHO} is Spearman's rank correlation over the particles of one condition."
    return table(head, rows, 2, caption) if rows else ""


def field_table(views: Sequence[FieldView], places: Mapping[str, tuple[str, str]], counts: Mapping[str, int]) -> str:
    """What each field is, and what the phases stage found in it."""
    rows = []
    for view in views:
        sample, condition = places.get(view.name, ("", ""))
        shape, spacing = view.info.shape, view.info.spacing
        rows.append(
            [
                escape(view.name),
                escape(sample),
                escape(condition),
                TIMES.join(map(str, shape)),
                TIMES.join(f"{n * s:.3g}" for n, s in zip(shape, spacing, strict=True)),
                TIMES.join(f"{s:g}" for s in spacing) if len(set(spacing)) > 1 else f"{spacing[0]:g}",
                str(counts.get(view.name, 0)),
                *(significant(view.fit and getattr(view.fit.levels, phase)) for phase in ("pore", "cbd", "active")),
                significant(view.fit and view.fit.noise, 2),
                significant(view.fit and view.fit.blur, 2),
                *(percent(view.fractions.get(phase, np.nan)) for phase in ("pore", "cbd", "active")),
            ]
        )
    head = ["field", "sample", "condition", "voxels z y x", "size (µm)", "voxel (µm)", "particles"]
    head += [
        "grey: pore",
        "carbon-binder",
        "active",
        "noise",
        "blur (voxels)",
        "volume: pore",
        "carbon-binder",
        "active",
    ]
    caption = "Grey levels, noise and blur as fitted by the phases stage; volume fractions at the coarsest level."
    return table(head, rows, 3, caption)


def particle_json(particles: xr.Dataset, rows: int) -> tuple[str, list[tuple[str, str, bool]]]:
    """The first rows of the particle table for the page.

    Returns
    -------
    data, head
        JSON that may stand in a script element, and heading, unit and kind (words or not) of every column.
    """
    part = particles.isel(particle=slice(0, rows))
    shown = [part[name] for name in shown_in(part, "report") if part[name].ndim == 1 and _known(part[name].to_numpy())]
    digits = [int(column.attrs.get("digits", 3)) for column in shown]
    words = [column.dtype.kind in "OUST" for column in shown]
    body = [
        [_plain(value, places) for value, places in zip(row, digits, strict=True)]
        for row in zip(*(column.to_numpy() for column in shown), strict=True)
    ]
    spec = [{"digits": places, "text": word} for places, word in zip(digits, words, strict=True)]
    data = json.dumps({"columns": spec, "rows": body}, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return data, [
        (escape(str(column.attrs["heading"])), escape(unit_text(str(column.attrs["units"]))), word)
        for column, word in zip(shown, words, strict=True)
    ]


def _known(values: Any) -> bool:
    """Whether a column says anything; flags that no particle carries do not."""
    if values.dtype.kind == "b":
        return bool(values.any())
    return values.dtype.kind != "f" or bool(np.isfinite(values).any())


def _plain(value: Any, digits: int) -> Any:
    """A cell as JSON knows it; unknown numbers are null."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | float | np.number):
        return round(float(value), digits) if np.isfinite(value) else None
    return str(value)
