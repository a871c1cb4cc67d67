"""Commands that work on results: check and export; status of a study; and info on anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tomostat.cli.app import Out, Place, app
from tomostat.cli.session import session
from tomostat.cli.studies import study_in


@app.command(sort_key=20)
def check(out: Out, /, *, place: Place | None = None) -> int:
    """Look for files that are missing or damaged, particles cut flat at seams, and labels that no particle owns.

    The exit status is 1 where something was found. Particles are looked at where all files are whole.
    """
    from tomostat.checks import lines
    from tomostat.messages import plural
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
    given = len(study.fields) - len(found)
    looked_at = f"in {plural(len(found), 'field')}" if found else "with the files"
    beside = f"; labels of {plural(given, 'field')} are another program's and not looked at" if given else ""
    print((f"{plural(count, 'problem')} " if count else "nothing wrong ") + looked_at + beside)
    return int(count > 0)


@app.command(sort_key=25)
def clean(out: Out, /) -> None:
    """Remove results of fields that the study does not name any more, and what killed runs left half-written."""
    from tomostat.postprocess import clean_study

    for path in (removed := clean_study(study_in(out))):
        print(f"removed {path}")
    if not removed:
        print("nothing to remove")


Labels = Annotated[tuple[int, ...] | None, Parameter(consume_multiple=True, negative="")]
"""Particles, as in column label of the particle table."""


@app.command(sort_key=21)
def export(
    out: Out,
    /,
    *,
    to: Path,
    formats: Annotated[tuple[str, ...], Parameter(name="--as", consume_multiple=True, negative="")],
    field: str | None = None,
    labels: Labels = None,
    place: Place | None = None,
) -> None:
    """Write results as files of other programs: images, surfaces, annotations, tables.

    Parameters
    ----------
    to
        Folder for the files; those of each format go into a folder in it that is named like the format.
    formats
        One or more formats; `tomostat info --formats` lists them.
    field
        Field that is written; all when not given.
    labels
        Particles that are written as surfaces, of one field; all when not given.
    """
    from tomostat.postprocess import export_study

    study = study_in(out)
    with session(place) as execution:
        folders = export_study(study, to, formats, field=field, labels=labels, execution=execution)
    for folder in folders:
        print(f"{folder}: {len(list(folder.iterdir()))} files")


@app.command(sort_key=21)
def mesh(out: Out, /, *, to: Path, field: str | None = None, labels: Labels = None, place: Place | None = None) -> None:
    """The same as `tomostat export OUT --to FOLDER --as vtk`: particles as surfaces, for ParaView.

    Parameters
    ----------
    to, field, labels
        As for `tomostat export`.
    """
    export(out, to=to, formats=("vtk",), field=field, labels=labels, place=place)


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
        reads (FILE:DATASET).
    columns
        All columns of the particle table: unit, definition, and when a value is missing.
    formats
        What is read and what `tomostat export` writes, with what installed packages add.
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
