"""The model of what a particle contributes to the cell, with the particles on it."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from tomostat.report import text
from tomostat.report.data import ReportData
from tomostat.report.scatter import VECTORS, degree_axis, dots_of
from tomostat.report.sections import Section
from tomostat.report.style import GRID, INK, colour, new_figure


def contribution(data: ReportData) -> str:
    """The model of what a particle contributes, with the particles on it."""
    results = data.results
    if not data.measured or "model_contribution" not in results:
        return ""
    best = ", ".join(
        f"{text.percent(float(degree))} at a state of charge of {float(charge):g}"
        for charge, degree in zip(results["charge"], results["model_best"], strict=True)
    )
    return data.svg_figure(
        "contribution",
        draw_contribution(data.counted, results, data.conditions),
        f"Model, not measured: contribution of particles against degree of detachment. Highest at {best}.",
        "<b>Model of a particle's contribution to the cell, not a measurement.</b> After the sketch in Fig. 4e of "
        "Jiang et al. (2020): detachment lowers the electrical conductance of a particle and raises the ionic one, and "
        "the lower of the two (grey) governs. The electrical one grows with the state of charge. Forms and parameters "
        "are plausible, not fitted; only the degrees of detachment, along the horizontal axis, are measured. "
        f"The model's best detachment is {best}.",
        results[["model_electrical", "model_ionic", "model_contribution"]].to_dataframe().reset_index(),
    )


def draw_contribution(particles: xr.Dataset, results: xr.Dataset, conditions: list[str]) -> Figure:
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
            rows = dots_of(particles, name, conditions)
            place = rows["detachment"].to_numpy()
            axes.scatter(
                place, np.interp(place, degree, curve), s=12, color=colour(index), alpha=0.65, edgecolor="white",
                linewidth=0.3, label=name, zorder=3, rasterized=particles.sizes["particle"] > VECTORS,
            )  # fmt: skip
        axes.set_title(f"Model at state of charge {charge:g}")
        degree_axis(axes, "x")
        axes.set_ylim(0, 1.05)
    panels[0].set_ylabel("relative conductance (model)")
    panels[-1].legend(loc="best")
    return figure


CONTRIBUTION = Section(anchor="relations", position=41, make=contribution)
