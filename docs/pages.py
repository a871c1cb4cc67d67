"""Pages of the site that are made from what the package declares: start, all columns, commands, Python.

MkDocs calls `on_files` when it collects the pages (`mkdocs.yml`, hooks).
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
SOURCE = "https://github.com/tomostat/tomostat/blob/main/"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    for name, make in PAGES.items():
        files.append(File.generated(config, name, content=make()))
    return files


def start() -> str:
    """The README, with its links as they are seen from here."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"\]\((?!https?://|#|docs/)([^)]+)\)", rf"]({SOURCE}\1)", text)
    return text.replace("](docs/", "](")


def columns() -> str:
    """Every column of the particle table, as its measure declares it."""
    from tomostat.measure import MeasureOptions, all_columns, chosen_measures

    lines = ["# All columns", "", "One row per particle; [where programs differ](columns.md) has more on some.", ""]
    for name, measure in all_columns(chosen_measures(MeasureOptions())).items():
        axes = f", one for each {' and '.join(axis.name for axis in measure.dims)}" if measure.dims else ""
        lines += [f"## `{name}`", "", f"*{escape(measure.long_name)}*, {measure.units or 'no quantity'}{axes}.", ""]
        lines += [escape(measure.definition), ""]
        if measure.missing:
            lines += [f"Missing {escape(measure.missing)}.", ""]
    return "\n".join(lines)


def escape(text: str) -> str:
    """Text whose signs Markdown does not take for its own."""
    return re.sub(r"([<>*_|\[\]])", r"\\\1", text)


def commands() -> str:
    """The help of every command."""
    from rich.console import Console

    from tomostat.cli import main  # noqa: F401 - it adds the commands
    from tomostat.cli.app import app

    lines = ["# Commands", ""]
    for name in ("", *sorted(name for name in app if not name.startswith("-") and app[name].show)):
        text = io.StringIO()
        app.help_print(name.split(), console=Console(file=text, width=100))
        lines += [f"## tomostat {name}".rstrip(), "", "```text", text.getvalue().rstrip(), "```", ""]
    return "\n".join(lines)


def api() -> str:
    """Every public name."""
    import tomostat

    lines = ["# Python", "", "`import tomostat as ts`; every name below is one of the package.", ""]
    for name in tomostat.__all__:
        found = getattr(tomostat, name)
        if hasattr(found, "__module__"):
            lines += [f"::: {found.__module__}.{name}", ""]
    lines += ["## For measures of your own", ""]
    for name in MEASURING:
        lines += [f"::: {name}", ""]
    return "\n".join(lines)


MEASURING = (
    "tomostat.measure.particle.Particle",
    "tomostat.measure.particle.ParticleBox",
    "tomostat.measure.shape.surface.Surface",
    "tomostat.measure.field.FieldParticles",
    "tomostat.measure.measures.Measure",
    "tomostat.measure.measures.of_particle",
    "tomostat.measure.measures.of_field",
)
"""What the functions of measures get, and how they are declared."""


PAGES: dict[str, Callable[[], str]] = {
    "index.md": start,
    "all-columns.md": columns,
    "commands.md": commands,
    "api.md": api,
}
"""What makes a page, by its path."""
