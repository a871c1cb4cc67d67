"""Commands that work on results: check and mesh; status of a study; and info on anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tomostat.cli.app import Out, Place, app
from tomostat.cli.session import session
from tomostat.cli.studies import chosen_field, study_in


@app.command(sort_key=20)
def check(out: Out, /, *, place: Place | None = None) -> int:
    """Look for files that are missing or damaged, particles cut flat at seams, and labels that no particle owns.

    The exit status is 1 where something was found. Particles are looked at where all files are whole.
    """
    from tomostat.checks import lines
    from tomostat.postprocess import check_files, check_study

    study = study_in(out)
    with session(place) as execution:
        if files := check_files(study, execution=execution):
            print("\n".join([*files, f"{len(files)} files are not as they were left"]))
            return 1
        found = check_study(study, execution=execution)
    for field, problems in found.items():
        for line in lines((problem.what, problem.place) for problem in problems):
            print(f"{field} {line}")
    count = sum(map(len, found.values()))
    print(f"{count} problems in {len(found)} fields" if count else f"nothing wrong in {len(found)} fields")
    return int(count > 0)


@app.command(sort_key=25)
def clean(out: Out, /) -> None:
    """Remove results of fields that the study does not name any more, and what killed runs left half-written."""
    from tomostat.postprocess import clean_study

    for path in (removed := clean_study(study_in(out))):
        print(f"removed {path}")
    if not removed:
        print("nothing to remove")


@app.command(sort_key=21)
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
    from tomostat.postprocess import mesh_field

    study = study_in(out)
    name = chosen_field(study, field)
    with session(place) as execution:
        files = mesh_field(study, name, to, labels=labels, execution=execution)
    print(f"{len(files)} meshes of {name} are in {to}")


@app.command(sort_key=25)
def status(out: Out, /) -> int:
    """Show how far a study is: every stage of every field, and what failed; also while a run goes on.

    The exit status is 1 where something failed.
    """
    from tomostat.status import FAILED, status_lines, study_status

    found = study_status(out)
    print(status_lines(found))
    return int(any(one.state == FAILED for one in found))


@app.command(sort_key=26)
def info(
    path: Path | None = None,
    /,
    *,
    columns: Annotated[bool, Parameter(negative="")] = False,
    formats: Annotated[bool, Parameter(negative="")] = False,
    detectors: Annotated[bool, Parameter(negative="")] = False,
    measures: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Describe a volume, a table or an output folder, or list columns, formats, detectors and measures.

    Parameters
    ----------
    path
        An OME-Zarr volume, an instance or particle table, a merge graph, an output folder, or any file that ingest
        reads.
    columns
        All columns of the particle table: unit, definition, and when a value is missing.
    formats
        Readers and the formats that they read, those of installed packages among them.
    detectors
        Names of detectors, those of installed packages among them.
    measures
        Names of measures of installed packages.
    """
    from tomostat import info as describe

    lists = ((columns, describe.column_lines), (formats, describe.format_lines), (detectors, describe.detector_lines),
             (measures, describe.measure_lines))  # fmt: skip
    asked = [tell for wanted, tell in lists if wanted]
    if path is None and not asked:
        raise ValueError("name a path, or one of --columns, --formats, --detectors, --measures")
    for tell in asked:
        print(tell())
    if path is not None:
        print(describe.describe_path(path))
