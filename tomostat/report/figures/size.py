"""Sizes of the particles, and detachment against volume."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from tomostat.report.data import ReportData
from tomostat.report.scatter import VECTORS, degree_axis, dots_of, in_condition
from tomostat.report.sections import Section
from tomostat.report.style import MUTED, colour, logarithmic, new_figure
from tomostat.report.tables import condition_cell, particle_rows, table, with_interval

AT_BORDER = {
    "weighted": "left out and the others weighted for it",
    "excluded": "left out",
    "kept": "kept, with the part of them that is inside",
}
"""What happens to particles at the border, by the option border of analyze."""


def size(data: ReportData) -> str:
    """Sizes, and detachment against volume."""
    particles, split = data.counted, data.size_split
    if not np.isfinite(particles["equivalent_diameter"]).any():
        return ""
    parts = [
        data.svg_figure(
            "sizes",
            draw_sizes(particles, data.conditions, split),
            "Histogram of equivalent diameters per condition.",
            "<b>Particle sizes.</b> Diameter of the ball of equal volume, particles at the border included.",
            particle_rows(particles, "equivalent_diameter", "touches_border"),
        )
    ]
    if data.measured and "volume" in particles:
        parts.append(
            data.svg_figure(
                "detachment-volume",
                draw_against_volume(particles, data.results, data.conditions),
                "Degree of detachment of every particle against its volume, with running median.",
                "<b>Detachment against volume.</b> One dot per particle, open where the field's border cuts it. Lines "
                "are the median of particles of about that volume, bands their 10 to 90 %.",
                volume_rows(particles, data.results),
            )
        )
    return f'<div class="pair">{"".join(parts)}</div>' + percentile_table(data)


def percentile_table(data: ReportData) -> str:
    """D10, D50, D90 and span of every condition, by number and by volume."""
    results = data.results
    rows = []
    for index, name in enumerate(data.conditions):
        for weighting in results["weighting"].values:
            one = results.isel(condition=index).sel(weighting=weighting)
            cells = [
                with_interval(value, interval, scale=1, digits=2)
                for value, interval in zip(
                    one["size_percentile"].values, one["size_percentile_interval"].values, strict=True
                )
            ]
            span = with_interval(float(one["size_span"]), one["size_span_interval"], scale=1, digits=2)
            rows.append([condition_cell(index, name), str(weighting), *cells, span])
    head = ["condition", "by", *(f"D{percent} (µm)" for percent in results["percentile"].values), "span"]
    caption = (
        f"Diameter below which 10, 50 and 90 % of the particles, or of their volume, lie, with {data.confidence:.0%} "
        f"intervals; particles that the border cuts are {AT_BORDER[data.border]}. The span is (D90 - D10) / D50."
    )
    return table(head, rows, 2, caption)


def volume_rows(particles: xr.Dataset, results: xr.Dataset) -> pd.DataFrame:
    """What the figure of detachment against volume shows: every particle, and quantiles of those of about a volume."""
    dots = particle_rows(particles, "volume", "detachment", "touches_border")
    trend = results["trend"].to_series().rename("detachment").reset_index()
    return pd.concat([dots, trend], ignore_index=True)


def draw_sizes(particles: xr.Dataset, conditions: list[str], split: float) -> Figure:
    """Distribution of the diameters per condition."""
    figure = new_figure(5.2, 3.3)
    axes = figure.subplots()
    diameter = particles["equivalent_diameter"].to_numpy()
    edges = np.histogram_bin_edges(
        diameter[np.isfinite(diameter)], bins=min(24, max(6, round(diameter.size**0.5)))
    ).tolist()
    for index, name in enumerate(conditions):
        mine = diameter[in_condition(particles, name, conditions)]
        axes.hist(mine, edges, histtype="stepfilled", color=colour(index), alpha=0.18)
        axes.hist(mine, edges, histtype="step", color=colour(index), linewidth=1.5, label=f"{name}  (n = {mine.size})")
    axes.axvline(split, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
    axes.annotate(
        f"split at {split:g} µm",
        (split, 1),
        (0, 2),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="center",
        size=8,
        color=MUTED,
    )
    axes.set_xlabel("equivalent diameter (µm)")
    axes.set_ylabel("particles")
    axes.legend(loc="upper right")
    return figure


def draw_against_volume(particles: xr.Dataset, results: xr.Dataset, conditions: list[str]) -> Figure:
    """Detachment of every particle against its volume, with the trend (Fig. 4d)."""
    figure = new_figure(5.2, 3.3)
    axes = figure.subplots()
    for index, name in enumerate(conditions):
        rows = dots_of(particles, name, conditions)
        border = rows["touches_border"].to_numpy().astype(bool) if "touches_border" in rows else np.array(False)
        tint = colour(index)
        for open_dot in (True, False):
            part = rows.isel(particle=np.flatnonzero(np.broadcast_to(border, rows.sizes["particle"]) == open_dot))
            axes.scatter(
                part["volume"],
                part["detachment"],
                s=11,
                facecolor="none" if open_dot else tint,
                edgecolor=tint if open_dot else "white",
                alpha=0.45 if open_dot else 0.75,
                linewidth=0.6 if open_dot else 0.3,
                rasterized=particles.sizes["particle"] > VECTORS,
            )
        low, middle, high = results["trend"].sel(condition=name).transpose("quantile", "volume").to_numpy()
        volumes = results["volume"].to_numpy()
        axes.fill_between(volumes, low, high, color=tint, alpha=0.13, linewidth=0)
        axes.plot(volumes, middle, color=tint, label=name)
    if (particles["volume"] > 0).any():  # a volume of one slice has none
        logarithmic(axes, "x")
    degree_axis(axes, "y")
    axes.set_xlabel("particle volume (µm³)")
    axes.legend(loc="upper right", title="median, 10 to 90 %", title_fontsize=8)
    return figure


SIZE = Section(anchor="size", heading="Size", position=30, make=size)
