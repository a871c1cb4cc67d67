"""Sections are drawn by tasks from what the report knows, and leave nothing but their figures."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reports import FEW
from tables import study
from tomostat.analyze import analyze_particles
from tomostat.execution import Execution
from tomostat.report import parallel
from tomostat.report.data import ReportData
from tomostat.report.options import ReportOptions
from tomostat.report.provenance import Provenance
from tomostat.report.sections import Section
from tomostat.report.style import new_figure, styled
from tomostat.report.tables import particle_rows

DRAWN_BY: list[int] = []
"""Threads that drew."""


def depths(data: ReportData) -> str:
    DRAWN_BY.append(threading.get_ident())
    figure = new_figure(4.0, 3.0)
    figure.subplots().hist(data.counted["depth"])
    return data.svg_figure("depths", figure, "Depths.", "Depths.", particle_rows(data.counted, "depth"))


def refused(data: ReportData) -> str:
    raise ValueError(f"{data.title} cannot be drawn")


SECTIONS = [Section(anchor="depths", heading="Depths", position=1, make=depths),
            Section(anchor="title", heading="Title", position=2, make=lambda data: data.title)]  # fmt: skip


def data_in(folder: Path, client: Any = None) -> ReportData:
    (folder / "figures").mkdir()
    table = study(particles=4)
    results = analyze_particles(table, options=FEW)
    return ReportData(
        folder, table, results, [], {}, ReportOptions(title="Rates"), Provenance(), Execution(client=client)
    )


def test_sections_are_drawn_from_the_data_and_nothing_else_is_left(tmp_path: Path) -> None:
    data = data_in(tmp_path)
    drawn = parallel.draw_sections(data, SECTIONS)
    assert list(drawn) == SECTIONS
    assert drawn[SECTIONS[1]] == "Rates"
    assert 'href="figures/depths.svg"' in drawn[SECTIONS[0]]
    with styled():
        assert drawn[SECTIONS[0]] == depths(data)
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["depths.csv", "depths.png", "depths.svg"]
    assert DRAWN_BY[-2] != DRAWN_BY[-1]  # in a task, and here


def test_a_large_table_is_not_sent_to_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "LARGE", 0)
    client = SimpleNamespace(asynchronous=False)  # nothing can be asked of it
    assert parallel.draw_sections(data_in(tmp_path, client), SECTIONS[1:]) == {SECTIONS[1]: "Rates"}


def test_an_error_of_a_section_is_that_of_the_report(tmp_path: Path) -> None:
    section = Section(anchor="none", heading="None", position=3, make=refused)
    with pytest.raises(ValueError, match="Rates cannot be drawn"):
        parallel.draw_sections(data_in(tmp_path), [section])
