"""What a section of the page is. Every section is declared in a module of the folder ``figures``, beside its drawings.

The page finds the declarations by looking through the folder, puts them in order and knows nothing else of them::

    LAYERS = Section(anchor="layers", heading="Layers", position=55, make=layers)

A module may also add figures to the section of another: it declares one with the same anchor and without heading.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tomostat.report import figures
from tomostat.report.parallel import draw_sections

if TYPE_CHECKING:
    from tomostat.report.data import ReportData


@dataclass(frozen=True, kw_only=True)
class Section:
    """What a module adds to the page.

    Attributes
    ----------
    anchor
        Name in links, ``index.html#ANCHOR``; sections of one anchor form one part of the page.
    heading
        Heading of the part; empty for one that adds to the section of the same anchor.
    position
        Sections follow each other by rising position.
    make
        Gives the HTML of the section, and writes its figures; an empty section is left out.
    by_tasks
        Whether it draws nothing itself but hands out tasks of its own: it is then made in the head process. Any other
        section is a task, see `tomostat.report.parallel`.
    """

    anchor: str
    heading: str = ""
    position: int
    make: Callable[[ReportData], str]
    by_tasks: bool = False


@dataclass(frozen=True)
class Part:
    """A heading of the page with all sections below it."""

    anchor: str
    heading: str
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class WrittenPart:
    """A part of the page as it is written."""

    anchor: str
    heading: str
    html: str


def write_parts(data: ReportData) -> list[WrittenPart]:
    """All parts of the page that are not empty, in order."""
    parts = all_parts()
    sections = [section for part in parts for section in part.sections]
    with ThreadPoolExecutor(1) as pool:  # it only waits for tasks
        background = {section: pool.submit(section.make, data) for section in sections if section.by_tasks}
        try:
            made = draw_sections(data, [section for section in sections if not section.by_tasks])
        except BaseException as error:
            if not isinstance(error, Exception):  # Ctrl-C and SIGTERM are not to wait for tasks
                data.execution.stop()
            raise
        made |= {section: future.result() for section, future in background.items()}
    written = [WrittenPart(part.anchor, part.heading, "".join(made[one] for one in part.sections)) for part in parts]
    return [part for part in written if part.html]


def all_parts() -> list[Part]:
    """All parts of the page, in order.

    Raises
    ------
    ValueError
        When two sections of one anchor have a heading, or none has.
    """
    found = sorted(dict.fromkeys(_declared()), key=lambda section: (section.position, section.anchor))
    parts = []
    for anchor in dict.fromkeys(section.anchor for section in found):
        sections = tuple(section for section in found if section.anchor == anchor)
        headings = [section.heading for section in sections if section.heading]
        if len(headings) != 1:
            raise ValueError(f"section {anchor!r} of the report has headings {headings}; expected exactly one")
        parts.append(Part(anchor, headings[0], sections))
    return parts


def _declared() -> Iterator[Section]:
    """Sections in all modules of the folder ``figures``."""
    for module in pkgutil.iter_modules(figures.__path__, f"{figures.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Section):
                yield value
