"""Pictures of what a person judges: a particle in three sections, or a slice without and with its outlines."""

from __future__ import annotations

import dataclasses

import numpy as np
from matplotlib.figure import Figure

from tomostat.answers import ParticleQuestion, Question
from tomostat.report.drawing import draw_grey, draw_section, scale_bar
from tomostat.report.fields import FieldView
from tomostat.report.pictures import reach_of
from tomostat.report.style import PALETTE, new_figure

OWN, OTHER = PALETTE[4], PALETTE[5]
"""Colours of the outlines of the particle that is judged, and of those around it."""


def draw_question(view: FieldView, question: Question) -> Figure:
    """The picture that goes with a question."""
    if isinstance(question, ParticleQuestion):
        return draw_judged(view, question)
    return draw_counted(view, question.z, question.name)


def draw_judged(view: FieldView, question: ParticleQuestion) -> Figure:
    """Sections of a particle across z, y and x with its outline, and thin ones around its neighbours."""
    centre, reach = np.array(question.place), reach_of(question.diameter)
    figure = new_figure(9.0, 3.3)
    for axis, axes in enumerate(figure.subplots(1, 3)):
        section = view.section(axis, centre, reach)
        others = np.setdiff1d(section.labels, (0, question.label)).tolist()
        draw_section(axes, section, {**dict.fromkeys(others, OTHER), question.label: OWN}, reach)
        axes.set_title(f"across {'zyx'[axis]}")
        scale_bar(axes, reach)
    figure.suptitle(question.name, x=0.0, ha="left")
    return figure


def draw_counted(view: FieldView, place: float, title: str) -> Figure:
    """A slice across z at a place (micrometers), alone and with the outlines of its particles."""
    plane = view.plane(0, place)
    rows, columns = plane.grey.shape
    figure = new_figure(14.0, 7.0 * rows / columns + 0.4)
    alone, outlined = figure.subplots(1, 2)
    draw_grey(alone, dataclasses.replace(plane, labels=None), {})
    draw_grey(outlined, plane, {})
    outlined.set_ylabel("")
    figure.suptitle(title, x=0.0, ha="left")
    return figure
