"""Commands that run stages: `run` for all of them, and one for every stage that declares itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tomostat.cli.app import FLAT, Again, FieldName, Given, NewOut, Out, Place, Source, Spacing, app
from tomostat.cli.session import session
from tomostat.cli.studies import chosen_field, run_stage, run_stages, study_in, study_of
from tomostat.ingest.options import IngestOptions
from tomostat.options import StageOptions
from tomostat.stage import all_stages
from tomostat.stitch.options import StitchOptions

STAGES = [stage for stage in all_stages() if stage.part_of is None]


def run(
    source: Source = None,
    /,
    *,
    spacing: Spacing = None,
    out: NewOut = None,
    name: FieldName = None,
    given: Given | None = None,
    again: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = (),
    place: Place | None = None,
    **options: Any,
) -> None:
    """Run all stages on a study file, or on just a volume: from grey values to a table and a report.

    What is finished already is not done again, so the same command resumes an interrupted run.

    Parameters
    ----------
    again
        Stages to run though they are finished, such as --again detect; what depends on them is made anew too.
    """
    from tomostat.info import summarize

    layout = run_stages(study_of(source, spacing, out, name, given, options), None, place, again)
    print(summarize(layout.root))


def _with_options_of_all_stages(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose ``**options`` are the options of every stage, each under the stage's name."""
    signature = inspect.signature(command, eval_str=True)
    known = [one for one in signature.parameters.values() if one.kind != one.VAR_KEYWORD]
    more = [
        inspect.Parameter(
            stage.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[stage.options | None, Parameter(group=stage.name.title())],
        )
        for stage in STAGES
    ]
    command.__signature__ = signature.replace(parameters=known + more)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in known + more}
    return command


app.command(_with_options_of_all_stages(run), sort_key=1)


def plan(
    source: Source = None,
    /,
    *,
    spacing: Spacing = None,
    out: NewOut = None,
    name: FieldName = None,
    given: Given | None = None,
    like: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative="")] = (),
    cluster: str = "local",
    workers: int | None = None,
    **options: Any,
) -> None:
    """Estimate what `run` will take: tasks, bytes, memory, hours of CPUs and GPUs, time and disk. Nothing is started.

    It goes by what earlier runs took, on these workers or similar ones.

    Parameters
    ----------
    like
        Output folders of earlier runs with the same options; the study's own when not given.
    cluster
        local, or the cluster file that it is to run on.
    workers
        Worker processes on this machine; one per core when not given.
    """
    from tomostat.cluster import capacities_of
    from tomostat.costs import read_costs
    from tomostat.plan import plan_study, plan_table

    study = study_of(source, spacing, out, name, given, options)
    print(plan_table(plan_study(study, read_costs(like or (study.output,)), capacities_of(cluster, workers))))


app.command(_with_options_of_all_stages(plan), sort_key=1)


def try_settings(
    source: Path,
    /,
    *,
    spacing: Spacing = None,
    box: str | None = None,
    field: str | None = None,
    out: Path = Path("preview.png"),
    **options: Any,
) -> None:
    """Show phases and outlines of particles in a small box of a volume, as a picture, before a long run.

    It takes the options of `run`, so that what suits can be given there. Only the box is read.

    Parameters
    ----------
    source
        A volume in a format that `tomostat info --formats` lists, FILE:DATASET in a file of several, or a study file
        (.yaml).
    box
        First voxel and the one after the last along each axis, z0:z1,y0:y1,x0:x1; 32 x 256 x 256 voxels in the middle
        when not given.
    field
        Field of a study file; the first one when not given.
    out
        Picture to write (.png).
    """
    from tomostat.blocks import parse_box
    from tomostat.preview import preview

    study = study_of(source, spacing, out.with_suffix(""), None, None, options)
    found = preview(study, out, field=field, box=None if box is None else parse_box(box))
    print("\n".join([*found.lines(), f"picture: {out}"]))


app.command(_with_options_of_all_stages(try_settings), name="try", sort_key=1)


@app.command(sort_key=2)
def ingest(
    source: Source = None,
    /,
    *,
    spacing: Spacing = None,
    out: NewOut = None,
    name: FieldName = None,
    given: Given | None = None,
    options: Annotated[IngestOptions | None, FLAT] = None,
    again: Again = False,
    place: Place | None = None,
) -> None:
    """Read a volume, or all volumes of a study file, into OME-Zarr."""
    study = study_of(source, spacing, out, name, given, {"ingest": options})
    run_stage(study, "ingest", options, place, again)


@app.command(sort_key=5)
def stitch(
    out: Out,
    /,
    *,
    cut: list[tuple[int, int]] | None = None,
    join: list[tuple[int, int]] | None = None,
    edits: Path | None = None,
    field: str | None = None,
    options: Annotated[StitchOptions | None, FLAT] = None,
    again: Again = False,
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
    study = study_in(out)
    if not (cut or join or edits):
        return run_stage(study, "stitch", options, place, again)
    from tomostat.layout import Layout
    from tomostat.postprocess import edit_field
    from tomostat.stitch import Edit, known_edits, open_graph, read_edits, relabelled, with_edits

    study = study.with_options(stitch=options)
    name = chosen_field(study, field)
    known = read_edits(edits) if edits else known_edits(Layout(out).edits(name))
    more = [Edit("cut", *pair) for pair in cut or ()] + [Edit("join", *pair) for pair in join or ()]
    graph = Layout(out).graph(name)
    before = open_graph(graph) if graph.exists() else None
    with session(place) as execution:
        edit_field(study, name, with_edits(known, more), execution=execution)
    changes = [] if before is None else relabelled(before, open_graph(graph))
    print("\n".join(changes) or f"no particle of {name} has changed: they are so already")
    print(f"corrections of {name} are kept in {Layout(out).edits(name)}; next: tomostat run {Layout(out).study}")


def _command(stage: Any) -> Callable[..., None]:
    """The command of a stage that works in an output folder."""

    def command(
        out: Path, /, *, options: StageOptions | None = None, again: bool = False, place: Place | None = None
    ) -> None:
        run_stage(study_in(out), stage.name, options, place, again)

    command.__doc__ = stage.help
    command.__annotations__ = {
        "out": Out, "options": Annotated[stage.options | None, FLAT], "again": Again, "place": Place | None,
        "return": None,
    }  # fmt: skip
    return command


for number, stage in enumerate(STAGES):
    if stage.name not in app:  # those with a command of their own stand above
        app.command(_command(stage), name=stage.name, sort_key=2 + number)
