"""Particles in 3D: one field of every condition."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tomostat.kernels.arrays import Doubles
from tomostat.report.data import ReportData
from tomostat.report.drawing import any_known, degree_bar, label_colours
from tomostat.report.kernels import raycast
from tomostat.report.sections import Section
from tomostat.report.style import MUTED, new_figure
from tomostat.report.tables import particle_rows
from tomostat.report.text import file_name
from tomostat.volume import Spacing

MOST = 4
"""Conditions of which a field is shown."""


def scenes(data: ReportData) -> str:
    """One field of every condition in 3D, of `MOST` conditions at most."""
    parts: list[str] = []
    seen: set[str] = set()
    for view in data.views:
        condition = data.origin(view.name).condition
        if condition in seen or view.info.shape[0] == 1 or len(seen) >= MOST:
            continue
        labels, spacing = view.coarse()
        if not labels.any():
            continue
        seen.add(condition)
        degrees = data.detachments(view.name)
        name = " · ".join(filter(None, (escape(condition), escape(view.name))))
        parts.append(
            data.png_figure(
                f"scene-{file_name(view.name)}",
                draw_scene(labels, spacing, degrees),
                f"Particles of field {view.name} in 3D.",
                f"<b>{name}.</b> Particles cut by the field's border are closed with flat faces. "
                + ("Colour: degree of detachment." if any_known(degrees) else "Colours distinguish the particles."),
                particle_rows(data.of_field(view.name), "centroid", "equivalent_diameter", "detachment"),
            )
        )
    return f'<div class="pair">{"".join(parts)}</div>' if parts else ""


def draw_scene(labels: NDArray[Any], spacing: Spacing, degrees: Mapping[int, float]) -> Figure:
    """All particles of a field in 3D, coloured by their detachment."""
    picture, extent = raycast.render(labels, spacing, label_colours(labels, degrees)[:, :3], 1100)
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
    if any_known(degrees):
        degree_bar(figure, axes, 0.03)
    return figure


def _box(axes: Axes, size: Doubles, behind: bool) -> None:
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


def _lengths(axes: Axes, size: Doubles, far: NDArray[np.int64]) -> None:
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


SCENES = Section(anchor="scenes", heading="Particles in 3D", position=60, make=scenes)
