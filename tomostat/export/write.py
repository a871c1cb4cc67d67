"""Results in several formats at once: all of it is written, or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dask

from tomostat.execution import Execution
from tomostat.export.format import FORMATS, Plan, Results
from tomostat.files import atomic


def write_formats(
    results: Results, folder: str | Path, formats: Sequence[str], *, execution: Execution | None = None
) -> list[Path]:
    """Write results in some formats.

    Parameters
    ----------
    results
        What is written.
    folder
        Where the files go, those of each format in a folder that is named like it.
    formats
        Names out of `FORMATS`.
    execution
        Where tasks run and who receives their events; threads of this process when not given.

    Returns
    -------
    list of Path
        The folders of the formats.

    Raises
    ------
    ValueError, FileExistsError, OSError
        When a format is unknown or cannot hold the results, a folder is there already, or the disk is full. Nothing is
        left of any format then.
    """
    folder, formats = Path(folder), list(dict.fromkeys(formats))
    if not formats:
        raise ValueError(f"name one or more formats: {', '.join(FORMATS.names())}")
    plans = {name: _plan(name, results) for name in formats}
    targets = {name: folder / name for name in formats}
    _check_place(folder, list(targets.values()), sum(plan.disk for plan in plans.values()))
    execution = (execution or Execution()).for_stage("export")
    with ExitStack() as stack:
        for name, plan in plans.items():
            part = stack.enter_context(_new_folder(targets[name]))
            tasks = {key: dask.delayed(piece, pure=False)(part) for key, piece in plan.pieces.items()}
            try:
                execution.run(name, tasks, need=plan.memory)
            except OSError as error:
                raise OSError(f"{name} cannot be written into {folder}: {error.strerror or error}") from error
    return list(targets.values())


def _plan(name: str, results: Results) -> Plan:
    """What a format has to write."""
    chosen = FORMATS.get(name).value
    if results.labels is not None and not chosen.chooses:
        able = [one for one in FORMATS.names() if FORMATS.get(one).value.chooses]
        raise ValueError(f"format {name} holds all particles of a field; labels choose some for {', '.join(able)}")
    return chosen.plan(results)


def _check_place(folder: Path, targets: Sequence[Path], need: int) -> None:
    """Refuse what would replace something, or not fit."""
    parent = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    if not parent.is_dir():
        raise FileExistsError(f"{parent} is a file; choose a folder")
    for target in targets:
        if target.exists():
            raise FileExistsError(f"{target} exists and is not replaced; remove it, or choose another folder")
    free = shutil.disk_usage(parent).free
    if need > free:
        raise OSError(f"the files take {need / 2**30:.2f} GiB but {parent} has {free / 2**30:.2f} GiB left")


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A folder that appears with all that is written into it, or not at all; so do its parents."""
    made = [one for one in target.absolute().parents if not one.exists()]
    try:
        with atomic(target) as part:
            part.mkdir()
            yield part
    except BaseException:
        for one in made:
            one.rmdir()
        raise
