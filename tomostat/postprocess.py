"""Work on finished fields: corrections by hand, checks, meshes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from tomostat.checks import FieldCheck, lines, write_checks
from tomostat.datasets import open_particles
from tomostat.execution import Execution
from tomostat.files import half_written, remove
from tomostat.lock import refuse_used
from tomostat.manifest import Layout, check_output
from tomostat.measure import write_meshes
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


def mesh_field(
    study: Study,
    field: str,
    folder: Path,
    *,
    labels: Sequence[int] | None = None,
    execution: Execution | None = None,
) -> list[Path]:
    """Write the surfaces of a measured field's particles as PLY files.

    Parameters
    ----------
    study
        The study, with the options that it was measured with.
    field
        Name of the field.
    folder
        Where the files go, as ``FIELD-LABEL.ply``.
    labels
        Particles to write; all when not given.
    execution
        Where to run, who is notified, and where finished tasks are marked; threads of this process when not given.

    Returns
    -------
    list of Path
        The files; see `tomostat.measure.write_meshes`.

    Raises
    ------
    ValueError, FileNotFoundError
        When there is no such field or particle, the field is not measured as it is now, or has no maps.
    """
    running, measure = Run.of(study, execution), field_stage("measure")
    layout = running.layout
    if running.manifest.key(field, measure.name) != running.key(study.field(field).name, measure):
        raise ValueError(f"field {field!r} is not measured as it is now; run `tomostat measure {layout.root}`")
    where = dataclasses.replace(running.execution, field=field)
    particles = open_particles(layout.table(field))
    return write_meshes(layout.volume(field), particles, folder, labels=labels, execution=where)


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
    damaged = running.execution.named("check").run("files", check_tasks(folders))
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
    told = {name: lines((problem.what, problem.place) for problem in problems) for name, problems in found.items()}
    write_checks(layout.checks, {name: FieldCheck(keys[name], told[name]) for name in found})
    return found
