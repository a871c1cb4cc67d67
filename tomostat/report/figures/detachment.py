"""Distributions of the degree of detachment, and their numbers."""

from __future__ import annotations

import math
from html import escape

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tomostat.datasets import FEWEST
from tomostat.report.data import ReportData
from tomostat.report.scatter import in_condition
from tomostat.report.sections import Section
from tomostat.report.style import colour, letter, new_figure
from tomostat.report.tables import condition_cell, table, with_interval
from tomostat.report.text import STATISTICS, condition_names, pair_names, percent, probability

LINES = {"small": (0, (3.5, 1.6)), "big": "solid"}
ACROSS = 3
"""Panels side by side."""


def distribution(data: ReportData) -> str:
    """Distribution of the detachment, and its numbers."""
    if not data.measured:
        return ""
    results, split = data.results, data.size_split
    level = f"{100 * data.confidence:g} %"
    counts = results["n_particles"].sel(size="all").values
    peaks = results["summary"].sel(size="all", statistic="peak").to_numpy()
    alt = "Probability density of the degree of detachment. " + " ".join(
        f"{name}: peak at {percent(peak)}, {count} particles."
        for name, peak, count in zip(data.conditions, peaks, counts, strict=True)
    )
    caption = (
        "<b>Distribution of the degree of detachment</b> (0 % intact, 100 % fully detached). Panel a: all particles of "
        f"each condition; then big (solid) and small (dashed) particles, separated at {split:g} µm. Lines are kernel "
        f"estimates, steps the histogram, triangles the peaks, bands pointwise {level} intervals that include the "
        "variation between particles, fields and samples."
    )
    figure = data.svg_figure(
        "detachment", draw_distributions(data.analyzed, results, split), alt, caption, density_rows(results)
    )
    return figure + summary_table(results, split) + difference_table(results)


def density_rows(results: xr.Dataset) -> pd.DataFrame:
    """The densities with their intervals, one row per condition, size group and degree of detachment."""
    interval = results["density_interval"].to_dataset("bound")
    return results[["density"]].merge(interval).to_dataframe().reset_index()


def draw_distributions(particles: xr.Dataset, results: xr.Dataset, split: float) -> Figure:
    """Probability density of detachment per condition, and per size group within each (Fig. 4a-c).

    Groups of fewer than `FEWEST` particles are drawn as one mark per particle.
    """
    conditions = condition_names(results)
    panels = 1 + len(conditions)
    across = min(panels, ACROSS)
    rows = math.ceil(panels / across)
    figure = new_figure(10.6, 3.3 * rows)
    grid = figure.subplots(rows, across, squeeze=False, sharex=True, sharey=True).ravel()
    for axes in grid[panels:]:
        axes.set_visible(False)
    for index, name in enumerate(conditions):
        mine = particles.isel(particle=np.flatnonzero(in_condition(particles, name, conditions)))
        tint = colour(index)
        _density(grid[0], results.sel(condition=name, size="all"), mine, tint, "solid", name)
        small = mine["equivalent_diameter"].to_numpy() < split
        for size, bound, chosen in (("big", f"≥ {split:g} µm", ~small), ("small", f"< {split:g} µm", small)):
            group = mine.isel(particle=np.flatnonzero(chosen))
            _density(grid[1 + index], results.sel(condition=name, size=size), group, tint, LINES[size], bound)
        grid[1 + index].set_title(f"{name}: small and big particles")
    grid[0].set_title("All particles" if len(conditions) < 2 else "Conditions compared")
    reached = [axes.dataLim.ymax for axes in grid[:panels] if axes.lines]
    top = max(filter(np.isfinite, reached), default=1.0)
    for index, axes in enumerate(grid[:panels]):
        letter(axes, "abcdefghijklmnopqrstuvwxyz"[index % 26])
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.25 * top or 1.0)  # room for the legend
        axes.set_xlabel("degree of detachment")
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper right", handlelength=2.2)
        else:
            axes.text(0.5, 0.5, "no particle lies whole inside its field", ha="center", transform=axes.transAxes)
        if index % across == 0:
            axes.set_ylabel("probability density")
    return figure


def _density(axes: Axes, group: xr.Dataset, particles: xr.Dataset, tint: str, line: object, name: str) -> None:
    """One density with its interval, histogram and peak; or the particles, where they are few."""
    count = int(group["n_particles"])
    if not count:
        return
    if count < FEWEST:
        values = particles["detachment"].to_numpy()
        axes.plot(
            values, np.zeros(values.size), "|", color=tint, markersize=12, markeredgewidth=1.6,
            label=f"{name}  (n = {count}, too few for a curve)",
        )  # fmt: skip
        return
    grid, density = group["degree"].to_numpy(), group["density"].to_numpy()
    low, high = group["density_interval"].transpose("bound", "degree").to_numpy()
    if np.isfinite(low).all():
        axes.fill_between(grid, low, high, color=tint, alpha=0.12, linewidth=0)
    if str(group["size"].item()) == "all":
        edges = np.linspace(0, 1, group.sizes["bin"] + 1)
        axes.stairs(group["histogram"].to_numpy(), edges, color=tint, alpha=0.4, linewidth=0.7)
    axes.plot(grid, density, color=tint, linestyle=line, label=f"{name}  (n = {count})")
    peak = float(group["summary"].sel(statistic="peak"))
    axes.plot([peak], [density.max()], marker="v", color=tint, markersize=5, markeredgecolor="white", clip_on=False)


def summary_table(results: xr.Dataset, split: float) -> str:
    """Detachment per condition and size group."""
    groups = {"all": "all", "small": f"small, < {split:g} µm", "big": f"big, ≥ {split:g} µm"}
    rows = []
    for index, name in enumerate(condition_names(results)):
        for size, words in groups.items():
            group = results.isel(condition=index).sel(size=size)
            cells = [
                with_interval(float(group["summary"].sel(statistic=s)), group["summary_interval"].sel(statistic=s))
                for s in STATISTICS
            ]
            counts = [str(int(group[n])) for n in ("n_particles", "n_missing", "n_border")]
            rows.append([condition_cell(index, name) if size == "all" else "", words, *counts, *cells])
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
            rows.append([f"{escape(second)} minus {escape(first)}", str(size), *cells])
    for index, name in enumerate(condition_names(results)):
        one = results.isel(condition=index)
        if np.isfinite(one["size_difference"]).any():
            cells = []
            for statistic in STATISTICS:
                part = one.sel(statistic=statistic)
                cells += [with_interval(float(part["size_difference"]), part["size_difference_interval"]), ""]
            rows.append(["small minus big", condition_cell(index, name), *cells])
    if not rows:
        return ""
    head = ["difference", "of"] + [part for name in ("mean", "median", "peak", "spread") for part in (name, "p")]
    return table(
        head,
        rows,
        2,
        "Differences in percentage points. p-values: two-sided, by permutation, not corrected for their number.",
    )


DETACHMENT = Section(anchor="distribution", heading="Detachment", position=20, make=distribution)
