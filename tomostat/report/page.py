"""The page: sections, figures and tables put together into a folder that opens offline."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from html import escape
from importlib import metadata, resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import xarray as xr

from tomostat.datasets import flatten
from tomostat.files import atomic
from tomostat.report.content import Content
from tomostat.report.fields import view_field
from tomostat.report.options import ReportOptions
from tomostat.report.sections import SECTIONS
from tomostat.report.style import styled
from tomostat.report.text import TIMES, plural

logger = logging.getLogger(__name__)

PACKAGES = ("tomostat", "numpy", "scipy", "numba", "scikit-image", "torch", "torchvision", "dask", "zarr", "xarray")


def write_report(
    folder: str | Path,
    particles: xr.Dataset,
    results: xr.Dataset,
    fields: Mapping[str, Path],
    *,
    options: ReportOptions | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Path:
    """Write the report of a study.

    Parameters
    ----------
    folder
        Where to; what stands there is replaced. Holds ``index.html``, ``figures/`` and ``particles.csv`` afterwards,
        and needs nothing from outside.
    particles
        Particle table, dim ``particle``.
    results
        What `analyze_particles` made of it.
    fields
        Volume of every field of view by its name; pictures are read from them.
    options
        Title and extent of the page.
    provenance
        What is known of the run: ``study`` (its name, or the study itself), ``seconds`` per stage, ``warnings``;
        anything else is listed as it is.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    FileNotFoundError, ValueError
        When a volume is not there or is none; nothing is written then.
    """
    folder = Path(folder)
    known = plain(dict(provenance or {}))
    views = [view_field(name, Path(path)) for name, path in fields.items()]
    with atomic(folder) as part:
        (part / "figures").mkdir(parents=True)
        content = Content(
            folder=part,
            particles=particles,
            results=results,
            views=views,
            options=options or ReportOptions(),
            provenance={**known, "versions": versions()},
        )
        with styled():
            page = _page(content)
        flatten(particles).to_csv(part / "particles.csv", index=False)
        (part / "index.html").write_text(page, encoding="utf-8")
    logger.info("report: %s", folder / "index.html")
    return folder / "index.html"


def _page(content: Content) -> str:
    """The whole page as HTML."""
    assets = resources.files("tomostat.report") / "assets"
    parts = [(key, heading, make(content)) for key, heading, make in SECTIONS]
    sections = "\n".join(
        f'<section id="{key}">\n<h2>{heading}</h2>\n{body}\n</section>' for key, heading, body in parts if body
    )
    return Template((assets / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(content.title),
        facts=_facts(content),
        nav="".join(f'<a href="#{key}">{heading}</a>' for key, heading, body in parts if body),
        sections=sections,
        css=(assets / "page.css").read_text(encoding="utf-8"),
        js=(assets / "page.js").read_text(encoding="utf-8"),
        version=escape(content.provenance["versions"]["tomostat"]),
    )


def _facts(content: Content) -> str:
    """Extent of the study in a line."""
    results = content.results
    count = len(content.views)
    facts = [plural(content.counted.sizes["particle"], "particle"), f"{plural(count, 'field')} of view"]
    samples = int(results["n_samples"].sum())
    if samples:
        facts.append(plural(samples, "sample"))
        facts.append(plural(results.sizes["condition"], "condition"))
    voxels = {view.info.spacing for view in content.views}
    if len(voxels) == 1:
        spacing = voxels.pop()
        facts.append(
            f"voxels of {TIMES.join(f'{s:g}' for s in (spacing if len(set(spacing)) > 1 else spacing[:1]))} µm"
        )
    return " · ".join(facts)


def versions() -> dict[str, str]:
    """Versions of what the results depend on, where installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def plain(value: Any) -> Any:
    """Values as YAML knows them: dataclasses and mappings as dicts, everything else that is not plain as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return value if isinstance(value, str | int | float | bool | None) else str(value)
