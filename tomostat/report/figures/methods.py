"""How it was made: fields, definitions, options and versions."""

from __future__ import annotations

from html import escape

import numpy as np

from tomostat.report.data import ReportData
from tomostat.report.sections import Section
from tomostat.report.tables import table
from tomostat.report.text import TIMES, percent, significant

DEFINITIONS = """<h3>Definitions</h3>
<p><b>Degree of detachment</b>: share of a particle's outer surface that is not in contact with the carbon-binder
domain; cracks and pores inside do not count, surface cut by the field's border is left out of both areas.
<b>Local resistance</b>: length of the shortest path to the nearest contact, over the surface (through the solid where
the option <code>measure.path</code> says so), in equivalent radii.
<b>Equivalent diameter</b>: that of the ball of equal volume. <b>Peak</b>: place of the highest kernel estimate
(Gaussian, Silverman's width, reflected at 0 and 1).</p>
<p><b>Intervals</b> ({confidence:.0%}): whole samples, whole fields and particles are resampled, each level separately;
the percentile interval of each is widened to allow for few units, and the widest is given.
<b>p-values</b>: whole fields (whole samples where every condition has several) are permuted between the conditions.</p>
"""


def making(data: ReportData) -> str:
    """What was run, and how numbers are defined."""
    parts = [field_table(data)] if data.views else []
    parts.append(DEFINITIONS.format(confidence=data.confidence))
    for heading, listed in data.provenance.listings().items():
        parts.append(f"<details><summary>{escape(heading)}</summary><pre>{escape(listed)}</pre></details>")
    return "".join(parts)


def field_table(data: ReportData) -> str:
    """What each field is, and what the phases stage found in it."""
    rows = []
    for view in data.views:
        sample, condition = data.origin(view.name)
        shape, spacing = view.info.shape, view.info.spacing
        rows.append(
            [
                escape(view.name),
                escape(sample),
                escape(condition),
                TIMES.join(map(str, shape)),
                TIMES.join(f"{n * s:.3g}" for n, s in zip(shape, spacing, strict=True)),
                TIMES.join(f"{s:g}" for s in spacing) if len(set(spacing)) > 1 else f"{spacing[0]:g}",
                str(data.count(view.name)),
                *(significant(view.fit and getattr(view.fit.levels, phase)) for phase in ("pore", "cbd", "active")),
                significant(view.fit and view.fit.noise, 2),
                significant(view.fit and view.fit.blur, 2),
                *(percent(view.fractions.get(phase, np.nan)) for phase in ("pore", "cbd", "active")),
            ]
        )
    head = ["field", "sample", "condition", "voxels z y x", "size (µm)", "voxel (µm)", "particles"]
    head += [
        "grey: pore",
        "carbon-binder",
        "active",
        "noise",
        "blur (voxels)",
        "volume: pore",
        "carbon-binder",
        "active",
    ]
    caption = "Grey levels, noise, blur and volume fractions as the phases stage found them."
    return table(head, rows, 3, caption)


METHODS = Section(anchor="making", heading="How it was made", position=90, make=making)
