"""Charts of the results: what Fig. 4 of Jiang et al. (2020) shows, with intervals, and what explains it."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from tomostat.report.style import GRID, INK, MUTED, colour, letter, new_figure

Array = NDArray[np.float64]

LINES = {"small": (0, (3.5, 1.6)), "big": "solid"}
ACROSS = 3
"""Panels side by side."""
DOTS = 4000
"""Dots in a scatter plot beyond which a fixed part of them is drawn."""


def distributions(results: xr.Dataset, split: float) -> Figure:
    """Probability density of detachment per condition, and per size group within each (Fig. 4a-c)."""
    conditions = [str(name) for name in results["condition"].values]
    panels = 1 + len(conditions)
    across = min(panels, ACROSS)
    rows = math.ceil(panels / across)
    figure = new_figure(10.6, 3.3 * rows)
    grid = figure.subplots(rows, across, squeeze=False, sharex=True, sharey=True).ravel()
    for axes in grid[panels:]:
        axes.set_visible(False)
    for index, name in enumerate(conditions):
        _density(grid[0], results.sel(condition=name, size="all"), colour(index), "solid", name)
        for size in ("big", "small"):
            bound = f"≥ {split:g} µm" if size == "big" else f"< {split:g} µm"
            _density(grid[1 + index], results.sel(condition=name, size=size), colour(index), LINES[size], bound)
        grid[1 + index].set_title(f"{name}: small and big particles")
    grid[0].set_title("All particles" if len(conditions) < 2 else "Conditions compared")
    top = float(results["density"].max()) if results["n_particles"].any() else 1.0
    for index, axes in enumerate(grid[:panels]):
        letter(axes, "abcdefghijklmnopqrstuvwxyz"[index % 26])
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.55 * top)
        axes.set_xlabel("degree of detachment")
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper right", handlelength=2.2)
        else:
            axes.text(0.5, 0.5, "no particle lies whole inside its field", ha="center", transform=axes.transAxes)
        if index % across == 0:
            axes.set_ylabel("probability density")
    return figure


def _density(axes: Axes, group: xr.Dataset, tint: str, line: object, name: str) -> None:
    """One density with its interval, histogram and peak."""
    count = int(group["n_particles"])
    if not count:
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


def sizes(particles: xr.Dataset, conditions: list[str], split: float) -> Figure:
    """Distribution of the diameters per condition."""
    figure = new_figure(5.2, 3.3)
    axes = figure.subplots()
    diameter = particles["equivalent_diameter"].to_numpy()
    edges = np.histogram_bin_edges(
        diameter[np.isfinite(diameter)], bins=min(24, max(6, round(diameter.size**0.5)))
    ).tolist()
    for index, name in enumerate(conditions):
        mine = diameter[belongs(particles, name, conditions)]
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


def against_volume(particles: xr.Dataset, results: xr.Dataset, conditions: list[str]) -> Figure:
    """Detachment of every particle against its volume, with the trend (Fig. 4d)."""
    figure = new_figure(5.2, 3.3)
    axes = figure.subplots()
    for index, name in enumerate(conditions):
        rows = _some(particles.isel(particle=np.flatnonzero(belongs(particles, name, conditions))))
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
            )
        low, middle, high = results["trend"].sel(condition=name).transpose("quantile", "volume").to_numpy()
        volumes = results["volume"].to_numpy()
        axes.fill_between(volumes, low, high, color=tint, alpha=0.13, linewidth=0)
        axes.plot(volumes, middle, color=tint, label=name)
    if (particles["volume"] > 0).any():  # a volume of one slice has none
        axes.set_xscale("log")
    _degree_axis(axes, "y")
    axes.set_xlabel("particle volume (µm³)")
    axes.legend(loc="upper right", title="median, 10 to 90 %", title_fontsize=8)
    return figure


def against_detachment(
    particles: xr.Dataset, conditions: list[str], columns: list[tuple[str, str]], reference: bool = False
) -> Figure:
    """Columns of the table against the degree of detachment, side by side.

    Parameters
    ----------
    columns
        Name of the column and label of its axis.
    reference
        Draw what a ball with a single round gap would have: `cap_resistance`.
    """
    figure = new_figure(5.2 * len(columns), 3.3)
    panels = figure.subplots(1, len(columns), squeeze=False)[0]
    for axes, (column, label) in zip(panels, columns, strict=True):
        for index, name in enumerate(conditions):
            rows = _some(particles.isel(particle=np.flatnonzero(belongs(particles, name, conditions))))
            axes.scatter(
                rows["detachment"],
                rows[column],
                s=12,
                color=colour(index),
                alpha=0.65,
                edgecolor="white",
                linewidth=0.3,
                label=name,
            )
        if reference:
            degree, mean, deviation = cap_resistance()
            curve = mean if column.endswith("mean") else deviation
            axes.plot(degree, curve, color=INK, linewidth=1, linestyle=(0, (4, 2)), label="ball with one round gap")
        _degree_axis(axes, "x")
        axes.set_ylabel(label)
        axes.legend(loc="best")
    return figure


def contribution(particles: xr.Dataset, results: xr.Dataset, conditions: list[str]) -> Figure:
    """The model of what a particle contributes at some states of charge, with the particles on it (Fig. 4e)."""
    charges = results["charge"].values.tolist()
    figure = new_figure(3.6 * len(charges), 3.3)
    panels = figure.subplots(1, len(charges), sharey=True, squeeze=False)[0]
    degree = results["degree"].to_numpy()
    for axes, charge in zip(panels, charges, strict=True):
        one = results.sel(charge=charge)
        curve = one["model_contribution"].to_numpy()
        axes.fill_between(degree, curve, color=GRID, linewidth=0)
        for name, line in (("electrical", "solid"), ("ionic", (0, (4, 2)))):
            axes.plot(degree, one[f"model_{name}"], color=INK, linewidth=1, linestyle=line, label=name)
        for index, name in enumerate(conditions):
            rows = _some(particles.isel(particle=np.flatnonzero(belongs(particles, name, conditions))))
            place = rows["detachment"].to_numpy()
            axes.scatter(
                place, np.interp(place, degree, curve), s=12, color=colour(index), alpha=0.65, edgecolor="white",
                linewidth=0.3, label=name, zorder=3,
            )  # fmt: skip
        axes.set_title(f"Model at state of charge {charge:g}")
        _degree_axis(axes, "x")
        axes.set_ylim(0, 1.05)
    panels[0].set_ylabel("relative conductance (model)")
    panels[-1].legend(loc="best")
    return figure


def cap_resistance() -> tuple[Array, Array, Array]:
    """Detachment, and mean and spread of the relative resistance, of a ball with one round gap around a pole.

    The gap has half-angle t0, so its share of the surface is (1 - cos t0) / 2; a point at angle t from the pole is
    t0 - t radii away from the contact. Moments of it over the whole surface.
    """
    angle = np.linspace(0, np.pi, 100)
    mean = (angle - np.sin(angle)) / 2
    square = (angle**2 - 2 + 2 * np.cos(angle)) / 2
    return (1 - np.cos(angle)) / 2, mean, np.sqrt(np.maximum(square - mean**2, 0))


def _degree_axis(axes: Axes, which: str) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(PercentFormatter(1))
    axis.set_label_text("degree of detachment")
    (axes.set_xlim if which == "x" else axes.set_ylim)(-0.02, 1.02)


def belongs(particles: xr.Dataset, condition: str, conditions: list[str]) -> NDArray[np.bool_]:
    """Particles of a condition; those whose condition is not among the results' belong to the unknown one."""
    if "condition" not in particles:
        return np.ones(particles.sizes["particle"], bool)
    names = np.array([str(name) for name in particles["condition"].values.tolist()], dtype=str)
    known = [name for name in conditions if name != "unknown"]
    return ~np.isin(names, known) if condition == "unknown" else names == condition


def _some(particles: xr.Dataset) -> xr.Dataset:
    """Every n-th particle, so that no scatter plot grows without bound."""
    return particles.isel(particle=slice(None, None, -(-particles.sizes["particle"] // DOTS) or 1))
