"""Base of all options: one frozen, keyword-only dataclass per stage, which validates itself.

The command line builds its flags and help from these classes, a study file holds the same fields, and every output
stores the options that it was made with. The class of a stage is in its package, in the module ``options``.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from tomostat.messages import shorten

Options = TypeVar("Options")

PLUGIN = "plugin"
"""Key in the metadata of fields that name plugins."""

FILE = "file"
"""Key in the metadata of fields that name a file; its value are the words that name none."""


def check(holds: bool, name: str, value: object, expected: str) -> None:
    """Refuse the value of an option unless a condition holds.

    Parameters
    ----------
    holds
        The condition.
    name, value
        The option.
    expected
        Values that are allowed, for the message.

    Raises
    ------
    ValueError
        When `holds` is false; the message names the option, its value and what is expected.
    """
    if not holds:
        raise ValueError(f"{name} is {shorten(value)}; expected {expected}")


def is_within(value: float, limits: tuple[float, float]) -> bool:
    """Whether a value lies between two limits, or on one."""
    return limits[0] <= value <= limits[1]


def check_limits(name: str, limits: tuple[float, float]) -> None:
    """Refuse limits that are not two ascending numbers; see `check`."""
    check(len(limits) == 2 and 0 <= limits[0] < limits[1], name, limits, "two ascending numbers")


def refuse_unknown(values: Mapping[Any, Any], known: set[str], where: str) -> None:
    """Refuse keys of a file that nobody reads.

    Raises
    ------
    ValueError
        With the place, the key, the known one that it is most like, and all that are known.
    """
    unknown = sorted(set(values) - known, key=str)
    if unknown:
        nearest = difflib.get_close_matches(str(unknown[0]), known, 1)
        meant = f"; did you mean {nearest[0]!r}?" if nearest else ";"
        raise ValueError(f"{where}: unknown key {unknown[0]!r}{meant} known keys are {', '.join(sorted(known))}")


def as_dict(options: Any) -> dict[str, Any]:
    """Options as plain values, for provenance and hashes; of files only the names, since results may be given away."""
    files = {name: Path(getattr(options, name)).name for name in _files(options)}
    return dataclasses.asdict(options) | files


def file_name(default: Any, *words: str) -> Any:
    """Declare a field of an options class that names a file, or is one of some words; gives a `dataclasses.field`.

    A study file gives the path relative to its own folder. `StageOptions.make_files_absolute` makes it absolute.
    """
    return dataclasses.field(default=default, metadata={FILE: words})


def _files(options: Any) -> list[str]:
    """Names of the fields that name a file here."""
    fields = [field for field in dataclasses.fields(options) if FILE in field.metadata]
    return [one.name for one in fields if getattr(options, one.name) not in (None, *one.metadata[FILE])]


def from_dict(
    cls: type[Options], values: Mapping[str, Any], where: str, *, folder: Path | None = None, objects: bool = False
) -> Options:
    """Options from a mapping as read from YAML.

    Parameters
    ----------
    cls
        Class of options.
    values
        Keys and values.
    where
        Section of the file that they are from, for messages.
    folder
        Folder that files are relative to; the current one when not given.
    objects
        Whether options may name plugins as ``module:object``. They must not in a file that a user may have been given,
        since the object would be imported and run.

    Raises
    ------
    ValueError
        When a key is unknown, a value is of another type or out of range, or an option names an object.
    """
    refuse_unknown(values, {field.name for field in dataclasses.fields(cls)}, where)  # type: ignore[arg-type]
    frozen = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    hints = get_type_hints(cls)
    for key, value in frozen.items():
        if not _fits(value, hints[key]):
            wanted = str(hints[key]).replace("typing.", "").removeprefix("<class '").removesuffix("'>")
            raise ValueError(f"{where}: {key} is {shorten(value)}; expected {wanted}")
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if folder and FILE in field.metadata and frozen.get(field.name) not in (None, *field.metadata[FILE]):
            frozen[field.name] = str(folder / Path(str(frozen[field.name])).expanduser())
    try:
        options = cls(**frozen)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from None
    if not objects:
        refuse_objects(options, where)
    return options


def plugin_name(default: Any) -> Any:
    """Declare a field of an options class that names a plugin, or several; returns a `dataclasses.field`."""
    return dataclasses.field(default=default, metadata={PLUGIN: True})


def plugin_objects(options: Any) -> dict[str, list[str]]:
    """Options that name plugins as ``module:object``, which is code that a command would import.

    Returns
    -------
    dict
        Names of the objects, by name of the option.
    """
    found = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name) if field.metadata.get(PLUGIN) else None
        names = [name for name in (value if isinstance(value, tuple) else (value,)) if name is not None and ":" in name]
        if names:
            found[field.name] = names
    return found


def refuse_objects(options: Any, where: str, given: Collection[str] = ()) -> None:
    """Refuse options of a file that name plugins as ``module:object``.

    Parameters
    ----------
    options
        Options that were read from a file.
    where
        Section of the file, for the message.
    given
        Names of options that a flag replaces.

    Raises
    ------
    ValueError
        With the flag that names the objects.
    """
    for name, objects in plugin_objects(options).items():
        if name not in given:
            flag = f"--{where}.{name.replace('_', '-')} {' '.join(objects)}"
            raise ValueError(
                f"{where}: {name} is {', '.join(map(repr, objects))}; a study file names installed plugins only, not "
                f"objects: give {flag} on the command line, or install the package"
            )


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value as read from YAML is of the type that a field declares."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in inner and type(value) in map(type, inner)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(k, inner[0]) and _fits(v, inner[1]) for k, v in value.items())
    if origin is tuple:
        each = inner[:1] * len(value) if isinstance(value, tuple) and inner[-1] is Ellipsis else inner
        return isinstance(value, tuple) and len(value) == len(each) and all(map(_fits, value, each))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is hint


@dataclass(frozen=True, kw_only=True)
class StageOptions:
    """Base of all options.

    It keeps which fields the caller gave, so that a flag overrides a study file but a default does not.

    Attributes
    ----------
    given
        Names of the fields that the caller gave.
    """

    given: ClassVar[frozenset[str]]

    def __new__(cls, **given: Any) -> Self:
        """Keep the names of the fields that the caller gives."""
        options = super().__new__(cls)
        object.__setattr__(options, "given", frozenset(given))
        return options

    def make_files_absolute(self) -> None:
        """Make the paths of files absolute; called by ``__post_init__`` of classes that have any."""
        for name in _files(self):
            object.__setattr__(self, name, str(Path(getattr(self, name)).expanduser().absolute()))

    def over(self, base: Self) -> Self:
        """Replace fields of `base` by those that were given here."""
        values = {field.name: getattr(base, field.name) for field in dataclasses.fields(self)}
        return type(self)(**values | {name: getattr(self, name) for name in self.given})
