"""Resistance, density and other columns against the degree of detachment."""

from __future__ import annotations

from html import escape

import numpy as np
import xarray as xr

from tomostat.kernels.arrays import Doubles
from tomostat.report.data import ReportData
from tomostat.report.scatter import ReferenceCurve, against_detachment
from tomostat.report.sections import Section
from tomostat.report.tables import condition_cell, particle_rows, table, with_interval
from tomostat.report.text import RHO, condition_names, significant, unit_text

SHOWN = 2
"""Columns beside each other in the figure of `other_columns`."""

COLUMNS_BY_PREFERENCE = ("electron_density", "relative_intensity", "soc", "depth")

ROUND_GAP = "The dashed line is a ball whose gap is one round cap; particles below it have several or elongated gaps."
"""What `round_gap_resistance` shows; it holds for paths over the surface."""


def relations(data: ReportData) -> str:
    """Resistance, density and other columns against the detachment."""
    figures = resistance(data) + other_columns(data) if data.measured else ""
    return figures + quantity_table(data.results)


def resistance(data: ReportData) -> str:
    """Mean and spread of the local resistance."""
    particles = data.counted
    if "resistance_mean" not in particles or not np.isfinite(particles["resistance_mean"]).any():
        return ""
    labels = {"resistance_mean": "mean local resistance", "resistance_std": "spread of local resistance"}
    shown = [(name, f"{label} (relative)") for name, label in labels.items() if name in particles]
    solid = data.option("measure", "path") == "solid"
    way = "through the solid" if solid else "over the surface"
    return data.svg_figure(
        "resistance",
        against_detachment(particles, data.conditions, shown, {} if solid else _round_gap_curves()),
        "Local electrical resistance, mean and spread over the surface, against degree of detachment.",
        f"<b>Local resistance.</b> The shortest path of electrons {way} to the nearest contact, in radii of "
        "the ball of equal volume: mean and standard deviation over the whole surface."
        + ("" if solid else f" {ROUND_GAP}"),
        particle_rows(particles, "detachment", *labels),
    )


def other_columns(data: ReportData) -> str:
    """The first columns out of `COLUMNS_BY_PREFERENCE` that the table has values of."""
    particles = data.counted
    known = [name for name in COLUMNS_BY_PREFERENCE if name in particles and np.isfinite(particles[name]).any()]
    shown = [(name, axis_label(particles[name])) for name in known[:SHOWN]]
    if not shown:
        return ""
    words = " and ".join(str(particles[name].attrs["heading"]) for name, _ in shown)
    return data.svg_figure(
        "density",
        against_detachment(particles, data.conditions, shown),
        f"{words} of every particle against its degree of detachment.",
        f"<b>{words.capitalize()} against detachment.</b> One dot per particle.",
        particle_rows(particles, "detachment", *(name for name, _ in shown)),
    )


def axis_label(column: xr.DataArray) -> str:
    """Heading and unit of a column of the particle table."""
    unit = unit_text(str(column.attrs["units"]))
    return f"{column.attrs['heading']} ({unit})" if unit else str(column.attrs["heading"])


def quantity_table(results: xr.Dataset) -> str:
    """Medians of the columns shown in statistics, and their rank correlations with the detachment."""
    conditions = condition_names(results)
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


def _round_gap_curves() -> dict[str, ReferenceCurve]:
    """What a ball with one round gap would have, by column."""
    degree, mean, spread = round_gap_resistance()
    label = "ball with one round gap"
    return {
        "resistance_mean": ReferenceCurve(degree, mean, label),
        "resistance_std": ReferenceCurve(degree, spread, label),
    }


def round_gap_resistance() -> tuple[Doubles, Doubles, Doubles]:
    """Detachment, and mean and spread of the relative resistance, of a ball with one round gap around a pole.

    The gap has half-angle t0, so its share of the surface is (1 - cos t0) / 2; a point at angle t from the pole is
    t0 - t radii away from the contact. Moments of it over the whole surface.
    """
    angle = np.linspace(0, np.pi, 100)
    mean = (angle - np.sin(angle)) / 2
    square = (angle**2 - 2 + 2 * np.cos(angle)) / 2
    return (1 - np.cos(angle)) / 2, mean, np.sqrt(np.maximum(square - mean**2, 0))


RELATIONS = Section(anchor="relations", heading="Detachment and other quantities", position=40, make=relations)
