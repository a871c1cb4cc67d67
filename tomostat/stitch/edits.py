"""Corrections by hand: what an edit is, edits in files, and which edits are possible."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tomostat.files import write_text
from tomostat.stitch.kernels.disjoint_sets import find_root, unite
from tomostat.stitch.kernels.numbering import Corrections


@dataclass(frozen=True)
class Edit:
    """A person's correction.

    Attributes
    ----------
    action
        "cut" keeps two tracks in different particles, "join" brings them into one.
    a, b
        Track numbers, counted from 1.
    """

    action: Literal["cut", "join"]
    a: int
    b: int


def write_edits(path: str | Path, edits: Iterable[Edit]) -> None:
    """Write edits to the JSON file that `read_edits` reads, whole or not at all."""
    write_text(path, json.dumps([vars(edit) for edit in edits], indent=1))


def read_edits(path: str | Path) -> tuple[Edit, ...]:
    """Edits from a JSON file: a list of objects with ``action`` ("cut" or "join"), ``a`` and ``b`` (track numbers).

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such file, or it holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no edits at {path}")
    try:
        edits = tuple(Edit(**entry) for entry in json.loads(path.read_bytes()))
        if not all(isinstance(edit.a, int) and isinstance(edit.b, int) for edit in edits):
            raise TypeError("track numbers are integers")
        return edits
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path} is not a list of edits ({error}); expected [{{"action": "cut", "a": 3, "b": 7}}, ...]'
        ) from None


def known_edits(path: Path) -> tuple[Edit, ...]:
    """Edits from a file that need not exist: without the file there are none."""
    return read_edits(path) if path.exists() else ()


def check_edits(edits: Sequence[Edit], count: int) -> None:
    """Refuse edits that name unknown tracks or contradict each other.

    Parameters
    ----------
    edits
        All edits of a field.
    count
        Number of tracks of the merge graph.

    Raises
    ------
    ValueError
        With the first edit that is not possible.
    """
    parent = np.arange(count + 1)
    for edit in edits:
        if edit.action not in ("cut", "join"):
            raise ValueError(f"edit {edit.action!r} is unknown; expected 'cut' or 'join'")
        for track in (edit.a, edit.b):
            if not 1 <= track <= count:
                raise ValueError(
                    f"{edit.action} {edit.a} {edit.b}: there is no track {track}; tracks go from 1 to {count}"
                )
        if edit.a == edit.b:
            raise ValueError(f"{edit.action} {edit.a} {edit.b}: expected two different tracks")
        if edit.action == "join":
            unite(parent, edit.a, edit.b)
    for edit in edits:
        if edit.action == "cut" and find_root(parent, edit.a) == find_root(parent, edit.b):
            raise ValueError(f"cut {edit.a} {edit.b}: other edits join these two tracks; remove one or the other")


def with_edits(known: Iterable[Edit], more: Iterable[Edit]) -> tuple[Edit, ...]:
    """Add edits to those that are known; a new one takes the place of a known one of the same tracks.

    Raises
    ------
    ValueError
        When two of the new ones contradict each other.
    """
    more = tuple(more)
    actions: dict[frozenset[int], Edit] = {}
    for edit in more:
        first = actions.setdefault(frozenset((edit.a, edit.b)), edit)
        if first.action != edit.action:
            said = " and ".join(f"{one.action} {one.a} {one.b}" for one in (first, edit))
            raise ValueError(f"{said} contradict each other; name one of them")
    return tuple({frozenset((edit.a, edit.b)): edit for edit in (*known, *more)}.values())


def as_corrections(edits: Sequence[Edit]) -> Corrections:
    """Edits as pairs of tracks counted from 0."""
    return Corrections(_pairs(edits, "cut"), _pairs(edits, "join"))


def _pairs(edits: Sequence[Edit], action: str) -> NDArray[np.int64]:
    return np.array([(e.a - 1, e.b - 1) for e in edits if e.action == action], np.int64).reshape(-1, 2)
