"""Sections of the page, each from the content to HTML; an empty one is left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import numpy as np
import xarray as xr
import yaml

from tomostat.report import charts, pictures, tables, text
from tomostat.report.content import Content
from tomostat.report.fields import FieldView
from tomostat.report.surfaces import surfaces


def glance(content: Content) -> str:
    """The finding, and what limits it."""
    confidence = content.analysis["confidence"]
    notes = "".join(f"<li>{escape(note)}</li>" for note in limits(content))
    box = f'<div class="notes"><h3>Read with care</h3><ul>{notes}</ul></div>' if notes else ""
    tiles = text.tiles(content.results) if content.measured else ""
    return f'<p class="lead">{text.lead(content.results, confidence)}</p>\n{tiles}\n{box}'


def limits(content: Content) -> list[str]:
    """Everything that a reader must know before trusting a number."""
    given = content.results.attrs.get("notes", [])
    notes = [given] if isinstance(given, str) else [str(note) for note in given]
    empty = [view.name for view in content.views if not content.rows(view.name).sizes["particle"]]
    if empty:
        notes.append(f"No particle was found in {', '.join(empty)}.")
    flat = [view.name for view in content.views if view.info.shape[0] == 1]
    if flat:
        notes.append(
            f"A single slice ({', '.join(flat)}): volumes and surfaces are those of a sheet one voxel thick, and "
            "columns that need depth are empty."
        )
    two = [view.name for view in content.views if view.fit is not None and view.fit.levels.cbd is None]
    if two:
        notes.append(
            f"Two phases only ({', '.join(two)}): without a carbon-binder phase there is no detachment to measure."
        )
    if "fully_detached" in content.counted and (count := int(content.counted["fully_detached"].sum())):
        notes.append(
            f"{text.plural(count, 'particle')} without any contact: fully detached, so there is no finite resistance "
            "and none is given."
        )
    warnings = content.provenance.get("warnings") or []
    return notes + ([warnings] if isinstance(warnings, str) else [str(warning) for warning in warnings])


def distribution(content: Content) -> str:
    """Distribution of the detachment, and its numbers."""
    if not content.measured:
        return ""
    results, split = content.results, content.analysis["size_split"]
    level = f"{100 * content.analysis['confidence']:g} %"
    counts = results["n_particles"].sel(size="all").values
    peaks = results["summary"].sel(size="all", statistic="peak").to_numpy()
    alt = "Probability density of the degree of detachment. " + " ".join(
        f"{name}: peak at {text.percent(peak)}, {count} particles."
        for name, peak, count in zip(content.conditions, peaks, counts, strict=True)
    )
    caption = (
        "<b>Distribution of the degree of detachment</b> (0 % intact, 100 % loose). Panel a: all particles of each "
        f"condition; then big (solid) and small (dashed) particles, parted at {split:g} µm. Lines are kernel "
        f"estimates, steps the histogram, triangles the peaks, bands pointwise {level} intervals that hold the "
        "variation between particles, fields and samples."
    )
    figure = content.chart("detachment", charts.distributions(results, split), alt, caption)
    return figure + tables.summary_table(results, split) + tables.difference_table(results)


def size(content: Content) -> str:
    """Sizes, and detachment against volume."""
    particles, split = content.counted, content.analysis["size_split"]
    if not np.isfinite(particles["equivalent_diameter"]).any():
        return ""
    parts = [
        content.chart(
            "sizes",
            charts.sizes(particles, content.conditions, split),
            "Histogram of equivalent diameters per condition.",
            "<b>Particle sizes.</b> Diameter of the ball of equal volume, particles at the border included.",
        )
    ]
    if content.measured and "volume" in particles:
        parts.append(
            content.chart(
                "detachment-volume",
                charts.against_volume(particles, content.results, content.conditions),
                "Degree of detachment of every particle against its volume, with running median.",
                "<b>Detachment against volume.</b> One dot per particle, open where the field's border cuts it. Lines "
                "are the median of particles of about that volume, bands their 10 to 90 %.",
            )
        )
    return f'<div class="pair">{"".join(parts)}</div>'


def relations(content: Content) -> str:
    """Resistance, density and the rest against the detachment."""
    particles = content.counted
    parts = []
    if content.measured and "resistance_mean" in particles and np.isfinite(particles["resistance_mean"]).any():
        labels = {"resistance_mean": "mean local resistance", "resistance_std": "heterogeneity of it"}
        shown = [(name, f"{label} (relative)") for name, label in labels.items() if name in particles]
        parts.append(
            content.chart(
                "resistance",
                charts.against_detachment(particles, content.conditions, shown, reference=True),
                "Local electrical resistance, mean and spread over the surface, against degree of detachment.",
                "<b>Local resistance.</b> The detour of electrons over the surface to the nearest contact, in radii of "
                "the ball of equal volume: mean and standard deviation over the whole surface. The dashed line is a "
                "ball whose gap is one round cap; below it the gap is broken up or elongated.",
            )
        )
    labels = {
        "electron_density": "electron density (1/Å³)",
        "relative_intensity": "relative intensity",
        "soc": "state of charge",
        "depth": "depth (µm)",
    }
    shown = [
        (name, label) for name, label in labels.items() if name in particles and np.isfinite(particles[name]).any()
    ]
    if content.measured and shown:
        words = " and ".join(label.split(" (")[0] for _, label in shown[:2])
        parts.append(
            content.chart(
                "density",
                charts.against_detachment(particles, content.conditions, shown[:2]),
                f"{words} of every particle against its degree of detachment.",
                f"<b>{words.capitalize()} against detachment.</b> One dot per particle.",
            )
        )
    return "".join(parts) + tables.quantity_table(content.results) + contribution(content)


def contribution(content: Content) -> str:
    """The model of what a particle contributes, with the particles on it."""
    results = content.results
    if not content.measured or "model_contribution" not in results:
        return ""
    best = ", ".join(
        f"{text.percent(float(degree))} at a state of charge of {float(charge):g}"
        for charge, degree in zip(results["charge"], results["model_best"], strict=True)
    )
    return content.chart(
        "contribution",
        charts.contribution(content.counted, results, content.conditions),
        f"Model, not measured: contribution of particles against degree of detachment. Highest at {best}.",
        "<b>Model of a particle's contribution to the cell, not a measurement.</b> After the sketch in Fig. 4e of "
        "Jiang et al. (2020): detachment lowers the electrical conductance of a particle and raises the ionic one, and "
        "the lower of the two (grey) governs. The electrical one grows with the state of charge. Forms and parameters "
        "are plausible, not fitted; measured are only the degrees of detachment, the particles' places along the axis. "
        f"The model's best detachment is {best}.",
    )


def fields(content: Content) -> str:
    """A slice of each field."""
    chosen = in_turn(content, content.options.pictured_fields)
    parts: list[str] = []
    seen: set[str] = set()
    for view in chosen:
        condition = content.places.get(view.name, ("", ""))[1]
        degrees = content.degrees(view.name)
        # outlines are coloured by the detachment where it is known, else told apart by hue
        tint = "their detachment" if np.isfinite(list(degrees.values())).any() else "label, to tell them apart"
        figure = content.picture(
            f"field-{slug(view.name)}",
            pictures.draw_field(view, degrees),
            f"Slices of field {view.name}: grey values with the outlines of the particles, and phases.",
            "Left: grey values with the outlines of the particles, coloured by "
            f"{tint}. Right: phases."
            + (" The planes are those in the middle half that cut most particles." if view.info.shape[0] > 1 else ""),
        )
        opened = "" if condition in seen else " open"
        seen.add(condition)
        count = text.plural(content.rows(view.name).sizes["particle"], "particle")
        head = " · ".join(filter(None, (escape(condition), count)))
        head = f"<summary>{escape(view.name)}<span>{head}</span></summary>"
        parts.append(f'<details class="field"{opened}>{head}{figure}</details>')
    left = len(content.views) - len(chosen)
    return "".join(parts) + (f"<p>{text.plural(left, 'further field')} not shown.</p>" if left and parts else "")


def in_turn(content: Content, count: int) -> list[FieldView]:
    """Fields taken in turn from the conditions, in the order of the study."""
    places = content.places
    order: dict[str, int] = {}
    ranked = []
    for place, view in enumerate(content.views):
        condition = places.get(view.name, ("", ""))[1]
        order[condition] = order.get(condition, 0) + 1
        ranked.append((order[condition], place))
    chosen = sorted(place for _, place in sorted(ranked)[:count])
    return [content.views[place] for place in chosen]


def scenes(content: Content) -> str:
    """One field of every condition in 3D."""
    parts: list[str] = []
    seen: set[str] = set()
    for view in content.views:
        condition = content.places.get(view.name, ("", ""))[1]
        if condition in seen or view.info.shape[0] == 1 or len(seen) >= 4 or not view.coarse()[0].any():
            continue
        seen.add(condition)
        degrees = content.degrees(view.name)
        known = np.isfinite(list(degrees.values())).any()
        name = " · ".join(filter(None, (escape(condition), escape(view.name))))
        parts.append(
            content.picture(
                f"scene-{slug(view.name)}",
                pictures.draw_scene(view, degrees),
                f"Particles of field {view.name} in 3D.",
                f"<b>{name}.</b> Particles cut by the field's border are closed with flat faces. "
                + ("Colour: degree of detachment." if known else "Colours tell the particles apart."),
            )
        )
    return f'<div class="pair">{"".join(parts)}</div>' if parts else ""


def gallery(content: Content) -> str:
    """Single particles: least, typically and most detached."""
    if not content.measured or "centroid" not in content.particles:
        return ""
    views = {view.name: view for view in content.views if "particles" in view.images}
    parts = []
    chosen = exemplary(content.counted, set(views), content.options.gallery)
    for heading, rows in chosen:
        tiles = [_tile(content, views, row) for row in rows]
        parts.append(f'<h3>{heading}</h3><div class="gallery">{"".join(tiles)}</div>')
    return "".join(parts) + surfaces(content, views, _with_detours(content, chosen))


def _with_detours(content: Content, chosen: list[tuple[str, list[int]]]) -> list[int]:
    """Of the typical and of the most detached particles the first with a finite resistance."""
    if "resistance_mean" not in content.counted:
        return []
    known = np.isfinite(content.counted["resistance_mean"].to_numpy())
    found = [next((row for row in rows if known[row]), None) for _, rows in chosen[-2:]]
    return [row for row in found if row is not None]


def exemplary(particles: xr.Dataset, names: set[str], count: int) -> list[tuple[str, list[int]]]:
    """Rows of the least, typically and most detached particles, all different.

    Only particles that lie whole in a field of `names` and are no specks (not in the smallest quarter) qualify.
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


def _tile(content: Content, views: Mapping[str, FieldView], row: int) -> str:
    """One particle of the gallery."""
    one = content.counted.isel(particle=row)
    view, label = views[str(one["field"].item())], int(one["label"])
    degree, diameter = float(one["detachment"]), float(one["equivalent_diameter"])
    error = (
        f" ± {100 * float(one['detachment_std']):.0f}"
        if "detachment_std" in one and np.isfinite(one["detachment_std"])
        else ""
    )
    condition = str(one["condition"].item()) if "condition" in one else ""
    where = ", ".join(filter(None, (escape(condition), escape(view.name), f"label {label}")))
    return content.picture(
        f"particle-{slug(view.name)}-{label}",
        pictures.draw_particle(view, label, one["centroid"].to_numpy(), diameter, degree),
        f"Particle {label} of {view.name}: slice through its middle and 3D view.",
        f"<b>{100 * degree:.0f}{error} % detached</b>, {diameter:.1f} µm<br>{where}",
        tight=False,
    )


def particle_table(content: Content) -> str:
    """Rows of the table, to sort and filter."""
    particles, count = content.particles, content.particles.sizes["particle"]
    if not count:
        return '<p>The table is empty: <a href="particles.csv">particles.csv</a>.</p>'
    data, head = tables.particle_json(particles, content.options.table_rows)
    cells = "".join(
        f'<th scope="col"{" class=text" if word else ""}>'
        f'<button type="button">{heading}<small>{unit}</small></button></th>'
        for heading, unit, word in head
    )
    cut = f"The first {content.options.table_rows} of {count} particles. " if count > content.options.table_rows else ""
    return (
        f'<p>{cut}All columns of all particles: <a href="particles.csv">particles.csv</a>.</p>'
        '<div class="controls"><label>Filter '
        '<input id="particles-filter" type="search" placeholder="field, label, ..."></label>'
        '<span id="particles-shown" aria-live="polite"></span></div>'
        f'<div class="scroll" id="particles-box" tabindex="0" role="region" aria-label="Particles">'
        f'<table id="particles-table"><thead><tr>{cells}</tr></thead><tbody></tbody></table></div>'
        "<noscript><p>The table needs JavaScript; the file does not.</p></noscript>"
        f'<script type="application/json" id="particles-data">{data}</script>'
    )


def making(content: Content) -> str:
    """What was run, and how numbers are defined."""
    counts = {view.name: content.rows(view.name).sizes["particle"] for view in content.views}
    parts = [tables.field_table(content.views, content.places, counts)] if content.views else []
    parts.append(METHODS.format(**content.analysis))
    provenance = dict(content.provenance)
    study = provenance.pop("study", None)
    options: Any = provenance.pop("options", None)
    if isinstance(study, Mapping):
        options = study.get("options", options)
        study = {key: value for key, value in study.items() if key != "options"}
    seconds = provenance.pop("seconds", None)
    provenance.pop("warnings", None)
    lists = {"Options of every stage": options, "Study": study, "Seconds per stage": seconds}
    lists |= {key.replace("_", " ").capitalize(): value for key, value in provenance.items()}
    for name, value in lists.items():
        if value:
            shown = yaml.safe_dump(value, sort_keys=False, allow_unicode=True).removesuffix("...\n")
            parts.append(f"<details><summary>{escape(name)}</summary><pre>{escape(shown)}</pre></details>")
    return "".join(parts)


METHODS = """<h3>Definitions</h3>
<p><b>Degree of detachment</b>: share of a particle's outer surface that is not in contact with the carbon-binder
domain; cracks and pores inside do not count, surface cut by the field's border is left out of both terms.
<b>Local resistance</b>: length of the detour over the surface to the nearest contact, in equivalent radii.
<b>Equivalent diameter</b>: that of the ball of equal volume. <b>Peak</b>: place of the highest kernel estimate
(Gaussian, Silverman's width, reflected at 0 and 1).</p>
<p><b>Intervals</b> ({confidence:.0%}): whole samples, whole fields and particles are resampled, each level by itself;
the percentile interval of each is stretched for the few units that it rests on, and the widest counts.
<b>p-values</b>: whole fields (whole samples where every condition has several) are permuted between the conditions.</p>
"""


def slug(name: str) -> str:
    """A name as part of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)


SECTIONS: tuple[tuple[str, str, Callable[[Content], str]], ...] = (
    ("glance", "At a glance", glance),
    ("distribution", "Detachment", distribution),
    ("size", "Size", size),
    ("relations", "Resistance, density, shape", relations),
    ("fields", "Fields of view", fields),
    ("scenes", "Particles in 3D", scenes),
    ("gallery", "Single particles", gallery),
    ("particles", "Particle table", particle_table),
    ("making", "How it was made", making),
)
"""Anchor, heading and maker of every section."""
