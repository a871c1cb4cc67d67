"""The site has every page, and pages that are made of the package say what it declares."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tables import declared

ROOT = Path(__file__).parents[2]
MADE = {"index.md", "all-columns.md", "commands.md", "api.md"}


def pages(nav: Any) -> Iterator[str]:
    """Paths of the pages in a part of the navigation."""
    if isinstance(nav, str):
        yield nav
    for part in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from pages(part)


def test_every_page_is_in_the_navigation():
    listed = set(pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    there = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert listed == there | MADE


def test_pages_made_of_the_package():
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: `make docs` installs it")
    spec = importlib.util.spec_from_file_location("pages", ROOT / "docs" / "pages.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert set(made.PAGES) == MADE
    assert "](docs/" not in made.start()
    columns = made.columns()
    assert all(f"## `{name}`" in columns for name in declared())
    assert "## tomostat export" in made.commands()
    assert "::: tomostat.pipeline.run" in made.api()


def test_version_is_told_once():
    assert "dynamic" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    import tomostat

    assert f"version: {tomostat.__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
