"""What to look at before numbers are trusted: problems, accuracy, warnings, flagged particles, doubtful decisions."""

from __future__ import annotations

from html import escape

import numpy as np
from matplotlib.figure import Figure

from tomostat.answers import CONFIDENCE, VERDICTS, Accuracy
from tomostat.messages import plural
from tomostat.report.data import ReportData
from tomostat.report.decisions import CLOSE, Decision, doubtful
from tomostat.report.drawing import draw_section, scale_bar
from tomostat.report.fields import FieldView
from tomostat.report.figures.explorer import listed
from tomostat.report.figures.gallery import labelled_fields
from tomostat.report.pictures import reach_of
from tomostat.report.sections import Section
from tomostat.report.style import PALETTE, new_figure
from tomostat.report.tables import condition_cell, particle_rows, table, with_interval
from tomostat.report.text import PERCENT, file_name, percent

FIRST, SECOND = PALETTE[0], PALETTE[4]
"""Colours of the outlines of two particles that meet."""

LEAST_CERTAIN = 5
"""Particles of least confidence that are named."""


def quality(data: ReportData) -> str:
    """Problems, accuracy, warnings, flagged particles and doubtful decisions."""
    return checked(data) + audited(data) + expected(data) + warned(data) + flagged(data) + decisions(data)


def checked(data: ReportData) -> str:
    """What `tomostat check` found, and which fields it has not seen as they are."""
    if data.provenance.study is None:
        return ""
    problems = data.provenance.problems
    found = [f"{name} {line}" for name, lines in problems.items() for line in lines]
    missing = [view.name for view in data.views if view.name not in problems]
    parts = []
    if found:
        items = "".join(f"<li>{escape(line)}</li>" for line in found)
        parts.append(f'<div class="limitations"><ul>{items}</ul></div>')
    elif problems:
        parts.append(f"<p>Nothing is wrong in the labels of {plural(len(problems), 'field')}.</p>")
    if missing:
        command = escape(f"tomostat check {data.provenance.study.output.name}")
        which = "No field" if len(missing) == len(data.views) else f"Not every field ({escape(', '.join(missing))} not)"
        parts.append(f"<p>{which} was checked as it is now: <code>{command}</code>, then the report again.</p>")
    return f"<h3>Check of the labels</h3>{''.join(parts)}" if parts else ""


def audited(data: ReportData) -> str:
    """Precision and recall by what people answered, of all fields and of each condition."""
    study, answers = data.provenance.study, data.provenance.answers
    if study is None:
        return ""
    head = "<h3>Accuracy</h3>"
    command = f"<code>tomostat audit {escape(study.output.name)}</code>"
    if not any(one.answered for one in answers.questions):
        return f"{head}<p>Nobody has judged particles yet: {command}, then the report again.</p>"
    fields: dict[str, list[str]] = {name: [] for name in data.conditions}
    for view in data.views:
        fields.setdefault(data.origin(view.name).condition, []).append(view.name)
    rows = [["all", *_accuracy_cells(answers.accuracy())]]
    if len(fields) > 1:
        rows += [
            [condition_cell(index, name), *_accuracy_cells(answers.accuracy(own))]
            for index, (name, own) in enumerate(fields.items())
        ]
    stale = (
        f" Left out: {plural(answers.stale, 'answer')} on particles that were made anew since; {command} asks anew."
        if answers.stale
        else ""
    )
    caption = (
        f"What people answered of whole particles and of slices drawn at random ({command}). Precision: share of the "
        "particles that are right. Recall: share of the particles seen in slices that have an outline of their own. "
        f"Intervals ({100 * CONFIDENCE:.0f}{PERCENT}): Wilson's; for the recall at as many single draws as scatter "
        f"like the slices.{stale}"
    )
    names = ["particles", *VERDICTS, "precision (%)", "slices", "found", "missed", "recall (%)"]
    return head + table(names, rows, 1, caption)


def expected(data: ReportData) -> str:
    """How many particles are likely to be wrong, by their own confidence."""
    if "confidence" not in data.counted:
        return ""
    particles = data.counted.isel(particle=np.isfinite(data.counted["confidence"].to_numpy()))
    known = particles["confidence"].to_numpy()
    if not len(known):
        return ""
    wrong = (1 - known).sum()
    share, number = percent(wrong / len(known), 1), plural(len(known), "particle")
    least = particles.isel(particle=np.argsort(known, kind="stable")[:LEAST_CERTAIN])
    named = ", ".join(
        f"{label} of {escape(str(field))} ({confidence:.2f})"
        for label, field, confidence in zip(
            least["label"].to_numpy(), least["field"].to_numpy(), least["confidence"].to_numpy(), strict=True
        )
    )
    return (
        f"<p>By their confidence (column <code>confidence</code>), about {wrong:.1f} of {number} ({share}) are not "
        "one particle, or not the whole of it. It is calibrated on simulated electrodes, and odd shapes lower it. "
        f"The least certain labels: {named}.</p>"
    )


def _accuracy_cells(known: Accuracy) -> list[str]:
    """Cells of the table of accuracy, without the first."""
    verdicts = [str(known.verdicts[name]) for name in VERDICTS]
    counts = [str(count) for count in (known.slices, known.outlines - known.false, known.missed)]
    precision, recall = (with_interval(one.value, (one.low, one.high)) for one in (known.precision, known.recall))
    return [*verdicts, precision, *counts, recall]


def warned(data: ReportData) -> str:
    """Warnings of the phases stage by field."""
    rows = [[escape(view.name), escape(warning)] for view in data.views if view.fit for warning in view.fit.warnings]
    return f"<h3>Warnings</h3>{table(['field', 'phases'], rows, 2)}" if rows else ""


def flagged(data: ReportData) -> str:
    """How many particles carry which flag, per condition."""
    particles = data.particles
    names = [name for name in listed(particles) if particles[name].dtype.kind == "b"]
    rows = []
    for name in names:
        flags = particles[name].to_numpy().astype(bool)
        counts = [str(int(np.count_nonzero(flags & data.in_condition(one)))) for one in data.conditions]
        button = f'<button type="button" class="flag screen" data-flag="{escape(name)}">Select</button>'
        rows.append([escape(str(particles[name].attrs["long_name"])), *counts, button])
    if data.measured:
        unknown = ~np.isfinite(particles["detachment"].to_numpy())
        counts = [str(int(np.count_nonzero(unknown & data.in_condition(one)))) for one in data.conditions]
        rows.append(["detachment not measured", *counts, ""])
    if not rows:
        return ""
    head = ["particles", *(condition_cell(index, name) for index, name in enumerate(data.conditions)), ""]
    caption = (
        "Which of them statistics leave out, or weight, is the option <code>analyze.border</code>; particles counted "
        "elsewhere are always left out."
    )
    return f"<h3>Flagged particles</h3>{table(head, rows, 1, caption)}"


def decisions(data: ReportData) -> str:
    """Pictures of doubtful decisions, each with the command that turns it over."""
    views = labelled_fields(data)
    found = [one for name, folder in data.provenance.graphs.items() if name in views for one in doubtful(name, folder)]
    if not data.provenance.graphs:
        return ""
    found.sort(key=lambda one: abs(one.score))
    shown = found[: data.options.decisions]
    head = "<h3>Doubtful decisions of stitching</h3>"
    if not found:
        return f"{head}<p>No two tracks were joined or kept apart by a score within {CLOSE:g} of 0.</p>"
    more = f" The {len(shown)} closest are shown." if len(found) > len(shown) else ""
    tiles = "".join(_tile(data, views[one.field], one) for one in shown)
    return (
        f"{head}<p>{plural(len(found), 'decision')} of the merge graph with a score within {CLOSE:g} of 0.{more} "
        "A command turns a decision over; <code>tomostat run</code> then makes anew what depends on it.</p>"
        f'<div class="gallery">{tiles}</div>'
    )


def command(data: ReportData, one: Decision) -> str:
    """The command that turns a decision over."""
    study = data.provenance.study
    where = study.output.name if study else "OUTPUT"
    field = f" --field {one.field}" if len(data.views) > 1 else ""
    return f"tomostat stitch {where} --{'cut' if one.joined else 'join'} {one.a} {one.b}{field}"


def _tile(data: ReportData, view: FieldView, one: Decision) -> str:
    what = "joined" if one.joined else "kept apart"
    labels = sorted({label for label in one.particles if label})
    rows = np.flatnonzero(np.isin(data.of_field(view.name)["label"].to_numpy(), labels))
    risk = f"{100 * one.error_probability:.0f}{PERCENT}"
    return data.png_figure(
        f"decision-{file_name(view.name)}-{one.a}-{one.b}",
        draw_decision(view, one),
        f"Two tracks of {view.name} that were {what}: sections across z and across y.",
        f"<b>{what}</b>, score {one.score:+.2f} (wrong with some {risk})<br>"
        f"{escape(view.name)}, label {' and '.join(map(str, labels))}<br><code>{escape(command(data, one))}</code>",
        particle_rows(data.of_field(view.name).isel(particle=rows), "centroid", "equivalent_diameter", "detachment"),
        tight=False,
    )


def draw_decision(view: FieldView, one: Decision) -> Figure:
    """Sections across z and y where two tracks meet, with the outlines of their particles."""
    voxel = float(np.prod(view.info.spacing))
    reach = reach_of(float(np.cbrt(6 * one.voxels * voxel / np.pi)))
    tints = dict(zip(dict.fromkeys(filter(None, one.particles)), (FIRST, SECOND), strict=False))
    figure = new_figure(2.8, 1.4, layout="none")
    for index, axis in enumerate((0, 1)):
        axes = figure.add_axes((0.5 * index, 0.0, 0.5, 1.0))
        draw_section(axes, view.section(axis, one.centre, reach), tints, reach)
    scale_bar(figure.axes[1], reach)
    return figure


QUALITY = Section(anchor="quality", heading="What to check", position=85, make=quality)
