"""Work on finished fields: corrections by hand, checks, meshes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tomostat.datasets import open_particles
from tomostat.execution import Execution
from tomostat.manifest import Layout
from tomostat.measure import write_meshes
from tomostat.pipeline import Run
from tomostat.stage import field_stage
from tomostat.stitch import Edit, Problem, check_particles, edit_particles, known_edits, open_graph, write_edits
from tomostat.stitch.edits import check_edits
from tomostat.study import Field, Study


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
    running, edits = Run.of(study, execution), tuple(edits)
    layout, one, stitch = running.layout, _known_field(study, field), field_stage("stitch")
    before = running.manifest.record(field, stitch.name)
    if before is None or running.manifest.key(field, stitch.name) != running.field_key(stitch, one):
        raise ValueError(f"field {field!r} is not stitched with these options; run `tomostat stitch {layout.root}`")
    graph, path = layout.graph(field), layout.edits(field)
    check_edits(edits, len(open_graph(graph).tracks))
    start, known = time.perf_counter(), known_edits(path)
    write_edits(path, edits)
    try:
        running.manifest.begin(field, stitch.name, running.field_key(stitch, one), before.options)
        where = dataclasses.replace(running.execution, field=field)
        edit_particles(layout.volume(field), layout.instances(field), graph, edits, execution=where)
    except ValueError:  # refused before anything was painted
        write_edits(path, known)
        running.manifest.put(field, stitch.name, before)
        raise
    running.manifest.finish(field, stitch.name, time.perf_counter() - start)
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
    if running.manifest.key(field, measure.name) != running.field_key(measure, _known_field(study, field)):
        raise ValueError(f"field {field!r} is not measured as it is now; run `tomostat measure {layout.root}`")
    where = dataclasses.replace(running.execution, field=field)
    particles = open_particles(layout.table(field))
    return write_meshes(layout.volume(field), particles, folder, labels=labels, execution=where)


def check_study(study: Study, *, execution: Execution | None = None) -> dict[str, list[Problem]]:
    """Look for what should not be where blocks, tiles and stages meet, in every field.

    Returns
    -------
    dict
        Problems by field, empty lists where all is well; see `tomostat.stitch.check_particles`.

    Raises
    ------
    ValueError, FileNotFoundError
        When a field is not stitched.
    """
    running, stitch = Run.of(study, execution), field_stage("stitch")
    layout = running.layout
    for field in study.fields:
        running.finished(field.name, stitch)
    found = {}
    for field in study.fields:
        where = dataclasses.replace(running.execution, field=field.name)
        places = layout.volume(field.name), layout.instances(field.name), layout.graph(field.name)
        found[field.name] = check_particles(*places, execution=where)
    return found


def _known_field(study: Study, name: str) -> Field:
    for field in study.fields:
        if field.name == name:
            return field
    raise ValueError(f"there is no field {name!r}; fields are {', '.join(field.name for field in study.fields)}")
