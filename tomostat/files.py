"""Files and folders that are written whole or not at all, and YAML files."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import yaml


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Write a file or a folder whole or not at all.

    Parameters
    ----------
    path
        The file or folder, which is replaced where it exists; its parent folder is created.

    Yields
    ------
    Path
        A temporary path beside `path` to write to, a file or a folder. It is renamed to `path` when the ``with`` block
        ends, and removed when the block raises.

    Raises
    ------
    OSError
        When it cannot be written; `path` is then as it was before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.part")
    try:
        yield part
        _replace(part, path)
    finally:
        remove(part)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def _replace(part: Path, path: Path) -> None:
    """Rename `part` to `path`, in place of what is there."""
    if not path.exists() or not (path.is_dir() or part.is_dir()):
        part.replace(path)
        return
    old = part.with_suffix(".old")  # a folder is not replaced in one step
    path.rename(old)
    try:
        part.rename(path)
    except BaseException:
        old.rename(path)
        raise
    remove(old)


def remove(path: Path) -> None:
    """Remove a file, or a folder with its contents; nothing is done where there is neither."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path lies in a folder once all symbolic links on the way are followed."""
    return path.resolve().is_relative_to(folder.resolve())


def new_file_mode() -> int:
    """Rights that a new file gets here, for libraries that set their own."""
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


def half_written(folder: Path) -> list[Path]:
    """What a process that was killed while `atomic` wrote left below a folder."""
    return [path for ending in (".part", ".old") for path in folder.rglob(f".*{ending}")]


class _PlainLoader(yaml.SafeLoader):
    """Reads scalars as YAML 1.2 does: ``no``, ``on``, ``12:30`` and dates are text, and ``1e-9`` is a number."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - declared so by the base class


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
     r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
     list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
):  # fmt: skip
    _PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


def read_yaml(path: Path, *, text: Collection[str] = ()) -> Any:
    """Content of a YAML file, its scalars as YAML 1.2 defines them.

    Parameters
    ----------
    path
        The file.
    text
        Keys whose values are text as it stands: of ``name: 010`` the name is 010, not 10.

    Raises
    ------
    ValueError
        When it is no YAML, or a key stands twice in a mapping.
    """
    try:
        node = yaml.compose(path.read_bytes(), Loader=_PlainLoader)
        for mapping in _mappings(node, set()):
            _keep_text(mapping, text)
            _refuse_repeated(mapping)
        return None if node is None else _PlainLoader("").construct_document(node)
    except _RepeatedKeyError as error:
        raise ValueError(f"{path}: {error}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from None


def _mappings(node: yaml.Node | None, seen: set[int]) -> Iterator[yaml.MappingNode]:
    """All mappings of a file, each once; nodes in `seen` are done."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _mappings(item, seen)
    elif isinstance(node, yaml.MappingNode):
        yield node
        for _, value in node.value:
            yield from _mappings(value, seen)


def _keep_text(mapping: yaml.MappingNode, keys: Collection[str]) -> None:
    """Make the scalars under some keys text, empty ones excepted."""
    for key, value in mapping.value:
        if isinstance(value, yaml.ScalarNode) and key.value in keys and value.value not in ("", "~", "null"):
            value.tag = "tag:yaml.org,2002:str"


class _RepeatedKeyError(ValueError):
    """A key stands twice in one mapping, of which YAML would take the last."""


def _refuse_repeated(mapping: yaml.MappingNode) -> None:
    """Refuse a mapping with a key twice."""
    lines: dict[str, int] = {}
    for key in (key for key, _ in mapping.value if isinstance(key, yaml.ScalarNode)):
        line = key.start_mark.line + 1
        if key.value in lines:
            raise _RepeatedKeyError(f"key {key.value!r} stands twice, in lines {lines[key.value]} and {line}")
        lines[key.value] = line
