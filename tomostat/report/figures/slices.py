"""Fields of view: slices with the outlines of the particles, and phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from matplotlib.figure import Figure

from tomostat.messages import plural
from tomostat.report import text
from tomostat.report.browsing import described_field, field_slices, slice_places
from tomostat.report.data import ReportData
from tomostat.report.drawing import any_known, degree_bar, draw_grey, draw_phases, phase_handles
from tomostat.report.fields import FieldView
from tomostat.report.figures.explorer import resistance_top, script_json
from tomostat.report.sections import Section
from tomostat.report.style import new_figure
from tomostat.report.tables import particle_rows


def browsed(data: ReportData) -> str:
    """Slices of fields to browse."""
    views = in_turn(data, data.options.pictured_fields)
    if not views:
        return ""
    rows = {view.name: data.rows_by_label(view.name) for view in views}
    slices = field_slices(views, rows, resistance_top(data.particles), data.execution)
    places = slice_places(views)
    known = [described_field(view, data.origin(view.name).condition, places[view.name]) for view in views]
    lines = "\n\n".join("\n".join(slices[view.name]) for view in views)
    return (
        '<div id="browser" class="screen"></div>'
        f'<script type="application/json" id="fields-data">{script_json(known)}</script>'
        f'<script type="text/plain" id="fields-slices">{lines}</script>'
    )


def printed(data: ReportData) -> str:
    """One slice of a field of each condition, for print."""
    chosen = in_turn(data, data.options.pictured_fields)
    left = len(data.views) - len(chosen) if chosen else 0
    more = f"<p>{plural(left, 'further field')} not shown.</p>" if left else ""
    return "".join(_printed(data, view) for view in first_of_each(data, chosen)) + more


def first_of_each(data: ReportData, views: Sequence[FieldView]) -> list[FieldView]:
    """The first field of every condition."""
    found: dict[str, FieldView] = {}
    for view in views:
        found.setdefault(data.origin(view.name).condition, view)
    return list(found.values())


def _printed(data: ReportData, view: FieldView) -> str:
    """A field as a figure."""
    condition = data.origin(view.name).condition
    degrees = data.detachments(view.name)
    # outlines are coloured by the detachment where it is known, else by label
    tint = "their detachment" if any_known(degrees) else "label"
    count = plural(data.count(view.name), "particle")
    head = " · ".join(filter(None, (escape(condition), escape(view.name), count)))
    return data.png_figure(
        f"field-{text.file_name(view.name)}",
        draw_field(view, degrees),
        f"Slices of field {view.name}: grey values with the outlines of the particles, and phases.",
        f"<b>{head}.</b> Left: grey values with the outlines of the particles, coloured by {tint}. Right: phases."
        + (" The planes are those in the middle half that cut most particles." if view.info.shape[0] > 1 else ""),
        particle_rows(data.of_field(view.name), "centroid", "equivalent_diameter", "detachment"),
    )


def in_turn(data: ReportData, count: int) -> list[FieldView]:
    """Fields taken in turn from the conditions, in the order of the study."""
    order: dict[str, int] = {}
    ranked = []
    for place, view in enumerate(data.views):
        condition = data.origin(view.name).condition
        order[condition] = order.get(condition, 0) + 1
        ranked.append((order[condition], place))
    chosen = sorted(place for _, place in sorted(ranked)[:count])
    return [data.views[place] for place in chosen]


def draw_field(view: FieldView, degrees: Mapping[int, float]) -> Figure:
    """Slice with most particles and, below, a section across it; grey values left, phases right."""
    planes = [view.plane(0)] + ([view.plane(1)] if view.info.shape[0] > 1 else [])
    heights = [abs(s.extent[3] - s.extent[2]) for s in planes]
    length = planes[0].extent[1] - planes[0].extent[0]
    columns = 2 if planes[0].phases is not None else 1
    panel = min(4.6, 7.5 * length / sum(heights))
    figure = new_figure(panel * columns + 1.6, panel * sum(heights) / length + 0.35 * len(planes) + 0.6)
    grid = figure.subplots(len(planes), columns, squeeze=False, height_ratios=heights, sharex=True)
    for row, plane in zip(grid, planes, strict=True):
        draw_grey(row[0], plane, degrees)
        other = "z" if plane.axes == ("y", "x") else "y"
        row[0].set_title(f"{other} = {plane.place:.1f} µm", weight="normal", size=9)
        if columns == 2:
            draw_phases(row[1], plane)
    for axes in grid[-1]:
        axes.set_xlabel("x (µm)")
    if columns == 2:
        grid[0][1].set_title("phases", weight="normal", size=9)
        figure.legend(handles=phase_handles(planes), loc="outside lower right", ncols=4, fontsize=8)
    if planes[0].labels is not None and any_known(degrees):
        degree_bar(figure, grid[:, -1].tolist(), 0.025)
    return figure


BROWSER = Section(anchor="fields", heading="Fields of view", position=50, make=browsed, by_tasks=True)
PRINTED = Section(anchor="fields", position=51, make=printed)
