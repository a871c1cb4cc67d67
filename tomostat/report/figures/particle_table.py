"""The particle table, to sort and filter."""

from __future__ import annotations

import json
from html import escape
from typing import Any

import numpy as np
import xarray as xr

from tomostat.datasets import shown_in
from tomostat.report.data import ReportData
from tomostat.report.sections import Section
from tomostat.report.text import unit_text


def particle_table(data: ReportData) -> str:
    """Rows of the table, to sort and filter."""
    particles, count = data.particles, data.particles.sizes["particle"]
    if not count:
        return '<p>The table is empty: <a href="particles.csv">particles.csv</a>.</p>'
    listed, head = particle_json(particles, data.options.table_rows)
    cells = "".join(
        f'<th scope="col"{" class=text" if word else ""}>'
        f'<button type="button">{heading}<small>{unit}</small></button></th>'
        for heading, unit, word in head
    )
    cut = f"The first {data.options.table_rows} of {count} particles. " if count > data.options.table_rows else ""
    return (
        f'<p>{cut}All columns of all particles: <a href="particles.csv">particles.csv</a>.</p>'
        '<div class="controls"><label>Filter '
        '<input id="particles-filter" type="search" placeholder="field, label, ..."></label>'
        '<span id="particles-shown" aria-live="polite"></span></div>'
        f'<div class="scroll" id="particles-box" tabindex="0" role="region" aria-label="Particles">'
        f'<table id="particles-table"><thead><tr>{cells}</tr></thead><tbody></tbody></table></div>'
        "<noscript><p>The table needs JavaScript; the file does not.</p></noscript>"
        f'<script type="application/json" id="particles-data">{listed}</script>'
    )


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


PARTICLES = Section(anchor="particles", heading="Particle table", position=80, make=particle_table)
