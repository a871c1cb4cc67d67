"""Curves of a training: losses, and scores of the checkpoints, over the steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tomostat.report.style import INK, MUTED, colour, logarithmic, new_figure, save_png, styled

LOSSES = {
    "loss": "all",
    "loss_objectness": "objects",
    "loss_rpn_box_reg": "proposed boxes",
    "loss_classifier": "particle or not",
    "loss_box_reg": "boxes",
    "loss_mask": "masks",
}
"""Columns of the log, and what they are losses of."""

SMOOTH = 15
"""Rows of the log in the running median: single batches differ by more than the loss falls between them."""


def write_curves(folder: str | Path) -> Path:
    """Draw the curves of a training.

    Parameters
    ----------
    folder
        Holds ``log.csv`` and, where checkpoints were scored, ``validation.csv``; receives ``curves.png``.

    Returns
    -------
    Path
        The picture.

    Raises
    ------
    FileNotFoundError
        When there is no log.
    """
    folder = Path(folder)
    if not (folder / "log.csv").is_file():
        raise FileNotFoundError(f"no log.csv in {folder}; give the folder of a training")
    scored = folder / "validation.csv"
    log = _rows(folder / "log.csv", ["step"]).set_index("step")
    with styled():
        validation = _rows(scored, ["step", "share"]) if scored.is_file() else None
        save_png(draw_curves(log, validation), folder / "curves.png")
    return folder / "curves.png"


def _rows(path: Path, key: list[str]) -> pd.DataFrame:
    """A log in order; where steps were repeated after an interruption, the later row."""
    return pd.read_csv(path).drop_duplicates(key, keep="last").sort_values(key, ignore_index=True)


def draw_curves(log: pd.DataFrame, validation: pd.DataFrame | None = None) -> Figure:
    """Losses over the steps and, beside them, scores of the checkpoints.

    Parameters
    ----------
    log
        By step: the columns of `LOSSES`.
    validation
        step, share (of the trained weights in an average with the initial weights) and score, larger is better.
    """
    figure = new_figure(8.0 if validation is not None else 5.0, 3.2)
    panels = figure.subplots(1, 1 if validation is None else 2, squeeze=False)[0]
    for index, (column, name) in enumerate(LOSSES.items()):
        tint = INK if column == "loss" else colour(index - 1)
        smooth = log[column].rolling(SMOOTH, center=True, min_periods=1).median()
        panels[0].plot(log.index, log[column].where(log[column] > 0), color=tint, linewidth=0.5, alpha=0.25)
        panels[0].plot(log.index, smooth.where(smooth > 0), color=tint, label=name)
    panels[0].set(xlabel="step", ylabel="loss", ylim=_between(log[[*LOSSES]]))
    logarithmic(panels[0], "y")
    panels[0].set_title("losses of single steps, and their running median")
    panels[0].legend(fontsize=7, ncols=2)
    if validation is not None:
        _draw_validation(panels[1], validation)
    return figure


def _draw_validation(axes: Axes, scored: pd.DataFrame) -> None:
    """Scores of the checkpoints and of averages with the initial weights, and which one is kept."""
    trained, averages = scored[scored["share"] == 1], scored[scored["share"] < 1]
    best = scored.iloc[int(scored["score"].to_numpy().argmax())]
    axes.plot(trained["step"], trained["score"], color=MUTED, marker="o", markersize=4, label="checkpoints")
    if len(averages):
        label = "averages of initial and last weights"
        axes.plot(averages["step"], averages["score"], "o", color=MUTED, mfc="none", label=label)
    axes.plot(best["step"], best["score"], "o", color=colour(1), markersize=4, label="best: kept")
    axes.set(xlabel="step", ylabel="mAP")
    axes.margins(y=0.3)
    axes.set_title("mAP on held-out slices")
    axes.legend(fontsize=7)


def _between(losses: pd.DataFrame) -> tuple[float, float]:
    """Bounds that include nearly every loss: some are close to 0 for crops without particles."""
    above = losses.to_numpy()[losses.to_numpy() > 0]
    low, high = np.quantile(above, [0.02, 1.0])
    return 0.3 * float(low), 2 * float(high)
