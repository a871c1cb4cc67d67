"""The command line: parse, set up logging and progress, call the pipeline."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from tomostat import __version__
from tomostat.options import (
    AnalyzeOptions,
    DetectOptions,
    IngestOptions,
    MeasureOptions,
    PhantomOptions,
    PhasesOptions,
    ReportOptions,
    StageOptions,
    StitchOptions,
    TrainOptions,
)

if TYPE_CHECKING:
    from distributed import Client

    from tomostat.manifest import Layout
    from tomostat.runner import Progress
    from tomostat.study import Study

logger = logging.getLogger(__name__)

app = App(
    name="tomostat",
    version=__version__,
    result_action="return_value",
    help="Per-particle statistics from X-ray nano-tomography volumes of battery electrodes.\n\n"
    "A newcomer's start: `tomostat run VOLUME --spacing 0.05 --out DIR`, then open DIR/report/index.html.",
)


USER_ERRORS = (ValueError, TypeError, FileNotFoundError, PermissionError, OSError, FloatingPointError)
"""What a user can mend: one line and exit status 2."""


@Parameter(name="*", group="Where it runs")
@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the work is done.

    Attributes
    ----------
    cluster
        local; a scheduler's address (tcp://host:8786) or scheduler file (.json); or a dask-jobqueue file (.yaml).
    workers
        Worker processes on this machine, for a local cluster; one per core when not given.
    verbose
        Say what is done, and show the whole traceback of an error.
    """

    cluster: str = "local"
    workers: int | None = None
    verbose: bool = False


Out = Annotated[Path, Parameter(name="OUT", help="Output folder of a study, as `tomostat run` or `ingest` made it.")]
Flat = Parameter(name="*", group="Options")


@app.command(sort_key=0)
def simulate(
    out: Path,
    /,
    *,
    conditions: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ("0.1C=0.15", "1C=0.35"),
    fields: int = 4,
    options: Annotated[PhantomOptions | None, Flat] = None,
    place: Place | None = None,
) -> None:
    """Simulate a study of electrodes with known truth.

    Parameters
    ----------
    out
        Folder to write the volumes and study.yaml into.
    conditions
        Conditions and the mean detachment of their particles, as NAME=VALUE.
    fields
        Fields of view per condition.
    """
    from tomostat.simulation import simulate_study

    means = _conditions(conditions)
    with _session(place) as (client, progress):
        study = simulate_study(
            out, means, fields=fields, options=options or PhantomOptions(), client=client, progress=progress
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


@app.command(sort_key=1)
def run(
    source: Path,
    /,
    *,
    spacing: Annotated[tuple[float, ...] | None, Parameter(consume_multiple=True, negative="")] = None,
    out: Path | None = None,
    name: str | None = None,
    ingest: Annotated[IngestOptions | None, Parameter(group="Ingest")] = None,
    phases: Annotated[PhasesOptions | None, Parameter(group="Phases")] = None,
    detect: Annotated[DetectOptions | None, Parameter(group="Detect")] = None,
    stitch: Annotated[StitchOptions | None, Parameter(group="Stitch")] = None,
    measure: Annotated[MeasureOptions | None, Parameter(group="Measure")] = None,
    analyze: Annotated[AnalyzeOptions | None, Parameter(group="Analyze")] = None,
    report: Annotated[ReportOptions | None, Parameter(group="Report")] = None,
    place: Place | None = None,
) -> None:
    """Run all stages on a study file, or on just a volume: from grey values to a table and a report.

    What is finished already is not done again, so the same command resumes an interrupted run.

    Parameters
    ----------
    source
        A study file (.yaml), or a volume: TIFF stack or folder of slices, HDF5/NeXus, raw, npy, zarr.
    spacing
        Voxel size in micrometers, one number or three (z y x); needed where the file does not tell.
    out
        Output folder; the study file's own when not given.
    name
        Name of the field, for a single volume; the file's name when not given.
    """
    study = _study(source, spacing, out, name).with_options(
        ingest=ingest, phases=phases, detect=detect, stitch=stitch, measure=measure, analyze=analyze, report=report
    )
    layout = _run(study, None, place)
    _print_summary(layout.root)


@app.command(sort_key=2)
def ingest(
    source: Path,
    /,
    *,
    spacing: Annotated[tuple[float, ...] | None, Parameter(consume_multiple=True, negative="")] = None,
    out: Path | None = None,
    name: str | None = None,
    options: Annotated[IngestOptions | None, Flat] = None,
    place: Place | None = None,
) -> None:
    """Read a volume, or all volumes of a study file, into OME-Zarr.

    Parameters
    ----------
    source
        A study file (.yaml), or a volume: TIFF stack or folder of slices, HDF5/NeXus, raw, npy, zarr.
    spacing
        Voxel size in micrometers, one number or three (z y x); needed where the file does not tell.
    out
        Output folder; the study file's own when not given.
    name
        Name of the field, for a single volume; the file's name when not given.
    """
    _run_stage(_study(source, spacing, out, name), "ingest", options, place)


@app.command(sort_key=3)
def phases(out: Out, /, *, options: Annotated[PhasesOptions | None, Flat] = None, place: Place | None = None) -> None:
    """Sort voxels into pore, carbon-binder domain and active material."""
    _run_stage(_study_of_folder(out), "phases", options, place)


@app.command(sort_key=4)
def detect(out: Out, /, *, options: Annotated[DetectOptions | None, Flat] = None, place: Place | None = None) -> None:
    """Find particles in every slice."""
    _run_stage(_study_of_folder(out), "detect", options, place)


@app.command(sort_key=5)
def stitch(
    out: Out,
    /,
    *,
    cut: list[tuple[int, int]] | None = None,
    join: list[tuple[int, int]] | None = None,
    edits: Path | None = None,
    field: str | None = None,
    options: Annotated[StitchOptions | None, Flat] = None,
    place: Place | None = None,
) -> None:
    """Join detections of neighbouring slices into particles, or correct them by hand.

    A correction repaints only what it touches and stays when the study is run again. `tomostat info OUT/graph/FIELD`
    lists the tracks on which the decision was close.

    Parameters
    ----------
    cut
        Two tracks that shall not be in one particle, as --cut 3 7; may be given several times.
    join
        Two tracks that shall be one particle, as --join 3 7; may be given several times.
    edits
        JSON list of corrections, [{"action": "cut", "a": 3, "b": 7}, ...], in place of all earlier ones.
    field
        Field that is corrected; needed where the study has several.
    """
    study = _study_of_folder(out)
    if not (cut or join or edits):
        return _run_stage(study, "stitch", options, place)
    from tomostat.finished import edit_field
    from tomostat.manifest import Layout
    from tomostat.pipeline import known_edits
    from tomostat.stitch import Edit, read_edits, with_edits

    study = study.with_options(stitch=options)
    name = _the_field(study, field)
    known = read_edits(edits) if edits else known_edits(Layout(out), name)
    more = [Edit("cut", *pair) for pair in cut or ()] + [Edit("join", *pair) for pair in join or ()]
    with _session(place) as (client, progress):
        edit_field(study, name, with_edits(known, more), client=client, progress=progress)
    print(f"particles of {name} are corrected in {out}; next: tomostat run {Layout(out).study}")


def _the_field(study: Study, name: str | None) -> str:
    names = [field.name for field in study.fields]
    if name is None and len(names) > 1:
        raise ValueError(f"--field is missing: name one of {', '.join(names)}")
    return names[0] if name is None else name


@app.command(sort_key=9)
def check(out: Out, /, *, place: Place | None = None) -> int:
    """Look for particles cut flat at seams, holes between stages and labels that no particle owns.

    The exit status is 1 where something was found.
    """
    from tomostat.finished import check_study

    study = _study_of_folder(out)
    with _session(place) as (client, progress):
        found = check_study(study, client=client, progress=progress)
    for field, problems in found.items():
        for problem in problems:
            print(f"{field} at z y x = {' '.join(map(str, problem.place))}: {problem.what}")
    count = sum(map(len, found.values()))
    print(f"{count} problems in {len(found)} fields" if count else f"nothing wrong in {len(found)} fields")
    return int(count > 0)


@app.command(sort_key=6)
def measure(out: Out, /, *, options: Annotated[MeasureOptions | None, Flat] = None, place: Place | None = None) -> None:
    """Measure every particle: size, surface, detachment, resistance, cracks, density."""
    _run_stage(_study_of_folder(out), "measure", options, place)


@app.command(sort_key=6)
def mesh(
    out: Out,
    /,
    *,
    to: Path,
    field: str | None = None,
    labels: Annotated[tuple[int, ...] | None, Parameter(consume_multiple=True, negative="")] = None,
    place: Place | None = None,
) -> None:
    """Write measured particles as PLY meshes with resistance and contact, for ParaView and Blender.

    Parameters
    ----------
    to
        Folder for the files, FIELD-LABEL.ply; x y z in micrometers.
    field
        Field of the particles; needed where the study has several.
    labels
        Particles, as in column label of the particle table; all of the field when not given.
    """
    from tomostat.finished import mesh_field

    study = _study_of_folder(out)
    name = _the_field(study, field)
    with _session(place) as (client, progress):
        files = mesh_field(study, name, to, labels=labels, client=client, progress=progress)
    print(f"{len(files)} meshes of {name} are in {to}")


@app.command(sort_key=7)
def analyze(out: Out, /, *, options: Annotated[AnalyzeOptions | None, Flat] = None, place: Place | None = None) -> None:
    """Compute statistics of the study, with confidence intervals."""
    _run_stage(_study_of_folder(out), "analyze", options, place)


@app.command(sort_key=8)
def report(out: Out, /, *, options: Annotated[ReportOptions | None, Flat] = None, place: Place | None = None) -> None:
    """Write the page with figures, tables and pictures."""
    _run_stage(_study_of_folder(out), "report", options, place)


@app.command(sort_key=10)
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
    options: Annotated[TrainOptions | None, Flat] = None,
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
        Annotations that judge the checkpoints, the start, and means of both, by mAP; the last quarter of the slices
        when not given. Of fewer than four slices the last checkpoint wins.
    images
        Folder of the images; that of the annotations when not given.
    classes
        Names of what is a particle; all names when not given. "ignore" is always known.
    partial
        Only some particles are annotated: learn nothing from places where none is.
    """
    from functools import partial as with_arguments

    from tomostat.detect.annotations import as_slices, read_annotations
    from tomostat.detect.start import slices_seen
    from tomostat.detect.tune import fine_tune
    from tomostat.report.training import write_curves

    schedule = options or TrainOptions()
    read = with_arguments(
        read_annotations,
        images=images,
        classes=classes,
        partial=partial,
        around=slices_seen(weights, schedule) // 2,
    )
    known = as_slices(read(annotations))
    judges = as_slices(read(validation)) if validation else []
    with _bars() as bars:
        task = bars.add_task("training", total=schedule.steps)
        best = fine_tune(
            known, out, weights=weights, options=schedule, validation=judges,
            progress=lambda step, steps: bars.update(task, completed=step, total=steps),
        )  # fmt: skip
    print(f"checkpoint: {best}")
    print(f"curves: {write_curves(out)}")


@app.command(sort_key=11)
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
    truth, found
        Label images (TIFF or npy), or volumes with the label image named after a colon: VOLUME.zarr:particles.
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


@app.command(sort_key=12)
def look(
    source: Path,
    /,
    *,
    to: Path,
    section: int | None = None,
    weights: str = "shipped",
    level: Literal["0", "1", "2", "3"] = "0",
    kind: Literal["change", "strength"] = "change",
) -> None:
    """Show what the network looks at in a slice: outlines of particles are bright, cracks are not.

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
    from tomostat.look import write_activation

    write_activation(source, to, section=section, weights=weights, level=level, kind=kind)
    print(f"written to {to}")


@app.command(sort_key=13)
def info(path: Path, /) -> None:
    """Tell what a volume, table or output folder holds.

    Parameters
    ----------
    path
        An OME-Zarr volume, an instance or particle table, a merge graph, an output folder, or any file that ingest
        reads.
    """
    from tomostat.info import describe_path

    print(describe_path(path))


def _study(source: Path, spacing: Any, out: Path | None, name: str | None) -> Study:
    """The study that a study file or a single volume stands for."""
    import dataclasses

    from tomostat.study import load_study, study_of_volume

    if source.suffix.lower() in (".yaml", ".yml"):
        for flag, value in (("spacing", spacing), ("name", name)):
            if value is not None:
                raise ValueError(f"--{flag} goes with a volume; for a study write it into {source}")
        study = load_study(source)
        return study if out is None else dataclasses.replace(study, output=out)
    if out is None:
        raise ValueError("--out is missing: name the output folder")
    return study_of_volume(source, out, spacing=spacing, name=name)


def _study_of_folder(out: Path) -> Study:
    """The study whose results a folder holds, wherever the folder was moved to."""
    import dataclasses

    from tomostat.manifest import Layout, read_manifest
    from tomostat.study import load_study

    read_manifest(out)
    return dataclasses.replace(load_study(Layout(out).study), output=out)


def _run_stage(study: Study, stage: str, options: StageOptions | None, place: Place | None) -> None:
    layout = _run(study.with_options(**{stage: options}), [stage], place)
    print(f"{stage} is finished in {layout.root}")


def _run(study: Study, stages: Sequence[str] | None, place: Place | None) -> Layout:
    """Check first, then start a cluster and run; all stages when none are named."""
    from tomostat import pipeline

    stages = stages or pipeline.STAGES
    pipeline.check_inputs(study, stages)
    with _session(place) as (client, progress):
        return pipeline.run(study, stages=stages, client=client, progress=progress)


def _print_summary(root: Path) -> None:
    from tomostat.info import summarize

    print(summarize(root))


@contextlib.contextmanager
def _session(place: Place | None) -> Iterator[tuple[Client, Progress]]:
    """Logging, a cluster and progress bars for the length of a command."""
    from tomostat.cluster import open_client

    place = place or Place()
    _configure_logging(place.verbose)
    bars = _bars()
    tasks: dict[str, Any] = {}

    def progress(label: str, done: int, total: int) -> None:
        if label not in tasks:
            tasks[label] = bars.add_task(label, total=total)
        bars.update(tasks[label], completed=done, total=total, visible=done < total)

    with open_client(place.cluster, workers=place.workers) as client, bars:
        yield client, progress


def _bars() -> Any:
    """Progress bars on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))


def _configure_logging(verbose: bool) -> None:
    import distributed.config  # noqa: F401 - sets levels of its own when it is first imported
    from rich.logging import RichHandler

    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[RichHandler(show_path=verbose)])
    logging.getLogger("tomostat").setLevel(logging.INFO if verbose else logging.WARNING)
    logging.getLogger("distributed").setLevel(logging.WARNING if verbose else logging.CRITICAL)


def main(tokens: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 done, 1 `check` found problems, 2 something to mend."""
    tokens = sys.argv[1:] if tokens is None else list(tokens)
    try:
        status = app(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return _refuse(error)
    except USER_ERRORS as error:
        if "--verbose" in tokens:
            raise
        return _refuse(error)
    except KeyboardInterrupt:
        print("tomostat: interrupted; the same command resumes", file=sys.stderr)
        return 130
    return status if isinstance(status, int) else 0


def _refuse(error: BaseException) -> int:
    line = " ".join(str(error).split()) or type(error).__name__
    print(f"tomostat: {line}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
