"""What the pages name in tomostat is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def resolve(name: str) -> object:
    """Import what is a module of a dotted name, and take the rest from it."""
    found: object = importlib.import_module("tomostat")
    parts = name.split(".")
    for end in range(1, len(parts)):
        path = ".".join(parts[: end + 1])
        try:
            found = importlib.import_module(path)
        except ModuleNotFoundError as error:
            if not path.startswith(str(error.name)):
                raise  # a module is there, and what it imports is not
            for part in parts[end:]:
                found = getattr(found, part)
            break
    return found


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\btomostat(?:\.[A-Za-z_]\w*)+", TEXT))))
def test_dotted_names_resolve(name):
    assert resolve(name) is not None


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:tomostat|benchmarks)/[\w/.-]+)`", TEXT))))
def test_paths_exist(path):
    assert (ROOT / path).exists()


def test_stale_names_do_not_resolve():
    with pytest.raises(AttributeError):
        resolve("tomostat.detect.tune.fine_tune")
