"""What several pictures of fields and particles share: colours of labels, outlines, planes, scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

from tomostat.kernels.arrays import Doubles
from tomostat.report.fields import Plane, Section
from tomostat.report.style import INK, MUTED, PHASES, degrees_map, frameless

UNCOLOURED = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
"""Colours of particles by label, where there is no detachment to colour them by."""


def any_known(degrees: Mapping[int, float]) -> bool:
    """Whether the degree of detachment of any particle is known."""
    return bool(np.isfinite(list(degrees.values())).any())


def label_colours(labels: NDArray[Any], degrees: Mapping[int, float]) -> Doubles:
    """Colour of every label up to the largest (labels + 1, 4): by degree of detachment, else by the label itself."""
    count = int(labels.max(initial=0)) + 1
    if not any_known(degrees):
        cycle = mpl.colors.to_rgba_array(UNCOLOURED)
        return np.asarray(cycle[np.arange(count) % len(cycle)])
    values = np.array([degrees.get(label, np.nan) for label in range(count)])
    return np.asarray(degrees_map()(np.ma.masked_invalid(values)))


def outlines(labels: NDArray[Any], extent: tuple[float, float, float, float]) -> tuple[list[Doubles], list[int]]:
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


def degree_bar(figure: Figure, axes: Any, fraction: float) -> None:
    """A scale of the colours of the degree of detachment, beside axes that give up a fraction of their width."""
    scale = ScalarMappable(Normalize(0, 1), degrees_map())
    bar = figure.colorbar(scale, ax=axes, fraction=fraction, pad=0.02, aspect=30, label="degree of detachment")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    bar.outline.set_visible(False)


def scale_bar(axes: Axes, reach: float) -> None:
    """A bar of a round length in the lower right corner of axes whose x runs from -`reach` to `reach`."""
    length = max(step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if step <= max(0.75 * reach, 0.1))
    right, at = 0.94 * reach, axes.get_xaxis_transform()  # y as a share of the height
    thick, rim = 2.2, 2.0  # a white rim, since what lies under the bar may be as dark
    axes.plot(
        [right - length, right], [0.035, 0.035], color=INK, linewidth=thick, solid_capstyle="butt", transform=at,
        path_effects=[withStroke(linewidth=thick + rim, foreground="white")],
    )  # fmt: skip
    axes.text(
        right - length / 2, 0.055, f"{length:g} µm", ha="center", va="bottom", size=7.5, transform=at,
        path_effects=[withStroke(linewidth=rim, foreground="white")],
    )  # fmt: skip


def draw_grey(axes: Axes, plane: Plane, degrees: Mapping[int, float]) -> None:
    """Draw the grey values of a plane with the outlines of its labels, coloured as `label_colours` says."""
    low, high = np.percentile(plane.grey, [0.5, 99.5])
    axes.imshow(plane.grey, cmap="gray", vmin=low, vmax=high, extent=plane.extent)
    if plane.labels is not None:
        lines, owners = outlines(plane.labels, plane.extent)
        tints = label_colours(plane.labels, degrees)
        axes.add_collection(LineCollection(lines, colors=[(0, 0, 0, 0.55)], linewidths=2.4))
        axes.add_collection(LineCollection(lines, colors=tints[owners] if owners else None, linewidths=1.3))
    _bare(axes, f"{plane.axes[0]} (µm)")


def draw_section(
    axes: Axes, section: Section, tints: Mapping[int, Any], reach: float, halo: tuple[float, ...] = (1, 1, 1, 0.7)
) -> None:
    """Draw a cut around a place, with the outlines of some labels in their colours on a line of another colour."""
    low, high = np.percentile(section.grey, [0.5, 99.5])
    axes.imshow(section.grey, cmap="gray", vmin=low, vmax=high, extent=section.extent)
    for label, tint in tints.items():
        lines, _ = outlines((section.labels == label).astype(np.uint8), section.extent)
        axes.add_collection(LineCollection(lines, colors=[halo], linewidths=2.6))
        axes.add_collection(LineCollection(lines, colors=[tint], linewidths=1.5))
    axes.set(xlim=(-reach, reach), ylim=(reach, -reach), xticks=[], yticks=[], facecolor="#e9edf0")
    frameless(axes)


def draw_phases(axes: Axes, plane: Plane) -> None:
    """Draw the phases of a plane, with thin outlines of its labels."""
    tints = ListedColormap([tint for _, tint in PHASES.values()])
    axes.imshow(np.asarray(plane.phases), cmap=tints, vmin=-0.5, vmax=4.5, extent=plane.extent)
    if plane.labels is not None:
        lines, _ = outlines(plane.labels, plane.extent)
        axes.add_collection(LineCollection(lines, colors=INK, linewidths=0.7))
    _bare(axes, "")


def _bare(axes: Axes, label: str) -> None:
    frameless(axes)
    axes.set_ylabel(label)
    axes.set_aspect("equal")


def phase_handles(planes: Sequence[Plane]) -> list[Patch]:
    """What a legend says of the phases in some planes."""
    present = np.unique(np.concatenate([s.phases.ravel() for s in planes if s.phases is not None]))
    return [
        Patch(facecolor=tint, edgecolor=MUTED, linewidth=0.5, label=name)
        for code, (name, tint) in PHASES.items()
        if code in present
    ]
