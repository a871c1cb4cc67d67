"""What `tomostat check` found, kept with the results until a field is stitched anew."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tomostat.files import write_text


@dataclass(frozen=True)
class FieldCheck:
    """The check of one field.

    Attributes
    ----------
    key
        Key of the particles that were checked.
    problems
        What is wrong, one line each with its place; none where all is well.
    """

    key: str
    problems: tuple[str, ...]


def write_checks(path: Path, checks: Mapping[str, FieldCheck]) -> None:
    """Write the checks of all fields, whole or not at all."""
    write_text(path, json.dumps({name: vars(check) for name, check in checks.items()}, indent=1))


def read_checks(path: Path, keys: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Problems of the fields whose particles are still those that were checked.

    Parameters
    ----------
    path
        What `write_checks` wrote; it need not exist.
    keys
        Key of the present particles of every field.

    Raises
    ------
    ValueError
        When the file is damaged.
    """
    if not path.exists():
        return {}
    try:
        known = {name: FieldCheck(**check) for name, check in json.loads(path.read_text(encoding="utf-8")).items()}
    except (json.JSONDecodeError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}); run `tomostat check` again") from None
    return {name: tuple(check.problems) for name, check in known.items() if check.key == keys.get(name)}


def lines(problems: Iterable[tuple[str, tuple[int, int, int]]]) -> tuple[str, ...]:
    """Problems, each what and at which voxel z, y, x, as lines."""
    return tuple(f"at z y x = {' '.join(map(str, place))}: {what}" for what, place in problems)
