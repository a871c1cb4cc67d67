"""The linked plots: a click shows a particle in sections and in 3D, a selection holds in all plots and in the table."""

from __future__ import annotations

import json
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr

from tomostat.datasets import shown_in
from tomostat.report.data import ReportData
from tomostat.report.embedding import asset
from tomostat.report.figures.gallery import labelled_fields
from tomostat.report.pictures import particle_pictures
from tomostat.report.scatter import in_condition
from tomostat.report.sections import Section
from tomostat.report.style import CONTACT, GAP, MISSING, PHASES, colour, degrees_map, resistance_map
from tomostat.report.tables import KEYS
from tomostat.report.text import unit_text

SIGNIFICANT = 5
"""Significant digits of numbers on the page; the file beside it holds all."""

PLOTS = (
    ("volume", "detachment"),
    ("detachment", "resistance_mean"),
    ("field", "detachment"),
    ("detachment", "electron_density"),
)
"""Columns along x and y that the plots show at first; where one is not known, others take its place."""

TINTS = 33
"""Colours of a scale that the page interpolates between."""


def explorer(data: ReportData) -> str:
    """The linked plots, the particle that is shown, and the table."""
    particles = data.particles
    if not particles.sizes["particle"]:
        return '<p>The table is empty: <a href="particles.csv">particles.csv</a>.</p>'
    top = resistance_top(particles)
    lines = particle_pictures(particles, labelled_fields(data), top, data.options.pictured_particles, data.execution)
    content = {
        "columns": [described(particles[name]) for name in listed(particles)],
        "values": [plain(particles[name].to_numpy()) for name in listed(particles)],
        "groups": groups(particles, data.conditions),
        "conditions": [{"name": name, "colour": colour(index)} for index, name in enumerate(data.conditions)],
        "plots": PLOTS,
        "rows": data.options.table_rows,
        "scales": {
            "contact": {"top": 1, "colours": _tints(contact_map()), "title": "contact"},
            "resistance": {
                "top": float(f"{top:.3g}"),
                "colours": _tints(resistance_map()),
                "title": "local resistance",
            },
            "detachment": {"top": 1, "colours": _tints(degrees_map()), "title": "degree of detachment"},
        },
        "phases": [{"name": name, "colour": tint} for name, tint in PHASES.values()],
        "heights": heights(particles),
        "tints": {"contact": CONTACT, "gap": GAP, "unknown": MISSING},
    }
    panels = asset("explorer.html")
    pictures = "\n".join(lines)
    return (
        f"{panels}"
        f'<script type="application/json" id="particles-data">{script_json(content)}</script>'
        f'<script type="text/plain" id="particles-pictures">{pictures}</script>'
    )


def script_json(content: Any) -> str:
    """JSON that may stand in a script element."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def listed(particles: xr.Dataset) -> list[str]:
    """Columns on the page: those of the report's table first, then all others of one known value per particle.

    Behind what names a particle come the columns that the plots show at first, so that they are seen without scrolling.
    """
    plotted = {name for pair in PLOTS for name in pair}
    first = sorted(shown_in(particles, "report"), key=lambda name: 0 if name in KEYS else 1 if name in plotted else 2)
    names = [*first, *(str(name) for name in particles.data_vars if name not in first)]
    return [name for name in names if particles[name].dims == ("particle",) and known(particles[name].to_numpy())]


def known(values: Any) -> bool:
    """Whether a column says anything; flags that no particle carries do not."""
    if values.dtype.kind == "b":
        return bool(values.any())
    return values.dtype.kind != "f" or bool(np.isfinite(values).any())


def described(column: xr.DataArray) -> dict[str, Any]:
    """What the page knows of a column."""
    attributes = column.attrs
    return {
        "name": column.name,
        "heading": str(attributes.get("heading", str(column.name).replace("_", " "))),
        "unit": unit_text(str(attributes.get("units", ""))),
        "meaning": str(attributes.get("long_name", "")),
        "definition": str(attributes.get("definition", "")),
        "digits": int(attributes.get("digits", 3)),
        "text": column.dtype.kind in "OUST",
        "listed": "report" in attributes.get("shown", ()),
    }


def plain(values: Any) -> list[Any]:
    """A column as JSON knows it, rounded to `SIGNIFICANT` digits; unknown numbers are null."""
    if values.dtype.kind == "f":
        return [float(f"{value:.{SIGNIFICANT}g}") if np.isfinite(value) else None for value in values.tolist()]
    return [value if isinstance(value, bool | int) else str(value) for value in values.tolist()]


def groups(particles: xr.Dataset, conditions: list[str]) -> list[int]:
    """Place of every particle's condition among the conditions."""
    found = np.zeros(particles.sizes["particle"], int)
    for index, name in enumerate(conditions):
        found[in_condition(particles, name, conditions)] = index
    return found.tolist()


def heights(particles: xr.Dataset) -> list[Any]:
    """Place of every particle across the slices, micrometers; null where it is not known."""
    if "centroid" not in particles:
        return [None] * particles.sizes["particle"]
    return plain(particles["centroid"].sel(axis="z").to_numpy())


def resistance_top(particles: xr.Dataset) -> float:
    """Local resistance at the end of the scale: few particles reach beyond."""
    if "resistance_max" not in particles:
        return 1.0
    values = particles["resistance_max"].to_numpy()
    values = values[np.isfinite(values)]
    return max(float(np.quantile(values, 0.9)), 0.1) if values.size else 1.0


def contact_map() -> mpl.colors.Colormap:
    """Colours of contact with carbon-binder: from gap (0) over its border (1/2) to contact (1)."""
    return mpl.colors.LinearSegmentedColormap.from_list("contact", [GAP, "#f2efe9", CONTACT])


def _tints(scale: mpl.colors.Colormap) -> list[str]:
    return [mpl.colors.to_hex(tint) for tint in scale(np.linspace(0, 1, TINTS))]


EXPLORER = Section(anchor="explore", heading="Explore", position=15, make=explorer, by_tasks=True)
