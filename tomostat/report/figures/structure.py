"""Volume fractions, specific surfaces and tortuosity of the fields, and how they converge with the volume."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tomostat.report.data import ReportData
from tomostat.report.sections import Section
from tomostat.report.style import colour, logarithmic, new_figure
from tomostat.report.tables import table
from tomostat.report.text import DASH, number

SHOWN = (
    ("fraction", "volume fraction"),
    ("specific_surface", "specific surface (1/µm)"),
    ("tortuosity", "tortuosity factor"),
)
"""Quantities that are drawn, with the names of their axes."""


def structure(data: ReportData) -> str:
    """Table of all fields, and curves of convergence."""
    if not data.structures:
        return ""
    rows = [_row(name, data.origin(name).condition, one) for name, one in data.structures.items()]
    head = ["field", "condition", *(f"{what} {phase}" for what in ("volume:", "surface:") for phase in PHASES)]
    head += ["tortuosity: pore z y x", "solid z y x"]
    caption = "Share of the volume, and surface over the volume of all in 1/µm. Tortuosity with --structure.tortuosity."
    figure = data.svg_figure(
        "structure",
        draw_convergence(data.structures),
        "Volume fractions, specific surfaces and tortuosity against the size of the part that they are taken from.",
        "<b>Convergence with the volume.</b> Mean and standard deviation over equal parts of a field, against the cube "
        "root of a part's volume: where the spread is small, a part of that size is representative.",
        convergence_rows(data.structures),
    )
    return table(head, rows, 2, caption) + figure


PHASES = {"pore": "pore", "cbd": "carbon-binder", "active": "active"}
"""Phases of the table by their name in the results."""


def _row(field: str, condition: str, found: xr.Dataset) -> list[str]:
    """Cells of one field: values of its whole volume."""
    whole = found.isel(division=0)
    values = [number(whole[name].sel(phase=phase), 3) for name in ("fraction", "specific_surface") for phase in PHASES]
    solved = "tortuosity" in whole
    paths = [
        " ".join(number(value, 2) for value in whole["tortuosity"].sel(network=network)) if solved else DASH
        for network in ("pore", "solid")
    ]
    return [escape(field), escape(condition), *values, *paths]


def convergence_rows(structures: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """Everything that the figure shows: means and spreads of every division of every field."""
    parts = []
    for field, found in structures.items():
        for name, _ in SHOWN:
            if name in found:
                rows = found[[name, f"{name}_std", "part_length"]].to_dataframe().reset_index()
                renamed = rows.rename(columns={name: "mean", f"{name}_std": "spread"})
                parts.append(renamed.assign(field=field, quantity=name))
    return pd.concat(parts, ignore_index=True)


def draw_convergence(structures: Mapping[str, xr.Dataset]) -> Figure:
    """One panel for each quantity, one colour for each phase or network, one line for each field."""
    names = [(name, label) for name, label in SHOWN if any(name in found for found in structures.values())]
    figure = new_figure(3.4 * len(names), 3.1)
    for axes, (name, label) in zip(np.ravel(figure.subplots(1, len(names))), names, strict=True):
        for found in structures.values():
            if name in found:
                _draw(axes, found, name)
        axes.set_xlabel("part length (µm)")
        axes.set_ylabel(label)
        logarithmic(axes, "x")
        lengths = next(iter(structures.values()))["part_length"].to_numpy()
        axes.set_xticks(lengths, [f"{length:.3g}" for length in lengths])
        axes.minorticks_off()
        handles = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
        axes.legend(handles.values(), handles.keys())
    return figure


def _draw(axes: Axes, found: xr.Dataset, name: str) -> None:
    """Curves of one field."""
    dim = "phase" if "phase" in found[name].dims else "network"
    length = found["part_length"].to_numpy()
    for index, value in enumerate(found[dim].to_numpy()):
        one = found.sel({dim: value})
        mean, spread = (one[key].to_numpy().reshape(len(length), -1) for key in (name, f"{name}_std"))
        for axis in range(mean.shape[1]):
            if np.isfinite(mean[:, axis]).any() and np.nanmax(mean[:, axis]) > 0:
                axes.errorbar(
                    length, mean[:, axis], np.nan_to_num(spread[:, axis]), color=colour(index), marker="o",
                    markersize=3, linewidth=1.2, capsize=2, label=str(value).replace("cbd", "carbon-binder"),
                )  # fmt: skip


STRUCTURE = Section(anchor="structure", heading="Structure", position=62, make=structure)
