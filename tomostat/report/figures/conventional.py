"""Particles as the study has them beside a conventional segmentation of the same slice (Fig. 3b)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tomostat.kernels.matching import renumbered
from tomostat.kernels.score import Outcome, outcomes
from tomostat.kernels.watershed import split
from tomostat.messages import plural
from tomostat.phase import Phase
from tomostat.report.data import ReportData
from tomostat.report.drawing import UNCOLOURED, scale_bar
from tomostat.report.fields import Plane
from tomostat.report.figures.slices import in_turn
from tomostat.report.sections import Section
from tomostat.report.style import frameless, new_figure
from tomostat.report.text import percent

SHOWN = 4
"""Largest number of particles that are shown."""
MARGIN = 0.2
"""What is shown around a section, over its longer side."""
OPACITY = 0.55
"""Of the colours of labels on the grey values."""


@dataclass(frozen=True)
class Comparison:
    """A slice of a field that is segmented in two ways.

    Attributes
    ----------
    field
        Name of the field.
    plane
        The slice.
    labels
        (rows, columns) the study's particles, renumbered.
    conventional
        (rows, columns) labels of the watershed.
    split, merged
        Labels of particles whose section the watershed splits, and of those that it merges with others.
    area
        Pixels of every label's section.
    """

    field: str
    plane: Plane
    labels: NDArray[np.int64]
    conventional: NDArray[np.int32]
    split: NDArray[np.int64]
    merged: NDArray[np.int64]
    area: NDArray[np.int64]

    @cached_property
    def at_border(self) -> set[int]:
        """Labels that the border of the slice cuts."""
        edges = (self.labels[0], self.labels[-1], self.labels[:, 0], self.labels[:, -1])
        return set(np.concatenate(edges).tolist())

    @property
    def sections(self) -> int:
        """Number of particles that the slice cuts."""
        return int(np.count_nonzero(self.area))


def conventional(data: ReportData) -> str:
    """A slice of each pictured field; nothing where a watershed found the particles."""
    if data.option("detect", "detector") == "watershed":
        return ""
    views = in_turn(data, data.options.pictured_fields)
    planes = {view.name: view.plane(0) for view in views if {"phases", "particles"} <= set(view.images)}
    compared = [one for one in (compare(name, plane) for name, plane in planes.items()) if one.sections]
    shown = largest_different(compared)
    if not shown:
        return ""
    sections, parted, merged = (sum(counts) for counts in zip(*map(_counts, compared), strict=True))
    return data.png_figure(
        "conventional",
        draw_comparison(shown),
        "Sections of particles: grey values, a watershed segmentation, and the study's particles, coloured by label.",
        f"<b>Beside conventional segmentation.</b> Of {plural(sections, 'section')} of particles in "
        f"{plural(len(compared), 'slice')} ({escape(', '.join(one.field for one in compared))}) a watershed of the "
        f"distance map splits {parted} ({percent(parted / sections)}) and merges {merged} with others "
        f"({percent(merged / sections)}). The largest of these, coloured by label. "
        "After Fig. 3b of Jiang et al. (2020).",
        pd.DataFrame(
            [(one.field, one.plane.place, *_counts(one)) for one in compared],
            columns=["field", "z (µm)", "sections", "split by watershed", "merged by watershed"],
        ),
    )


def _counts(one: Comparison) -> tuple[int, int, int]:
    return one.sections, len(one.split), len(one.merged)


def compare(field: str, plane: Plane) -> Comparison:
    """Segment a slice of known phases and particles by watershed.

    Raises
    ------
    ValueError
        When the plane has no phases, or no particles.
    """
    if plane.phases is None or plane.labels is None:
        raise ValueError("the plane has no phases or no particles")
    labels = renumbered(plane.labels).astype(np.int64)
    found = split(plane.phases == Phase.ACTIVE)
    of_particles, _ = outcomes(labels, found)
    parted, merged = (np.flatnonzero(of_particles == kind) for kind in (Outcome.SPLIT, Outcome.MERGED))
    area = np.bincount(labels.ravel())
    area[0] = 0
    return Comparison(field, plane, labels, found, parted, merged, area)


def largest_different(compared: Sequence[Comparison]) -> list[tuple[Comparison, int]]:
    """Particles with the largest sections among those that the watershed splits or merges; first those seen whole."""
    found = [(one, int(label)) for one in compared for label in (*one.split, *one.merged)]
    return sorted(found, key=lambda pair: (pair[1] in pair[0].at_border, -pair[0].area[pair[1]]))[:SHOWN]


def draw_comparison(shown: Sequence[tuple[Comparison, int]]) -> Figure:
    """A column for each particle: grey values, the watershed's labels, the study's."""
    figure = new_figure(0.6 + 1.9 * len(shown), 5.9)
    panels = figure.subplots(3, len(shown), squeeze=False)
    for column, (one, label) in zip(panels.T, shown, strict=True):
        _draw_particle(column, one, label)
        column[0].set_title(one.field, weight="normal", size=9)
    for axes, heading in zip(panels[:, 0], ("grey values", "watershed", "this study"), strict=True):
        axes.set_ylabel(heading)
    return figure


def _draw_particle(column: Sequence[Any], one: Comparison, label: int) -> None:
    """The region around a particle's section, three times."""
    plane, (dy, dx) = one.plane, one.plane.pixel
    rows, columns = np.nonzero(one.labels == label)
    middle = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    half = (0.5 + MARGIN) * max(np.ptp(rows) * dy, np.ptp(columns) * dx, dy, dx)
    y, x = (slice(max(int(c - half / s), 0), int(c + half / s) + 2) for c, s in zip(middle, plane.pixel, strict=True))
    grey = plane.grey[y, x]
    top, left = (y.start - middle[0] - 0.5) * dy, (x.start - middle[1] - 0.5) * dx
    extent = (left, left + grey.shape[1] * dx, top + grey.shape[0] * dy, top)
    low, high = np.percentile(plane.grey, [0.5, 99.5])
    for axes, labels in zip(column, (None, one.conventional[y, x], one.labels[y, x]), strict=True):
        axes.imshow(grey, cmap="gray", vmin=low, vmax=high, extent=extent)
        if labels is not None:
            axes.imshow(_tints(labels), extent=extent, interpolation="nearest")
        axes.set(xlim=(-half, half), ylim=(half, -half), xticks=[], yticks=[], facecolor="#e9edf0")
        frameless(axes)
    scale_bar(column[0], half)


def _tints(labels: NDArray[Any]) -> NDArray[np.float64]:
    """Colours of labels (rows, columns, 4), the largest all different; the background is clear."""
    found, numbers, area = np.unique(labels, return_inverse=True, return_counts=True)
    rank = np.argsort(np.argsort(-area * (found > 0), kind="stable"), kind="stable")
    colours = mpl.colors.to_rgba_array(UNCOLOURED, OPACITY)[rank % len(UNCOLOURED)]
    colours[found == 0] = 0
    return np.asarray(colours[numbers.reshape(labels.shape)])


CONVENTIONAL = Section(anchor="fields", position=52, make=conventional)
