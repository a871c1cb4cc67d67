"""Pictures of fields and particles: slices with outlines, single particles, the field in 3D."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

from tomostat.report.fields import FieldView, Section
from tomostat.report.kernels import raycast
from tomostat.report.style import INK, MUTED, PHASES, degrees_map, new_figure

Array = NDArray[np.float64]

UNCOLOURED = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
"""Colours of particles by label, where there is no detachment to colour them by."""


def paint(labels: NDArray[Any], degrees: Mapping[int, float]) -> Array:
    """Colour of every label up to the largest (labels + 1, 4): by degree of detachment, else by the label itself."""
    count = int(labels.max(initial=0)) + 1
    if not np.isfinite(list(degrees.values())).any():
        cycle = mpl.colors.to_rgba_array(UNCOLOURED)
        return np.asarray(cycle[np.arange(count) % len(cycle)])
    values = np.array([degrees.get(label, np.nan) for label in range(count)])
    return np.asarray(degrees_map()(np.ma.masked_invalid(values)))


def outlines(labels: NDArray[Any], extent: tuple[float, float, float, float]) -> tuple[list[Array], list[int]]:
    """Closed lines around the labels of an image.

    Returns
    -------
    lines, owners
        (n, 2) x and y in the units of `extent` (left, right, bottom, top), and the label of each line.
    """
    left, right, bottom, top = extent
    rows, columns = labels.shape
    lines, owners = [], []
    for label, box in enumerate(ndimage.find_objects(labels.astype(np.int64)), start=1):
        if box is None:
            continue
        mask = np.pad(labels[box] == label, 2)
        for line in find_contours(mask.astype(np.float32), 0.5):
            y, x = line[:, 0] + box[0].start - 2, line[:, 1] + box[1].start - 2
            place = (left + (x + 0.5) * (right - left) / columns, top + (y + 0.5) * (bottom - top) / rows)
            lines.append(np.column_stack(place))
            owners.append(label)
    return lines, owners


def draw_field(view: FieldView, degrees: Mapping[int, float]) -> Figure:
    """Slice with most particles and, below, a section across it; grey values left, phases right."""
    sections = [view.section(0)] + ([view.section(1)] if view.info.shape[0] > 1 else [])
    heights = [abs(s.extent[3] - s.extent[2]) for s in sections]
    length = sections[0].extent[1] - sections[0].extent[0]
    columns = 2 if sections[0].phases is not None else 1
    panel = min(4.6, 7.5 * length / sum(heights))
    figure = new_figure(panel * columns + 1.6, panel * sum(heights) / length + 0.35 * len(sections) + 0.6)
    grid = figure.subplots(len(sections), columns, squeeze=False, height_ratios=heights, sharex=True)
    for row, section in zip(grid, sections, strict=True):
        _grey(row[0], section, degrees)
        other = "z" if section.axes == ("y", "x") else "y"
        row[0].set_title(f"{other} = {section.place:.1f} µm", weight="normal", size=9)
        if columns == 2:
            _phases(row[1], section)
    for axes in grid[-1]:
        axes.set_xlabel("x (µm)")
    if columns == 2:
        grid[0][1].set_title("phases", weight="normal", size=9)
        figure.legend(handles=_phase_handles(sections), loc="outside lower right", ncols=4, fontsize=8)
    if sections[0].labels is not None and np.isfinite(list(degrees.values())).any():
        _degree_bar(figure, grid[:, -1].tolist(), 0.025)
    return figure


def _grey(axes: Axes, section: Section, degrees: Mapping[int, float]) -> None:
    low, high = np.percentile(section.grey, [0.5, 99.5])
    axes.imshow(section.grey, cmap="gray", vmin=low, vmax=high, extent=section.extent)
    if section.labels is not None:
        lines, owners = outlines(section.labels, section.extent)
        tints = paint(section.labels, degrees)
        axes.add_collection(LineCollection(lines, colors=[(0, 0, 0, 0.55)], linewidths=2.4))
        axes.add_collection(LineCollection(lines, colors=tints[owners] if owners else None, linewidths=1.3))
    _bare(axes, f"{section.axes[0]} (µm)")


def _phases(axes: Axes, section: Section) -> None:
    tints = ListedColormap([tint for _, tint in PHASES.values()])
    axes.imshow(np.asarray(section.phases), cmap=tints, vmin=-0.5, vmax=4.5, extent=section.extent)
    if section.labels is not None:
        lines, _ = outlines(section.labels, section.extent)
        axes.add_collection(LineCollection(lines, colors=INK, linewidths=0.7))
    _bare(axes, "")


def _bare(axes: Axes, label: str) -> None:
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_ylabel(label)
    axes.set_aspect("equal")


def _phase_handles(sections: list[Section]) -> list[Patch]:
    present = np.unique(np.concatenate([s.phases.ravel() for s in sections if s.phases is not None]))
    return [
        Patch(facecolor=tint, edgecolor=MUTED, linewidth=0.5, label=name)
        for code, (name, tint) in PHASES.items()
        if code in present
    ]


def _degree_bar(figure: Figure, axes: Any, fraction: float) -> None:
    scale = ScalarMappable(Normalize(0, 1), degrees_map())
    bar = figure.colorbar(scale, ax=axes, fraction=fraction, pad=0.02, aspect=30, label="degree of detachment")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    bar.outline.set_visible(False)


def draw_particle(view: FieldView, label: int, centre: Array, diameter: float, degree: float) -> Figure:
    """A slice through a particle's middle and the particle in 3D, at one scale."""
    reach = 0.68 * diameter + 1.0
    grey, labels = view.cut(centre, reach)
    spacing = view.info.spacing
    figure = new_figure(2.8, 1.4, layout="none")
    tint = degrees_map()(degree) if np.isfinite(degree) else mpl.colors.to_rgba(UNCOLOURED[0])
    flat, body = (figure.add_axes((left, 0.0, 0.5, 1.0)) for left in (0.0, 0.5))

    start = [max(round((c - reach) / s), 0) for c, s in zip(centre.tolist(), spacing, strict=True)]
    middle = min(max(round(centre[0] / spacing[0]) - start[0], 0), len(grey) - 1)
    left, top = start[2] * spacing[2] - centre[2], start[1] * spacing[1] - centre[1]
    rows, columns = grey.shape[1:]
    extent = (left, left + columns * spacing[2], top + rows * spacing[1], top)
    low, high = np.percentile(grey, [0.5, 99.5])
    flat.imshow(grey[middle], cmap="gray", vmin=low, vmax=high, extent=extent)
    lines, _ = outlines((labels[middle] == label).astype(np.uint8), extent)
    flat.add_collection(LineCollection(lines, colors=[(0, 0, 0, 0.5)], linewidths=2.6))
    flat.add_collection(LineCollection(lines, colors=[tint], linewidths=1.5))
    flat.set_facecolor("#e9edf0")

    mask = (labels == label).astype(np.uint8)
    if mask.any():
        colours = np.array([[0.0, 0.0, 0.0], tint[:3]])
        picture, place = raycast.render(mask, spacing, colours, 280)
        up, across, _ = raycast.project(centre - np.array(start) * spacing)
        body.imshow(
            picture,
            extent=(place[0] - across, place[1] - across, place[2] - up, place[3] - up),
            interpolation="antialiased",
        )
    for axes in (flat, body):
        axes.set(xlim=(-reach, reach), ylim=(reach, -reach) if axes is flat else (-reach, reach), xticks=[], yticks=[])
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
    scale_bar(body, reach)
    return figure


def scale_bar(axes: Axes, reach: float) -> None:
    """A bar of a round length, in the lower right corner."""
    length = max(step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if step <= max(0.75 * reach, 0.1))
    right, y = 0.94 * reach, -0.93 * reach
    axes.plot([right - length, right], [y, y], color=INK, linewidth=2.2, solid_capstyle="butt")
    axes.text(right - length / 2, y + 0.04 * reach, f"{length:g} µm", ha="center", va="bottom", size=7.5)


def draw_scene(view: FieldView, degrees: Mapping[int, float]) -> Figure:
    """All particles of a field in 3D, coloured by their detachment."""
    labels, spacing = view.coarse()
    picture, extent = raycast.render(labels, spacing, paint(labels, degrees)[:, :3], 1100)
    figure = new_figure(5.4, 5.4 * picture.shape[0] / picture.shape[1] * 0.9)
    axes = figure.subplots()
    size = (np.array(labels.shape) - 1) * np.array(spacing)
    _box(axes, size, behind=True)
    axes.imshow(picture, extent=tuple(extent), zorder=2, interpolation="antialiased")
    _box(axes, size, behind=False)
    axes.set_axis_off()
    axes.set_aspect("equal")
    pad = 0.05 * (extent[1] - extent[0])
    axes.set(xlim=(extent[0] - pad, extent[1] + pad), ylim=(extent[2] - pad, extent[3] + pad / 4))
    if np.isfinite(list(degrees.values())).any():
        _degree_bar(figure, axes, 0.03)
    return figure


def _box(axes: Axes, size: Array, behind: bool) -> None:
    """Edges of the field: those that meet at the corner farthest from the viewer, or the others, with their lengths."""
    corners = np.array([[z, y, x] for z in (0, 1) for y in (0, 1) for x in (0, 1)])
    far = corners[np.argmin(raycast.project(corners * size)[:, 2])]
    for axis in range(3):
        others = [a for a in range(3) if a != axis]
        for first in (0, 1):
            for second in (0, 1):
                ends = np.zeros((2, 3))
                ends[1, axis] = 1
                ends[:, others] = first, second
                hidden = (ends[0, others] == far[others]).all()
                if hidden == behind:
                    up, right = raycast.project(ends * size)[:, :2].T
                    axes.plot(right, up, color="#9aa7b3", linewidth=0.8, zorder=1 if behind else 3)
    if not behind:
        _lengths(axes, size, far)


def _lengths(axes: Axes, size: Array, far: NDArray[np.int64]) -> None:
    """Lengths of the field's edges, written beside the lowest and outermost ones."""
    near = 1 - far
    for axis in range(3):
        ends = np.tile(near, (2, 1)).astype(float)
        ends[:, axis] = 0, 1
        if axis == 0:
            ends[:, 2] = far[2]  # an upright edge at the side
        else:
            ends[:, 0] = 0  # edges of the floor
        up, right = raycast.project(ends * size)[:, :2].T
        middle = raycast.project(size / 2)[1]
        align, shift = ("left", (5, 0 if axis == 0 else -7)) if right.mean() > middle else ("right", (-5, -7))
        axes.annotate(
            f"{'zyx'[axis]}  {size[axis]:.0f} µm",
            (right.mean(), up.mean()),
            shift,
            textcoords="offset points",
            ha=align,
            va="center",
            size=8,
            color=MUTED,
        )
