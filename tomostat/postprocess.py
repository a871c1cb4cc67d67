"""Work on finished fields: corrections by hand, checks, files for other programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from tomostat.checks import FieldCheck, lines, write_checks
from tomostat.execution import Execution
from tomostat.export import Results, write_formats
from tomostat.files import half_written, remove
from tomostat.layout import Layout
from tomostat.lock import refuse_used
from tomostat.manifest import check_output
from tomostat.pipeline import Run
from tomostat.stage import all_stages, field_stage
from tomostat.stitch import Edit, Problem, check_particles, edit_particles, known_edits, open_graph, write_edits
from tomostat.stitch.edits import check_edits
from tomostat.study import Study
from tomostat.volume import check_tasks


def edit_field(study: Study, field: str, edits: Iterable[Edit], *, execution: Execution | None = None) -> Layout:
    """Correct the particles of a stitched field by hand; what comes after `stitch` is then made anew by `run`.

    Parameters
    ----------
    study
        The study, with the options that it was stitched with.
    field
        Name of the field.
    edits
        All corrections that shall hold; they replace earlier ones and are kept in ``edits/FIELD.json``.
    execution
        Where to run, who is notified, and where finished tasks are marked; threads of this process when not given.

    Returns
    -------
    Layout
        Paths of the study's output.

    Raises
    ------
    ValueError, FileNotFoundError
        When there is no such field, it is not stitched, or the edits cannot be; nothing is changed then.
    """
    edits, stitch, name = tuple(edits), field_stage("stitch"), study.field(field).name
    if stitch.given(study.field(name)):
        raise ValueError(f"particles of field {name!r} are those of {study.field(name).labels}; correct them there")
    check_output(Layout(study.output), study.study)
    with Run.alone(study, execution) as running:
        layout, records = running.layout, running.manifest.records()
        if running.manifest.key(name, stitch.name) != running.key(name, stitch):
            raise ValueError(f"field {field!r} is not stitched with these options; run `tomostat stitch {layout.root}`")
        graph, path = layout.graph(name), layout.edits(name)
        check_edits(edits, len(open_graph(graph).tracks))
        known = known_edits(path)
        write_edits(path, edits)
        try:
            with running.making(name, stitch, running.key(name, stitch)):
                where = dataclasses.replace(running.execution, field=name)
                edit_particles(layout.volume(name), layout.instances(name), graph, edits, execution=where)
        except ValueError:  # refused before anything was painted
            write_edits(path, known)
            running.manifest.restore(records)
            raise
    return layout


def export_study(
    study: Study,
    folder: str | Path,
    formats: Sequence[str],
    *,
    field: str | None = None,
    labels: Sequence[int] | None = None,
    execution: Execution | None = None,
) -> list[Path]:
    """Write the results of a measured study as files of other programs.

    Parameters
    ----------
    study
        The study, with the options that it was measured with.
    folder
        Where the files go, those of each format in a folder that is named like it.
    formats
        Names out of `tomostat.export.FORMATS`.
    field
        Name of a field; all fields when not given.
    labels
        Particles to write, of one field and for formats that hold one particle per file; all when not given.
    execution
        Where to run, who is notified, and where finished tasks are marked; threads of this process when not given.

    Returns
    -------
    list of Path
        The folders of the formats.

    Raises
    ------
    ValueError, FileNotFoundError, FileExistsError, OSError
        When there is no such format, field or particle, the study is not measured as it is now, a folder of a format is
        there already, or the disk is full; nothing is written then.
    """
    chosen = study.fields if field is None else (study.field(field),)
    if labels is not None and len(chosen) > 1:
        raise ValueError(f"labels name particles of one field; name one of {', '.join(one.name for one in chosen)}")
    running = Run.of(study, execution)
    running.check_current("measure")
    wanted = Results(running.layout, tuple(one.name for one in chosen), None if labels is None else tuple(labels))
    return write_formats(wanted, Path(folder).absolute(), formats, execution=running.execution)


def clean_study(study: Study) -> list[Path]:
    """Remove results of fields that the study does not name any more, and what killed runs left half-written.

    Corrections by hand in ``edits`` stay.

    Returns
    -------
    list of Path
        What was removed.

    Raises
    ------
    InUseError, ValueError
        When a process works in the output folder, or the folder is another study's.
    """
    with Run.alone(study) as running:
        layout, removed = running.layout, running.removed_fields()
        paths = [path for field in removed for path in layout.of_field(field)]
        paths = sorted({*paths, *half_written(layout.root)})
        found = [path for path in paths if path.exists()]
        for path in found:
            remove(path)
        for field in removed:
            running.manifest.remove(field)
    return found


def check_files(study: Study, *, execution: Execution | None = None) -> list[str]:
    """Compare all files of finished stages with what the stages left, and read every chunk of every array.

    Returns
    -------
    list of str
        A line for every file that is missing, altered, damaged or nobody's; empty where all is well.

    Raises
    ------
    InUseError, ValueError
        When a process works in the output folder, or the folder is another study's.
    """
    running = Run.of(study, execution)
    layout, lines = running.layout, []
    refuse_used(layout.root)
    finished = [
        (scope, stage)
        for stage in all_stages()
        for scope in running.scopes(stage)
        if running.manifest.key(scope, stage.name) is not None
    ]
    for scope, stage in finished:
        faults = running.manifest.faults(scope, stage.name)
        lines += [f"{layout.root / name} is missing, {stage.name} wrote it" for name in faults.missing]
        lines += [f"{layout.root / name} is not as {stage.name} left it" for name in faults.altered]
        unknown = running.manifest.unknown(scope, stage.outputs(layout, scope))
        lines += [f"{layout.root / name} is not from the last run of {stage.name}" for name in unknown]
    folders = [path for scope, stage in finished for path in stage.outputs(layout, scope)]
    damaged = running.execution.for_stage("check").run("files", check_tasks(folders))
    return [*lines, *(line for found in damaged.values() for line in found)]


def check_study(study: Study, *, execution: Execution | None = None) -> dict[str, list[Problem]]:
    """Look for what should not be where blocks, tiles and stages meet, in every field; the report shows what was found.

    Returns
    -------
    dict
        Problems by field, empty lists where all is well; see `tomostat.stitch.check_particles`. Fields whose particles
        another program found are left out.

    Raises
    ------
    ValueError, FileNotFoundError
        When a field is not stitched.
    """
    running, stitch = Run.of(study, execution), field_stage("stitch")
    layout = running.layout
    stitched = [field for field in study.fields if not stitch.given(field)]
    for field in stitched:
        running.finished(field.name, stitch)
    found = {}
    for field in stitched:
        where = dataclasses.replace(running.execution, field=field.name)
        places = layout.volume(field.name), layout.instances(field.name), layout.graph(field.name)
        found[field.name] = check_particles(*places, execution=where)
    keys = {name: running.manifest.key(name, stitch.name) or "" for name in found}
    reported = {name: lines((problem.what, problem.place) for problem in problems) for name, problems in found.items()}
    write_checks(layout.checks, {name: FieldCheck(keys[name], reported[name]) for name in found})
    return found
