"""Scatter plots of particles: one dot each, one colour per condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from tomostat.report.style import INK, colour, new_figure

DOTS = 4000
"""Dots in a scatter plot beyond which only every n-th is drawn."""

VECTORS = 1000
"""Dots of a figure beyond which they are pixels: as many elements would slow the page down."""


@dataclass(frozen=True)
class ReferenceCurve:
    """A curve to compare particles with.

    Attributes
    ----------
    degree, value
        (n,) degree of detachment and value of the column.
    label
        What it shows, for the legend.
    """

    degree: NDArray[np.float64]
    value: NDArray[np.float64]
    label: str


def against_detachment(
    particles: xr.Dataset,
    conditions: list[str],
    columns: list[tuple[str, str]],
    curves: Mapping[str, ReferenceCurve] | None = None,
) -> Figure:
    """Columns of the table against the degree of detachment, side by side.

    Parameters
    ----------
    columns
        Name of the column and label of its axis.
    curves
        Curves for comparison, by column.
    """
    figure = new_figure(5.2 * len(columns), 3.3)
    panels = figure.subplots(1, len(columns), squeeze=False)[0]
    for axes, (column, label) in zip(panels, columns, strict=True):
        for index, name in enumerate(conditions):
            rows = dots_of(particles, name, conditions)
            axes.scatter(
                rows["detachment"],
                rows[column],
                s=12,
                color=colour(index),
                alpha=0.65,
                edgecolor="white",
                linewidth=0.3,
                label=name,
                rasterized=particles.sizes["particle"] > VECTORS,
            )
        if curves and column in curves:
            curve = curves[column]
            axes.plot(curve.degree, curve.value, color=INK, linewidth=1, linestyle=(0, (4, 2)), label=curve.label)
        degree_axis(axes, "x")
        axes.set_ylabel(label)
        axes.legend(loc="best")
    return figure


def degree_axis(axes: Axes, which: str) -> None:
    """Make the x or the y axis one of the degree of detachment."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(PercentFormatter(1))
    axis.set_label_text("degree of detachment")
    (axes.set_xlim if which == "x" else axes.set_ylim)(-0.02, 1.02)


def in_condition(particles: xr.Dataset, condition: str, conditions: list[str]) -> NDArray[np.bool_]:
    """Particles of a condition; those whose condition is not among the results' belong to the unknown one."""
    if "condition" not in particles:
        return np.ones(particles.sizes["particle"], bool)
    names = np.array([str(name) for name in particles["condition"].values.tolist()], dtype=str)
    known = [name for name in conditions if name != "unknown"]
    return ~np.isin(names, known) if condition == "unknown" else names == condition


def dots_of(particles: xr.Dataset, condition: str, conditions: list[str]) -> xr.Dataset:
    """Every n-th particle of a condition, so that no scatter plot grows without bound."""
    particles = particles.isel(particle=np.flatnonzero(in_condition(particles, condition, conditions)))
    return particles.isel(particle=slice(None, None, -(-particles.sizes["particle"] // DOTS) or 1))
