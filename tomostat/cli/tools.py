"""Commands beside the stages: simulate, train, evaluate, activation, compile."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from tomostat.cli.app import FLAT, Place, app
from tomostat.cli.progress import progress_bars
from tomostat.cli.session import session
from tomostat.detect.options import TrainOptions
from tomostat.phantom.options import PhantomOptions

logger = logging.getLogger(__name__)


@app.command(sort_key=0)
def simulate(
    out: Path,
    /,
    *,
    conditions: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ("0.1C=0.15", "1C=0.35"),
    samples: int = 1,
    fields: int = 4,
    options: Annotated[PhantomOptions | None, FLAT] = None,
    place: Place | None = None,
) -> None:
    """Simulate a study of electrodes with known truth.

    Parameters
    ----------
    out
        Folder to write the volumes and study.yaml into.
    conditions
        Conditions and the mean detachment of their particles, as NAME=VALUE.
    samples
        Samples per condition.
    fields
        Fields of view per sample.
    """
    from tomostat.simulation import simulate_study

    means = _conditions(conditions)
    with session(place) as execution:
        study = simulate_study(
            out, means, samples=samples, fields=fields, options=options or PhantomOptions(), execution=execution
        )
    print(f"study file: {study}")
    print(f"next: tomostat run {study}")


def _conditions(pairs: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for pair in pairs:
        name, equals, value = pair.rpartition("=")
        try:
            found[name] = float(value)
        except ValueError:
            equals = ""
        if not equals or not name or not 0 <= found[name] <= 1:
            raise ValueError(f"conditions has {pair!r}; expected NAME=VALUE with a detachment from 0 to 1")
    return found


@app.command(sort_key=22)
def train(
    annotations: Path,
    /,
    *,
    out: Path,
    weights: str = "shipped",
    validation: Path | None = None,
    images: Path | None = None,
    classes: Annotated[tuple[str, ...] | None, Parameter(consume_multiple=True, negative="")] = None,
    partial: bool = False,
    options: Annotated[TrainOptions | None, FLAT] = None,
) -> None:
    """Adapt the network to annotated slices; the same command resumes.

    Parameters
    ----------
    annotations
        COCO or VIA json, a label image NAME_instances.tif beside NAME.tif, a folder of those, or an OME-Zarr volume
        with labels/particles.
    out
        Folder for checkpoints, log and curves; give its checkpoint to `tomostat detect --weights`.
    weights
        What to start from: shipped (the fast one), accurate, random, imagenet, coco, or the path of a checkpoint.
    validation
        Annotations on which the checkpoints, the initial weights and means of both are scored by mAP; the last quarter
        of the slices when not given. Of fewer than four slices the last checkpoint wins.
    images
        Folder of the images; that of the annotations when not given.
    classes
        Names of what is a particle; all names when not given. "ignore" is always known.
    partial
        Only some particles are annotated: learn nothing from places without annotation.
    """
    from functools import partial as with_arguments

    from tomostat.annotations import as_slices, read_annotations
    from tomostat.detect.fine_tuning import fine_tune
    from tomostat.detect.initial_weights import input_slices
    from tomostat.report.training import write_curves

    schedule = options or TrainOptions()
    read = with_arguments(
        read_annotations,
        images=images,
        classes=classes,
        partial=partial,
        neighbours=input_slices(weights, schedule) // 2,
    )
    known = as_slices(read(annotations))
    held_out = as_slices(read(validation)) if validation else []
    with progress_bars() as bars:
        task = bars.add_task("training", total=schedule.steps, rate="")
        best = fine_tune(
            known, out, weights=weights, options=schedule, validation=held_out,
            progress=lambda step, steps: bars.update(task, completed=step, total=steps),
        )  # fmt: skip
    print(f"checkpoint: {best}")
    print(f"curves: {write_curves(out)}")


@app.command(sort_key=23)
def evaluate(
    truth: Path,
    /,
    *found: Path,
    iou: float = 0.5,
    on_truth: float = 0.0,
    to: Path | None = None,
    grey: Path | None = None,
    section: int | None = None,
) -> None:
    """Score found objects against the truth, in 2D or 3D, several side by side.

    Parameters
    ----------
    truth
        Label image in any format that ingest reads; of several in a file, one named as in VOLUME.zarr:particles. Or a
        COCO or VIA json of one image.
    found
        Label images to be scored against it.
    iou
        Smallest intersection over union of a match.
    on_truth
        Found objects with less than this share of their area on true ones are not counted.
    to
        Folder for scores.csv, metrics.png (the six metrics) and outcomes.png (hits, misses, splits, merges).
    grey
        Image or volume to draw the outcomes over.
    section
        Slice of a volume to draw; that with most true objects when not given.
    """
    from tomostat.compare import compare_labels, score_table

    if not found:
        raise ValueError("name one or more label images of found objects after the truth")
    scores = compare_labels(truth, found, iou=iou, on_truth=on_truth, to=to, grey=grey, section=section)
    print(score_table(scores))


@app.command(sort_key=24)
def activation(
    source: Path,
    /,
    *,
    to: Path,
    section: int | None = None,
    weights: str = "shipped",
    level: Literal["0", "1", "2", "3"] = "0",
    kind: Literal["change", "strength"] = "change",
) -> None:
    """Show the activation map of the network in a slice: outlines of particles are bright, cracks are not.

    Parameters
    ----------
    source
        Image file or OME-Zarr volume.
    to
        File to write: .png for a picture, .tif or .npy for values from 0 to 1.
    section
        Slice of a volume; the middle one when not given.
    weights
        shipped (the fast one), accurate, or the path of a checkpoint.
    level
        Level of the feature pyramid, of strides 4, 8, 16 and 32.
    kind
        How much the features change from place to place, or how strong they are.
    """
    from tomostat.activation import write_activation

    write_activation(source, to, section=section, weights=weights, level=level, kind=kind)
    print(f"written to {to}")


@app.command(name="compile", sort_key=25)
def compile_kernels() -> None:
    """Compile the numerical kernels now, once after installing; else every worker of the first run does.

    On a cluster whose nodes share the home folder or the installation, workers then start with what is compiled here.
    """
    from tomostat.compilation import compile_kernels

    with progress_bars():
        compile_kernels()
    print("kernels are compiled")


@app.command(show=False)
@functools.wraps(activation, assigned=["__annotations__"])
def look(*args: Any, **options: Any) -> None:
    """The former name of `tomostat activation`."""
    logger.warning("`tomostat look` is now `tomostat activation`; the old name will go")
    activation(*args, **options)
