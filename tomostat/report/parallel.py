"""Sections of the page as tasks: matplotlib draws on all workers instead of in the head process alone."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import dask

from tomostat.execution import Execution
from tomostat.report.style import styled

if TYPE_CHECKING:
    from tomostat.report.data import ReportData
    from tomostat.report.sections import Section

LARGE = 2**27
"""Bytes of a particle table that is not sent to the workers: its sections are drawn in this process."""

_DRAWING = threading.Lock()
"""Settings of matplotlib are those of the process: one section at a time."""


def draw_sections(data: ReportData, sections: Sequence[Section]) -> dict[Section, str]:
    """HTML of sections, each drawn by a task that writes its figures.

    Parameters
    ----------
    data
        What they are drawn from; it reaches the workers as a file in the report's folder, which is removed again.
    sections
        Sections that hand out no tasks of their own.

    Returns
    -------
    dict
        HTML by section.
    """
    # what was drawn before an interruption lies in a folder that is gone
    execution = replace(data.execution, markers=None)
    if data.particles.nbytes > LARGE:
        execution = replace(execution, client=None)
    file = data.folder / "data.pickle"
    shared = {one.name: getattr(data, one.name) for one in fields(data) if one.name != "execution"}
    file.write_bytes(pickle.dumps(shared))
    draw = dask.delayed(_draw, pure=False)
    tasks = {f"{number:02d}-{section.anchor}": draw(file, section) for number, section in enumerate(sections)}
    drawn = execution.run("figures", tasks)
    file.unlink()
    return dict(zip(sections, drawn.values(), strict=True))


def _draw(file: Path, section: Section) -> str:
    """HTML of a section."""
    from tomostat.report.data import ReportData

    data = ReportData(**pickle.loads(file.read_bytes()), execution=Execution())
    with _DRAWING, styled():
        return section.make(data)
