"""A region of a field in 3D: particles, carbon-binder and both together, with the slice that it lies in (Fig. 1)."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from tomostat.phase import Phase
from tomostat.report.data import ReportData
from tomostat.report.drawing import scale_bar
from tomostat.report.fields import Plane
from tomostat.report.kernels import raycast
from tomostat.report.sections import Section
from tomostat.report.style import PHASES, frameless, new_figure
from tomostat.report.text import TIMES, file_name
from tomostat.volume import Spacing

EDGE = 112
"""Voxels along the longest edge of the region."""

PANELS = {
    "particles": (Phase.ACTIVE,),
    "carbon-binder": (Phase.CBD,),
    "both": (Phase.ACTIVE, Phase.CBD),
}
"""What the panels show."""


def microstructure(data: ReportData) -> str:
    """The first field with depth and a carbon-binder phase."""
    for view in data.views:
        if "phases" in view.images and view.info.shape[0] > 1 and view.fractions.get("cbd", 0) > 0:
            phases, spacing, start = view.middle_region(EDGE)
            size = TIMES.join(f"{n * s:.3g}" for n, s in zip(phases.shape, spacing, strict=True))
            return data.png_figure(
                f"microstructure-{file_name(view.name)}",
                draw_microstructure(view.plane(0), phases, spacing, start),
                f"A slice of field {view.name}, and a region of it in 3D: particles, carbon-binder, and both.",
                f"<b>Microstructure, {escape(view.name)}.</b> A slice, and the region in the frame ({size} µm, "
                "z, y, x) in 3D: active material, carbon-binder domain, and both. After Fig. 1 of Jiang et al. (2020).",
                pd.DataFrame({"phase": list(view.fractions), "volume fraction": list(view.fractions.values())}),
            )
    return ""


def draw_microstructure(plane: Plane, phases: NDArray[np.uint8], spacing: Spacing, start: Spacing) -> Figure:
    """The slice and three views of the region that begins at `start` (micrometers)."""
    figure = new_figure(10.6, 2.9)
    panels = figure.subplots(1, 1 + len(PANELS))
    low, high = np.percentile(plane.grey, [0.5, 99.5])
    left, right, bottom, top = plane.extent
    middle, reach = ((left + right) / 2, (bottom + top) / 2), max(right - left, bottom - top) / 2
    around = (left - middle[0], right - middle[0], bottom - middle[1], top - middle[1])
    panels[0].imshow(plane.grey, cmap="gray", vmin=low, vmax=high, extent=around)
    corner = (start[2] - middle[0], start[1] - middle[1])
    panels[0].add_patch(
        Rectangle(corner, phases.shape[2] * spacing[2], phases.shape[1] * spacing[1], fill=False, edgecolor="#56B4E9")
    )
    panels[0].set(xlim=(-reach, reach), ylim=(reach, -reach), title=f"slice, z = {plane.place:.1f} µm")
    scale_bar(panels[0], reach)
    for axes, (title, shown) in zip(panels[1:], PANELS.items(), strict=True):
        _draw_region(axes, phases, spacing, shown)
        axes.set_title(title)
    for axes in panels:
        axes.set(xticks=[], yticks=[])
        frameless(axes)
    return figure


def _draw_region(axes: Any, phases: NDArray[np.uint8], spacing: Spacing, shown: tuple[Phase, ...]) -> None:
    labels = np.zeros(phases.shape, np.uint8)
    for number, phase in enumerate(shown, 1):
        labels[phases == phase] = number
    colours = np.array([(0.0, 0.0, 0.0), *(to_rgb(PHASES[phase][1]) for phase in shown)])
    picture, place = raycast.render(labels, spacing, colours, 520)
    across, up = (place[0] + place[1]) / 2, (place[2] + place[3]) / 2
    reach = max(place[1] - place[0], place[3] - place[2]) / 2
    extent = (place[0] - across, place[1] - across, place[2] - up, place[3] - up)
    axes.imshow(picture, extent=extent, interpolation="antialiased")
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
    scale_bar(axes, reach)


MICROSTRUCTURE = Section(anchor="scenes", position=59, make=microstructure)
