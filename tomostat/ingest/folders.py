"""Files of a folder that belong together: numbered slices, and what a file links to."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tomostat.files import is_inside
from tomostat.ingest.options import IngestOptions

TAKE_ANYWAY = "or take what there is with incomplete=True (--ingest.incomplete)"
"""What else to do where a part of the input is missing."""

MOST_LISTED = 10
"""Missing numbers and other names that a message lists."""


def natural_order(files: Iterable[Path]) -> list[Path]:
    """Files in natural order, numbers in names by their value: slice_9 before slice_10."""

    def key(path: Path) -> tuple[list[tuple[int, str]], str]:
        parts = re.split(r"(\d+)", path.name)
        return [(int(part), "") if i % 2 else (-1, part.lower()) for i, part in enumerate(parts)], path.name

    return sorted(files, key=key)


def files_of_folder(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Files of a folder that end so, in any case and in natural order; hidden files are left out."""
    found = (path for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith("."))
    return natural_order(found)


def slices_of_folder(folder: Path, suffixes: Sequence[str], options: IngestOptions) -> list[Path]:
    """Slices of a folder, one file each, in natural order.

    Parameters
    ----------
    folder
        The folder.
    suffixes
        Endings of their names, in lower case.
    options
        Whether numbers may be missing.

    Raises
    ------
    ValueError
        When there is none, when their names differ in more than numbers, or when numbers are missing.
    """
    files = files_of_folder(folder, suffixes)
    if not files:
        raise ValueError(f"{folder} holds no slices {', '.join(f'*{s}' for s in suffixes)}")
    series: dict[str, list[Path]] = {}
    for path in files:
        series.setdefault(re.sub(r"\d+", "#", path.stem.lower()), []).append(path)
    if len(series) > 1:
        most = max(series.values(), key=len)
        others = [path.name for path in files if path not in most]
        raise ValueError(f"{folder} holds {len(most)} files named like {most[0].name} and {len(others)} others "
                         f"({_listed(others)}); expected the slices of one volume, move the others out")  # fmt: skip
    numbers = slice_numbers([path.stem for path in files])
    if numbers is None:
        names = f"{files[0].name} to {files[-1].name}"
        raise ValueError(f"{folder}: names from {names} count along several numbers, as those of several channels or "
                         "volumes do; expected the slices of one volume")  # fmt: skip
    missing = missing_numbers(numbers)
    if missing and not options.incomplete:
        raise ValueError(f"{folder}: of the slices {files[0].name} to {files[-1].name}, {len(missing)} are missing "
                         f"({_listed(missing)}); copy them as well, {TAKE_ANYWAY}")  # fmt: skip
    return files


def slice_numbers(names: Sequence[str]) -> list[int] | None:
    """Numbers by which names that differ in numbers only count slices: the first number that is another in each name.

    None where there is no such number.
    """
    if len(names) == 1:
        return [0]
    for column in zip(*(re.findall(r"\d+", name) for name in names), strict=True):
        numbers = [int(text) for text in column]
        if len(set(numbers)) == len(names):
            return numbers
    return None


def missing_numbers(numbers: Sequence[int]) -> list[int]:
    """Numbers that are missing between the first and the last one.

    Steps larger than 1 are taken for intended where all fit. Where more numbers are missing than there are, they are no
    count but times or positions.
    """
    ordered = sorted(numbers)
    step = math.gcd(*(b - a for a, b in itertools.pairwise(ordered))) or 1
    if (ordered[-1] - ordered[0]) // step + 1 > 2 * len(ordered):
        return []
    return sorted(set(range(ordered[0], ordered[-1], step)) - set(ordered))


def _listed(items: Sequence[object]) -> str:
    """Items for a message, the first of many."""
    return ", ".join(map(str, items[:MOST_LISTED])) + (", ..." if len(items) > MOST_LISTED else "")


def check_inside(path: Path, name: str, options: IngestOptions) -> Path:
    """Path of a file that another one links to, relative to its folder.

    Raises
    ------
    ValueError
        When it lies outside the folder and the options do not allow that.
    """
    linked = path.parent / name
    if not options.outside and not is_inside(linked, path.parent):
        raise ValueError(f"{path} links to {name!r}, outside its folder; follow such links with outside=True "
                         "(--ingest.outside) if you trust the file")  # fmt: skip
    return linked
