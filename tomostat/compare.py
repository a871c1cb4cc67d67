"""Found objects beside the truth: scores in a table, and pictures of what was hit and missed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from tomostat.kernels.score import Scores, score_labels
from tomostat.volume import open_volume


def read_labels(path: Path) -> np.ndarray:
    """Labels of an image file, or of a volume's label image named after a colon (VOLUME.zarr:particles).

    Raises
    ------
    FileNotFoundError, ValueError
        When there are none.
    """
    store, colon, label = str(path).rpartition(":")
    if colon and store.endswith(".zarr"):
        return open_volume(store, label).values
    if not path.exists():
        raise FileNotFoundError(f"nothing at {path}")
    if path.suffix == ".npy":
        return np.load(path)
    try:
        return tifffile.imread(path)
    except tifffile.TiffFileError as error:
        raise ValueError(f"{path} is no label image: {error}") from None


def compare_labels(
    truth: Path,
    found: Sequence[Path],
    *,
    iou: float = 0.5,
    on_truth: float = 0.0,
    to: Path | None = None,
    grey: Path | None = None,
    section: int | None = None,
) -> dict[str, Scores]:
    """Score label images against the truth; with a folder, write table and pictures there.

    Parameters
    ----------
    truth, found
        Where labels stand, see `read_labels`.
    iou, on_truth
        As in `tomostat.kernels.score.score_labels`.
    to
        Receives ``scores.csv``, ``metrics.png`` and ``outcomes.png``.
    grey, section
        As in `tomostat.report.scores.draw_outcomes`.

    Raises
    ------
    FileNotFoundError, ValueError
        When an image is missing, or shapes differ.
    """
    known = read_labels(truth)
    names = [path.stem for path in found]
    names = names if len(set(names)) == len(names) else [str(path) for path in found]
    labels = {name: read_labels(path) for name, path in zip(names, found, strict=True)}
    scores = {name: score_labels(known, one, iou=iou, on_truth=on_truth) for name, one in labels.items()}
    if to is not None:
        from tomostat.report.scores import draw_metrics, draw_outcomes
        from tomostat.report.style import save_png, styled

        behind = None if grey is None else read_grey(grey)
        with styled():
            outcomes = draw_outcomes(known, labels, behind, iou=iou, on_truth=on_truth, section=section)
            to.mkdir(parents=True, exist_ok=True)
            save_png(outcomes, to / "outcomes.png")
            save_png(draw_metrics(scores), to / "metrics.png")
        rows = pd.DataFrame({name: dataclasses.asdict(one) for name, one in scores.items()})
        rows.T.to_csv(to / "scores.csv", index_label="found")
    return scores


def read_grey(path: Path) -> np.ndarray:
    """Grey values of an image file or of a volume."""
    return open_volume(path).values if path.suffix == ".zarr" else read_labels(path)


def score_table(scores: Mapping[str, Scores]) -> str:
    """Scores as lines of text, one column for each segmentation."""
    width = max(10, *(len(name) + 2 for name in scores))
    lines = [" " * 12 + "".join(f"{name:>{width}}" for name in scores)] if len(scores) > 1 else []
    for name in (field.name for field in dataclasses.fields(Scores)):
        values = [getattr(one, name) for one in scores.values()]
        lines.append(
            f"{name:<12}" + "".join(f"{v:>{width}}" if isinstance(v, int) else f"{v:>{width}.4f}" for v in values)
        )
    return "\n".join(lines)
