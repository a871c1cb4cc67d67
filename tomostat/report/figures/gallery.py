"""Single particles: least, typically and most detached."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from tomostat.kernels.arrays import Doubles
from tomostat.report.data import ReportData
from tomostat.report.drawing import UNCOLOURED, draw_section, scale_bar
from tomostat.report.fields import FieldView
from tomostat.report.kernels import raycast
from tomostat.report.pictures import reach_of
from tomostat.report.sections import Section
from tomostat.report.style import degrees_map, frameless, new_figure
from tomostat.report.tables import particle_rows
from tomostat.report.text import file_name


def gallery(data: ReportData) -> str:
    """Single particles: least, typically and most detached."""
    views = labelled_fields(data)
    parts = []
    for heading, rows in chosen_particles(data):
        tiles = [_tile(data, views, row) for row in rows]
        parts.append(f'<h3>{heading}</h3><div class="gallery">{"".join(tiles)}</div>')
    return "".join(parts)


def labelled_fields(data: ReportData) -> dict[str, FieldView]:
    """Fields with particles, by name."""
    return {view.name: view for view in data.views if "particles" in view.images}


def chosen_particles(data: ReportData) -> list[tuple[str, list[int]]]:
    """Headings of the gallery, and the rows of the particles below each."""
    if not data.measured or "centroid" not in data.particles:
        return []
    return exemplary(data.counted, set(labelled_fields(data)), data.options.gallery)


def exemplary(particles: xr.Dataset, names: set[str], count: int) -> list[tuple[str, list[int]]]:
    """Rows of the least, typically and most detached particles, all different.

    Only particles that lie whole in a field of `names` and do not belong to the smallest quarter qualify.
    """
    diameter, detachment = (particles[name].to_numpy() for name in ("equivalent_diameter", "detachment"))
    usable = np.isfinite(detachment) & np.isfinite(diameter)
    usable &= np.array([str(name) in names for name in particles["field"].values.tolist()], dtype=bool)
    if "touches_border" in particles and (usable & ~particles["touches_border"].to_numpy().astype(bool)).any():
        usable &= ~particles["touches_border"].to_numpy().astype(bool)
    if usable.any():
        usable &= diameter >= np.quantile(diameter[usable], 0.25)
    rows = np.flatnonzero(usable)
    rows = rows[np.argsort(detachment[rows], kind="stable")]
    each = min(count, len(rows) // 3)
    if not each:
        return [("Particles", rows[:count].tolist())] if rows.size and count else []
    first = (len(rows) - each) // 2
    return [
        ("Least detached", rows[:each].tolist()),
        ("Typical", rows[first : first + each].tolist()),
        ("Most detached", rows[::-1][:each].tolist()),
    ]


def _tile(data: ReportData, views: Mapping[str, FieldView], row: int) -> str:
    """One particle of the gallery."""
    one = data.counted.isel(particle=row)
    view, label = views[str(one["field"].item())], int(one["label"])
    degree, diameter = float(one["detachment"]), float(one["equivalent_diameter"])
    error = (
        f" ± {100 * float(one['detachment_std']):.0f}"
        if "detachment_std" in one and np.isfinite(one["detachment_std"])
        else ""
    )
    condition = str(one["condition"].item()) if "condition" in one else ""
    where = ", ".join(filter(None, (escape(condition), escape(view.name), f"label {label}")))
    return data.png_figure(
        f"particle-{file_name(view.name)}-{label}",
        draw_particle(view, label, one["centroid"].to_numpy(), diameter, degree),
        f"Particle {label} of {view.name}: slice through its middle and 3D view.",
        f"<b>{100 * degree:.0f}{error} % detached</b>, {diameter:.1f} µm<br>{where}",
        particle_rows(data.counted.isel(particle=[row]), *data.counted),
        tight=False,
    )


def draw_particle(view: FieldView, label: int, centre: Doubles, diameter: float, degree: float) -> Figure:
    """A slice through a particle's middle and the particle in 3D, at one scale."""
    reach = reach_of(diameter)
    labels, spacing = view.labels_around(centre, reach), view.info.spacing
    figure = new_figure(2.8, 1.4, layout="none")
    tint = degrees_map()(degree) if np.isfinite(degree) else mpl.colors.to_rgba(UNCOLOURED[0])
    flat, body = (figure.add_axes((left, 0.0, 0.5, 1.0)) for left in (0.0, 0.5))

    draw_section(flat, view.section(0, centre, reach), {label: tint}, reach, halo=(0, 0, 0, 0.5))

    mask = (labels == label).astype(np.uint8)
    if mask.any():
        colours = np.array([[0.0, 0.0, 0.0], tint[:3]])
        picture, place = raycast.render(mask, spacing, colours, 280)
        up, across, _ = raycast.project(centre - np.array(view.start(centre, reach)) * spacing)
        body.imshow(
            picture,
            extent=(place[0] - across, place[1] - across, place[2] - up, place[3] - up),
            interpolation="antialiased",
        )
    body.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
    frameless(body)
    scale_bar(body, reach)
    return figure


GALLERY = Section(anchor="gallery", heading="Single particles", position=70, make=gallery)
