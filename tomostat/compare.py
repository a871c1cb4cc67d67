"""Comparison of found objects with true ones: a table of scores, and pictures of hits and misses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tomostat.annotations import read_annotations
from tomostat.detect.crops import IGNORED
from tomostat.ingest import as_labels, open_source
from tomostat.kernels.score import Scores, score_labels


def read_labels(path: Path) -> NDArray[Any]:
    """Read a label image in any format that `tomostat.ingest` reads, of a volume as ``VOLUME.zarr:particles``.

    Returns
    -------
    numpy.ndarray
        (ny, nx) or (nz, ny, nx) labels.

    Raises
    ------
    FileNotFoundError, ValueError
        When the file or the label image is missing, or it is no image.
    """
    return as_labels(str(path), _read(path))


def read_truth(path: Path) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read true labels as `read_labels` does, or of the image of an annotation file.

    Returns
    -------
    labels
        (ny, nx) or (nz, ny, nx) labels.
    ignored
        Of the same shape: where nothing is known, so that nothing found there counts.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_labels`, and when an annotation file is damaged or of several images.
    """
    if path.suffix.lower() != ".json":
        labels = read_labels(path)
        return labels, np.zeros(labels.shape, bool)
    annotated = read_annotations(path)
    if len(annotated) != 1:
        raise ValueError(f"{path} holds {len(annotated)} images; expected one, to compare label images with")
    known = annotated[0].labels
    return np.where(known == IGNORED, 0, known), known == IGNORED


def _read(path: Path) -> NDArray[Any]:
    """An image, (ny, nx) where it has one slice, else (nz, ny, nx)."""
    voxels = open_source(path).read_all()
    return voxels if len(voxels) > 1 else voxels[0]


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
    """Score label images against the truth, and write a table and pictures where a folder is given.

    Parameters
    ----------
    truth, found
        Label images, as in `read_labels`; the truth may be an annotation file of one image.
    iou, on_truth
        As in `tomostat.kernels.score.score_labels`.
    to
        Folder for ``scores.csv``, ``metrics.png`` and ``outcomes.png``.
    grey, section
        As in `tomostat.report.scores.draw_outcomes`.

    Returns
    -------
    dict
        Scores by the name of the file without its suffix, or by its path where names are equal.

    Raises
    ------
    FileNotFoundError, ValueError
        When an image is missing, or shapes differ.
    """
    true_labels, ignored = read_truth(truth)
    names = [path.stem for path in found]
    names = names if len(set(names)) == len(names) else [str(path) for path in found]
    labels = {name: read_labels(path) for name, path in zip(names, found, strict=True)}
    for name, image in labels.items():
        if image.shape == ignored.shape and ignored.any():
            labels[name] = np.where(ignored, 0, image)
    scores = {name: score_labels(true_labels, image, iou=iou, on_truth=on_truth) for name, image in labels.items()}
    if to is not None:
        from tomostat.report.scores import draw_metrics, draw_outcomes
        from tomostat.report.style import save_png, styled

        background = None if grey is None else _read(grey)
        with styled():
            outcomes = draw_outcomes(true_labels, labels, background, iou=iou, on_truth=on_truth, section=section)
            to.mkdir(parents=True, exist_ok=True)
            save_png(outcomes, to / "outcomes.png")
            save_png(draw_metrics(scores), to / "metrics.png")
        table = pd.DataFrame({name: dataclasses.asdict(values) for name, values in scores.items()})
        table.T.to_csv(to / "scores.csv", index_label="found")
    return scores


def score_table(scores: Mapping[str, Scores]) -> str:
    """Scores as text, one line per score and one column per segmentation."""
    width = max(10, *(len(name) + 2 for name in scores))
    lines = [" " * 12 + "".join(f"{name:>{width}}" for name in scores)] if len(scores) > 1 else []
    for name in (field.name for field in dataclasses.fields(Scores)):
        values = [getattr(each, name) for each in scores.values()]
        lines.append(
            f"{name:<12}" + "".join(f"{v:>{width}}" if isinstance(v, int) else f"{v:>{width}.4f}" for v in values)
        )
    return "\n".join(lines)
