"""Sections of the page are found by looking through the folder of their modules."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reports import FEW
from tables import study
from tomostat.analyze import analyze_particles
from tomostat.report import figures, write_report
from tomostat.report.sections import all_parts

HEADINGS = [
    "At a glance", "Explore", "Detachment", "Size", "Detachment and other quantities", "Fields of view",
    "Particles in 3D", "Structure", "Single particles", "What to check", "How it was made",
]  # fmt: skip

LAYERS = """
from tomostat.report.data import ReportData
from tomostat.report.sections import Section
from tomostat.report.style import new_figure
from tomostat.report.tables import particle_rows


def layers(data: ReportData) -> str:
    figure = new_figure(4.0, 3.0)
    figure.subplots().hist(data.counted["depth"])
    table = particle_rows(data.counted, "depth")
    return data.svg_figure("layers", figure, "Histogram of the depths of all particles.", "<b>Depths.</b>", table)


LAYERS = Section(anchor="layers", heading="Layers", position=35, make=layers)
MORE = Section(anchor="size", position=31, make=lambda data: "<p>More about sizes.</p>")
"""


@pytest.fixture
def add_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Add a module to the folder of figures, for one test."""
    folder = tmp_path / "more"
    folder.mkdir()
    monkeypatch.setattr(figures, "__path__", [*figures.__path__, str(folder)])
    yield lambda text: (folder / "added.py").write_text(text, encoding="utf-8") and None
    sys.modules.pop("tomostat.report.figures.added", None)
    vars(figures).pop("added", None)


def test_sections_in_their_order() -> None:
    parts = all_parts()
    assert [part.heading for part in parts] == HEADINGS
    assert len({part.anchor for part in parts}) == len(parts)


@pytest.mark.slow
def test_a_section_of_a_new_module_appears(add_module: Callable[[str], None], tmp_path: Path) -> None:
    add_module(LAYERS)
    assert [part.heading for part in all_parts()] == [*HEADINGS[:4], "Layers", *HEADINGS[4:]]
    particles = study(particles=6)
    page = write_report(tmp_path / "report", particles, analyze_particles(particles, options=FEW), {})
    html = page.read_text(encoding="utf-8")
    assert html.index("<h2>Size</h2>") < html.index("More about sizes.") < html.index("<h2>Layers</h2>")
    assert html.index("<h2>Layers</h2>") < html.index("<h2>Detachment and other quantities</h2>")
    assert '<a href="#layers">Layers</a>' in html
    assert 'href="figures/layers.svg"' in html
    assert (page.parent / "figures" / "layers.svg").is_file()


@pytest.mark.parametrize(
    ("anchor", "heading", "message"),
    [("size", "Size again", "section 'size' of the report has headings"), ("other", "", "has headings \\[\\]")],
)
def test_every_part_has_one_heading(add_module: Callable[[str], None], anchor: str, heading: str, message: str) -> None:
    add_module(
        "from tomostat.report.sections import Section\n"
        f"ADDED = Section(anchor={anchor!r}, heading={heading!r}, position=99, make=lambda data: '')\n"
    )
    with pytest.raises(ValueError, match=message):
        all_parts()
