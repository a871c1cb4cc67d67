"""Pictures of how good segmentations are: hits, misses, splits and merges, and the metrics of several side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba_array
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from tomostat.kernels.matching import renumbered
from tomostat.kernels.score import Outcome, Scores, outcomes
from tomostat.report.drawing import outlines
from tomostat.report.style import INK, MUTED, colour, frameless, new_figure

METRICS = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "mean_iou": "mean IoU",
    "ap50": "AP50",
    "map": "mAP",
}
"""The six metrics of Jiang et al. (2020)."""

TINTS = {
    Outcome.HIT: ("hit", "#009E73"),
    Outcome.MISSED: ("missed", "#D55E00"),
    Outcome.SPLIT: ("split", "#E69F00"),
    Outcome.MERGED: ("merged", "#CC79A7"),
    Outcome.FALSE: ("false", "#0072B2"),
    Outcome.OFF_TRUTH: ("not annotated, not counted", "#7f7f7f"),
}

WIDTH = 5.0
"""Inches of a panel."""


def draw_metrics(scores: Mapping[str, Scores]) -> Figure:
    """Bars of the six metrics, one colour per segmentation."""
    figure = new_figure(8.0, 3.2)
    axes = figure.subplots()
    width = 0.8 / len(scores)
    for index, (name, found) in enumerate(scores.items()):
        heights = np.nan_to_num([getattr(found, metric) for metric in METRICS])
        places = np.arange(len(METRICS)) - 0.4 + (index + 0.5) * width
        bars = axes.bar(places, heights, 0.92 * width, color=colour(index), label=name)
        axes.bar_label(bars, [f"{h:.2f}" for h in heights], padding=1, fontsize=7, color=INK)
    axes.set_xticks(range(len(METRICS)), METRICS.values())
    axes.set_ylim(0, 1.08)
    axes.grid(visible=False, axis="x")
    figure.legend(loc="outside upper right", ncols=len(scores))
    return figure


def draw_outcomes(
    truth: NDArray[Any],
    found: Mapping[str, NDArray[Any]],
    grey: NDArray[Any] | None = None,
    *,
    iou: float = 0.5,
    on_truth: float = 0.0,
    section: int | None = None,
) -> Figure:
    """Hits, misses, splits and merges over an image, one panel per segmentation.

    Parameters
    ----------
    truth
        (ny, nx) or (z, y, x) integer labels.
    found
        Labels of the same shape by name.
    grey
        The image behind; white when not given.
    iou, on_truth
        As in `tomostat.kernels.score.score_labels`. Objects are compared in 3D where there are three dimensions.
    section
        Slice of a volume to show; that with most true objects when not given.

    Raises
    ------
    ValueError
        When the shapes differ or there is no such slice.
    """
    if truth.ndim == 3 and section is None:
        section = int(np.argmax([len(np.unique(one)) for one in truth]))
    if truth.ndim == 3 and not 0 <= (section or 0) < len(truth):
        raise ValueError(f"slice is {section}; expected 0 to {len(truth) - 1}")
    if grey is not None and grey.shape != truth.shape:
        raise ValueError(f"grey has shape {grey.shape} and the truth {truth.shape}; expected the same")
    truth, found = renumbered(truth), {name: renumbered(labels) for name, labels in found.items()}
    kinds = {name: outcomes(truth, labels, iou=iou, on_truth=on_truth) for name, labels in found.items()}
    flat: Any = section if truth.ndim == 3 else ...
    height, width = truth[flat].shape
    figure = new_figure(WIDTH * len(found), WIDTH * height / width + 0.6)
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    for axes, (name, labels) in zip(panels, found.items(), strict=True):
        _draw_panel(axes, truth[flat], labels[flat], *kinds[name], None if grey is None else grey[flat])
        axes.set_title(name)
    present = np.unique(np.concatenate([kind for pair in kinds.values() for kind in pair]))
    handles = [Patch(facecolor=tint, alpha=0.6, label=name) for kind, (name, tint) in TINTS.items() if kind in present]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _draw_panel(
    axes: Axes,
    truth: NDArray[Any],
    found: NDArray[Any],
    of_truth: NDArray[np.uint8],
    of_found: NDArray[np.uint8],
    grey: NDArray[Any] | None,
) -> None:
    """Draw true and false objects filled in the colour of their outcome, and outlines of what was found."""
    height, width = truth.shape
    extent = (0.0, float(width), float(height), 0.0)
    if grey is not None:
        low, high = np.percentile(grey, [0.5, 99.5])
        axes.imshow(grey, cmap="gray", vmin=low, vmax=high, extent=extent)
    tints = np.zeros((len(Outcome), 4))
    for kind, (_, tint) in TINTS.items():
        tints[kind] = to_rgba_array(tint, 0.45)[0]
    kind = of_truth[truth]
    stray = np.isin(of_found, (Outcome.FALSE, Outcome.OFF_TRUTH))[found] & (truth == 0)
    axes.imshow(tints[np.where(stray, of_found[found], kind)], extent=extent)
    for labels, tint, line in ((truth, "#ffffff" if grey is not None else MUTED, 0.5), (found, INK, 0.9)):
        axes.add_collection(LineCollection(outlines(labels, extent)[0], colors=tint, linewidths=line))
    axes.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])
    frameless(axes)
