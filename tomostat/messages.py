"""Words for people: values, counts and errors in one line."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterable
from pathlib import Path

LONGEST = 120
"""Characters of a value in a message."""


def shorten(value: object, longest: int = LONGEST) -> str:
    """A value as `repr` gives it; of a long one the beginning and the end."""
    return cut(repr(value), longest)


def plural(count: int, word: str) -> str:
    """A count with its noun."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def spans(numbers: Iterable[int]) -> str:
    """Rising whole numbers in words: ``3, 7 to 9``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def cut(text: str, longest: int) -> str:
    """The beginning and the end of a text that is longer than `longest` characters."""
    if len(text) <= longest:
        return text
    half = (longest - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


USER_ERRORS = (ValueError, TypeError, OSError, FloatingPointError)
"""What a user can mend."""

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk that takes no more."""

OWN = __name__.partition(".")[0]
"""This package, whose errors say themselves what is wrong."""


def full_disk(error: BaseException) -> OSError | None:
    """The error of a disk that takes no more: this one, or what caused it."""
    for one in (error, error.__cause__):
        if isinstance(one, OSError) and one.errno in FULL:
            return one
    return None


def explain(error: BaseException) -> str:
    """An error in one line: what, where, what to do."""
    said = " ".join(str(error).split()) or type(error).__name__
    if full := full_disk(error):
        said = f"no space left on {full.filename or 'the disk'}; free some, then the same command resumes"
    elif isinstance(error, MemoryError):
        said = f"memory ran out ({said}); use fewer --workers or smaller blocks, then the same command resumes"
    elif not isinstance(error, USER_ERRORS) and not type(error).__module__.startswith(OWN):
        said = f"{type(error).__name__}: {said}{_origin(error)}; --verbose shows the traceback"
    return cut(said, 600)


def _origin(error: BaseException) -> str:
    """Where in this package an error came from."""
    package = Path(__file__).parent
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(package)]
    return f" at {Path(own[-1].filename).relative_to(package.parent)}, line {own[-1].lineno}" if own else ""
