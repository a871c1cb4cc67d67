"""The page: all sections with their figures and tables, in a folder that opens offline."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template

import xarray as xr

from tomostat.datasets import flatten
from tomostat.execution import Execution
from tomostat.files import atomic
from tomostat.messages import plural
from tomostat.report.data import ReportData
from tomostat.report.embedding import asset
from tomostat.report.fields import view_field
from tomostat.report.options import ReportOptions
from tomostat.report.provenance import Provenance, versions
from tomostat.report.sections import write_parts
from tomostat.report.text import TIMES

LIBRARY = "vendor/plotly-gl3d.min.js"
"""What draws the linked plots and turns the particles: plotly.js, MIT licence, as its authors distribute it."""

SCRIPTS = ("page.js", "particles.js", "plots.js", "particle.js", "table.js", "fields.js")
"""The page's own scripts, in order; they share one scope."""

logger = logging.getLogger(__name__)


def write_report(
    folder: str | Path,
    particles: xr.Dataset,
    results: xr.Dataset,
    fields: Mapping[str, Path],
    *,
    structures: Mapping[str, xr.Dataset] | None = None,
    options: ReportOptions | None = None,
    provenance: Provenance | None = None,
    execution: Execution | None = None,
) -> Path:
    """Write the report of a study.

    Parameters
    ----------
    folder
        Folder of the report; an older one is replaced. It holds ``index.html``, ``figures/`` and ``particles.csv``
        afterwards, and needs nothing from outside.
    particles
        Particle table, dim ``particle``.
    results
        What `analyze_particles` gives for it.
    fields
        Volume of every field of view by its name; pictures are read from them.
    structures
        What `tomostat.structure.measure_structure` found, by field.
    options
        Title and extent of the page.
    provenance
        What is known of the run.
    execution
        Where tasks run and who receives their events; threads of this process when not given.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    FileNotFoundError, ValueError
        When a field has no volume at its path; nothing is written then.
    """
    folder = Path(folder)
    views = [view_field(name, Path(path)) for name, path in fields.items()]
    with atomic(folder) as part:
        (part / "figures").mkdir(parents=True)
        data = ReportData(
            folder=part,
            particles=particles,
            results=results,
            views=views,
            structures=structures or {},
            options=options or ReportOptions(),
            provenance=provenance or Provenance(),
            execution=(execution or Execution()).for_stage("report"),
        )
        page = _page(data)
        flatten(particles).to_csv(part / "particles.csv", index=False)
        (part / "index.html").write_text(page, encoding="utf-8")
    logger.info("report: %s", folder / "index.html")
    return folder / "index.html"


def _page(data: ReportData) -> str:
    """The whole page as HTML."""
    parts = write_parts(data)
    sections = "\n".join(
        f'<section id="{part.anchor}">\n<h2>{part.heading}</h2>\n{part.html}\n</section>' for part in parts
    )
    return Template(asset("page.html")).substitute(
        title=escape(data.title),
        facts=_facts(data),
        nav="".join(f'<a href="#{part.anchor}">{part.heading}</a>' for part in parts),
        sections=sections,
        css=asset("page.css"),
        library=asset(LIBRARY),
        scripts="\n".join(map(asset, SCRIPTS)),
        version=escape(versions()["tomostat"]),
    )


def _facts(data: ReportData) -> str:
    """Extent of the study in a line."""
    results = data.results
    count = len(data.views)
    facts = [plural(data.counted.sizes["particle"], "particle"), f"{plural(count, 'field')} of view"]
    samples = int(results["n_samples"].sum())
    if samples:
        facts.append(plural(samples, "sample"))
        facts.append(plural(results.sizes["condition"], "condition"))
    voxels = {view.info.spacing for view in data.views}
    if len(voxels) == 1:
        spacing = voxels.pop()
        facts.append(
            f"voxels of {TIMES.join(f'{s:g}' for s in (spacing if len(set(spacing)) > 1 else spacing[:1]))} µm"
        )
    return " · ".join(facts)
