"""The picture of a preview: a slice with outlines, its phases, and the grey values with levels and thresholds."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tomostat.phase import Phase, PhaseFit
from tomostat.report.drawing import draw_grey, draw_phases, phase_handles
from tomostat.report.fields import Plane
from tomostat.report.style import INK, MUTED, PHASES, new_figure
from tomostat.report.text import significant
from tomostat.volume import Spacing

BINS = 160
"""Intervals of the histogram."""

WRAP = 150
"""Characters of a line below the figure."""


@dataclass(frozen=True)
class BoxView:
    """A box of a volume.

    Attributes
    ----------
    grey
        (nz, ny, nx) grey values without shading.
    phases
        (nz, ny, nx) codes of `tomostat.phase.Phase`.
    outlines
        (ny, nx) labels of the particles in the middle slice.
    start
        First voxel (z, y, x) of the box in the volume.
    spacing
        Voxel size (z, y, x) in micrometers.
    """

    grey: NDArray[Any]
    phases: NDArray[np.uint8]
    outlines: NDArray[Any]
    start: tuple[int, int, int]
    spacing: Spacing

    def middle(self) -> Plane:
        """The middle slice."""
        z = len(self.grey) // 2
        return Plane(self.grey[z], self.phases[z], self.outlines, self.spacing[1:], ("y", "x"), z * self.spacing[0])


def named_levels(fit: PhaseFit) -> Iterator[tuple[Phase, str, float]]:
    """Phases that there are in a field, with names and grey levels, in the order of their grey levels."""
    known = {phase: getattr(fit.levels, phase.name.lower(), None) for phase in Phase}
    there = [(phase, level) for phase, level in known.items() if level is not None]
    for phase, level in sorted(there, key=lambda one: one[1]):
        yield phase, PHASES[phase][0], level


def named_thresholds(fit: PhaseFit) -> Iterator[tuple[str, float]]:
    """Thresholds, ascending, with the names of the phases on both sides; unnamed where a phase has no voxel."""
    names = [name for _, name, _ in named_levels(fit)]
    thresholds = sorted(fit.thresholds)
    between = [" | ".join(pair) for pair in pairwise(names)] if len(names) == len(thresholds) + 1 else [""] * len(names)
    yield from zip(between, thresholds, strict=False)


def draw_preview(view: BoxView, fit: PhaseFit, notes: Sequence[str]) -> Figure:
    """Draw a preview.

    Parameters
    ----------
    view
        The box.
    fit
        Grey levels and thresholds, in the grey values of `view`.
    notes
        Lines of text for below the figure.
    """
    plane = view.middle()
    text = [line for note in notes for line in textwrap.wrap(note, WRAP, subsequent_indent="    ")]
    height = min(4.6 * plane.grey.shape[0] * plane.pixel[0] / (plane.grey.shape[1] * plane.pixel[1]), 9.0)
    below = 0.16 * len(text) + 0.2
    figure = new_figure(10.0, height + 3.0 + below)
    upper, middle, lower = figure.subfigures(3, 1, squeeze=False, height_ratios=[height + 0.6, 2.4, below])[:, 0]
    left, right = upper.subplots(1, 2, sharex=True, sharey=True)
    draw_grey(left, plane, {})
    draw_phases(right, plane)
    left.set_title(f"slice {view.start[0] + len(view.grey) // 2} with outlines of particles", weight="normal")
    right.set_title("phases", weight="normal")
    for axes in (left, right):
        axes.set_xlabel("x (µm)")
    upper.legend(handles=phase_handles([plane]), loc="outside lower right", ncols=4, fontsize=8)
    _draw_grey_values(middle.subplots(), view, fit)
    lower.text(0.01, 1.0, "\n".join(text), va="top", size=7.5, color=MUTED, linespacing=1.45)
    return figure


def _draw_grey_values(axes: Axes, view: BoxView, fit: PhaseFit) -> None:
    """Draw how many voxels of each phase have which grey value, with the levels and thresholds named."""
    edges = bin_edges(view.grey, fit.percentiles)
    counts = [np.histogram(view.grey[view.phases == phase], edges)[0] for phase, _, _ in named_levels(fit)]
    below, at = np.zeros(len(edges) - 1), axes.get_xaxis_transform()
    for (phase, name, level), count in zip(named_levels(fit), counts, strict=True):
        axes.stairs(below + count, edges, baseline=below, fill=True, color=PHASES[phase][1], edgecolor=MUTED, lw=0.3)
        below += count
        axes.annotate(
            f"{name} {significant(level)}", (level, 1.0), (0, 12), xycoords=at, textcoords="offset points", ha="center",
            size=8, arrowprops={"arrowstyle": "-|>", "color": INK},
        )  # fmt: skip
    axes.stairs(below, edges, color=MUTED, linewidth=0.8)
    for _, value in named_thresholds(fit):
        axes.axvline(value, color=INK, linewidth=1.1, linestyle="--")
        label = f"threshold {significant(value, 4)}"
        axes.annotate(label, (value, 0.97), (3, 0), xycoords=at, textcoords="offset points", va="top", size=8)
    axes.set(xlim=(edges[0], edges[-1]), xlabel="grey value, without shading", ylabel="voxels of the box")
    axes.ticklabel_format(axis="y", scilimits=(-3, 4))


def bin_edges(grey: NDArray[Any], percentiles: tuple[float, float]) -> NDArray[np.float64]:
    """Edges of the histogram's bins; those of whole grey values hold equally many, else bars would alternate."""
    low, high = percentiles
    margin = 0.15 * (high - low)
    low, high = low - margin, high + margin
    if not np.array_equal(grey, np.rint(grey)):
        return np.linspace(low, high, BINS + 1)
    width = math.ceil((high - low) / BINS)
    return np.arange(math.floor(low), high + width, width) - 0.5
