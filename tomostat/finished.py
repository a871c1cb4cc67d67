"""Work on finished fields: corrections by hand, checks, meshes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tomostat.manifest import Layout, Manifest, stage_key
from tomostat.measure import write_meshes
from tomostat.measure.table import open_particles
from tomostat.options import as_dict
from tomostat.pipeline import Job, known_edits, named, upstream_of
from tomostat.runner import Progress
from tomostat.stitch import Edit, Problem, check_particles, edit_particles, open_graph, write_edits
from tomostat.stitch.graph import check_edits
from tomostat.study import Field, Study

if TYPE_CHECKING:
    from distributed import Client


def edit_field(
    study: Study, field: str, edits: Iterable[Edit], *, client: Client | None = None, progress: Progress | None = None
) -> Layout:
    """Correct the particles of a stitched field by hand; what comes after `stitch` is then made anew by `run`.

    Parameters
    ----------
    study
        The study, with the options that it was stitched with.
    field
        Name of the field.
    edits
        All corrections that shall hold; they replace earlier ones and are kept in ``edits/FIELD.json``.
    client, progress
        As for `run`.

    Returns
    -------
    Layout
        Paths of the study's output.

    Raises
    ------
    ValueError, FileNotFoundError
        When there is no such field, it is not stitched, or the edits cannot be; nothing is changed then.
    """
    job, edits = Job.of(study, client, progress), tuple(edits)
    layout, one = job.layout, _known_field(study, field)
    before, options = job.manifest.entry(field, "stitch"), as_dict(study.options["stitch"])
    if before.get("key") != stage_key("stitch", options, upstream_of(job, one, "stitch")):
        raise ValueError(f"field {field!r} is not stitched with these options; run `tomostat stitch {layout.root}`")
    graph = layout.graph(field)
    check_edits(edits, len(open_graph(graph).tracks))
    start, known = time.perf_counter(), known_edits(layout, field)
    write_edits(layout.edits(field), edits)
    try:
        job.manifest.begin(field, "stitch", stage_key("stitch", options, upstream_of(job, one, "stitch")), options)
        edit_particles(
            layout.volume(field), layout.instances(field), graph, edits,
            client=client, progress=named(field, progress),
        )  # fmt: skip
    except ValueError:  # refused before anything was painted
        write_edits(layout.edits(field), known)
        job.manifest.restore(field, "stitch", before)
        raise
    job.manifest.finish(field, "stitch", time.perf_counter() - start)
    return layout


def mesh_field(
    study: Study,
    field: str,
    folder: Path,
    *,
    labels: Sequence[int] | None = None,
    client: Client | None = None,
    progress: Progress | None = None,
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
    client, progress
        As for `run`.

    Returns
    -------
    list of Path
        The files; see `tomostat.measure.write_meshes`.

    Raises
    ------
    ValueError, FileNotFoundError
        When there is no such field or particle, the field is not measured as it is now, or has no maps.
    """
    job = Job.of(study, client, progress)
    layout = job.layout
    upstream, options = upstream_of(job, _known_field(study, field), "measure"), as_dict(study.options["measure"])
    if job.manifest.key(field, "measure") != stage_key("measure", options, upstream):
        raise ValueError(f"field {field!r} is not measured as it is now; run `tomostat measure {layout.root}`")
    return write_meshes(
        layout.volume(field), open_particles(layout.table(field)), folder,
        labels=labels, client=client, progress=named(field, progress),
    )  # fmt: skip


def check_study(
    study: Study, *, client: Client | None = None, progress: Progress | None = None
) -> dict[str, list[Problem]]:
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
    layout = Layout(study.output)
    manifest = Manifest(layout, study.study)
    for field in study.fields:
        if manifest.key(field.name, "stitch") is None:
            raise ValueError(f"stitch of field {field.name!r} is not finished; run `tomostat stitch {layout.root}`")
    return {
        field.name: check_particles(
            layout.volume(field.name), layout.instances(field.name), layout.graph(field.name),
            client=client, progress=named(field.name, progress),
        )
        for field in study.fields
    }  # fmt: skip


def _known_field(study: Study, name: str) -> Field:
    for field in study.fields:
        if field.name == name:
            return field
    raise ValueError(f"there is no field {name!r}; fields are {', '.join(field.name for field in study.fields)}")
