"""Electron density against state of charge: the curve that measure uses, with the study's particles (Fig. 5e)."""

from __future__ import annotations

from html import escape
from importlib import resources
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from tomostat.report.data import ReportData
from tomostat.report.scatter import VECTORS, dots_of
from tomostat.report.sections import Section
from tomostat.report.style import INK, MUTED, colour, new_figure
from tomostat.report.tables import particle_rows

SHIPPED = ("interior", "nmc811.csv")
"""The curve in the package of the measure stage, where the study names none."""

Curve = NDArray[np.float64]


def charge(data: ReportData) -> str:
    """The curve and the particles; nothing where grey values are not calibrated."""
    particles = data.counted
    if "electron_density" not in particles or not np.isfinite(particles["electron_density"]).any():
        return ""
    known = "soc" in particles and bool(np.isfinite(particles["soc"]).any())
    path = data.option("measure", "curve")
    placed = (
        "Dots are particles, at the state of charge that the curve gives them"
        if known
        else "States of charge are not assigned: the option <code>measure.branch</code> says on which side of the "
        "turning point they lie"
    )
    source = escape(str(path)) if path else "NMC811 after Jiang et al. (2020), Fig. 5e"
    return data.svg_figure(
        "density-charge",
        draw_charge(particles, data.conditions, read_curve(path), known),
        "Electron density against state of charge, and the distribution of the particles' densities.",
        f"<b>Electron density against state of charge.</b> The line is the curve ({source}). {placed}. Right: "
        "densities of the particles.",
        particle_rows(particles, "electron_density", "electron_density_std", "soc", "soc_std", "soc_flag"),
    )


def read_curve(path: str | None) -> Curve:
    """State of charge and electron density, (2, n), from the table that measure used."""
    file = Path(path) if path else resources.files("tomostat.measure").joinpath(*SHIPPED)
    return np.loadtxt(file.read_text(encoding="utf-8").splitlines(), delimiter=",").T


def draw_charge(particles: xr.Dataset, conditions: list[str], curve: Curve, known: bool) -> Figure:
    """The curve with the particles on it, and beside it how their densities are distributed."""
    figure = new_figure(6.4, 3.3)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[2.2, 1])
    x = np.linspace(curve[0, 0], curve[0, -1], 200)
    left.plot(x, PchipInterpolator(*curve)(x), color=INK, linewidth=1.2, label="curve")
    left.axvline(curve[0, curve[1].argmin()], color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
    density = particles["electron_density"].to_numpy()
    low, high = np.nanquantile(density, [0.01, 0.99])
    edges = np.linspace(min(low, curve[1].min()), max(high, curve[1].max()), 25)
    for index, name in enumerate(conditions):
        rows = dots_of(particles, name, conditions)
        if known:
            left.scatter(
                rows["soc"], rows["electron_density"], s=12, color=colour(index), alpha=0.65, edgecolor="white",
                linewidth=0.3, label=name, zorder=3, rasterized=particles.sizes["particle"] > VECTORS,
            )  # fmt: skip
        right.hist(
            rows["electron_density"], edges.tolist(), orientation="horizontal", histtype="step", color=colour(index),
            linewidth=1.5, label=name,
        )  # fmt: skip
    left.set(xlabel="state of charge, x", ylabel="electron density (1/Å³)", ylim=(edges[0] - 0.01, edges[-1] + 0.01))
    right.set_xlabel("particles")
    right.legend(loc="upper right")
    return figure


CHARGE = Section(anchor="relations", position=42, make=charge)
