"""What all sections of the page are made from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tomostat.datasets import counted_once
from tomostat.execution import Execution
from tomostat.report.embedding import inline_svg, read_png, webp_uri
from tomostat.report.fields import FieldView
from tomostat.report.options import ReportOptions
from tomostat.report.provenance import Provenance
from tomostat.report.scatter import in_condition
from tomostat.report.style import save_png, save_svg
from tomostat.report.text import condition_names, short_units

PAD = 0.05
"""Inches around what is drawn of a figure of pixels."""

LIMITATIONS, FINDINGS = "notes", "findings"
"""Attributes of the results on disk that list their limitations, and what was found."""


class Origin(NamedTuple):
    """Where a field comes from; empty texts where that is not known."""

    sample: str = ""
    condition: str = ""


@dataclass(frozen=True)
class ReportData:
    """Data of the report and where its files go.

    Attributes
    ----------
    folder
        The report's folder; figures go into ``figures``.
    particles, results
        Particle table and statistics, as given to `write_report`.
    views
        The fields of view.
    structures
        What the structure stage found, by field.
    options
        Options of the report.
    provenance
        What is known of the run.
    execution
        Where tasks run.
    """

    folder: Path
    particles: xr.Dataset
    results: xr.Dataset
    views: Sequence[FieldView]
    structures: Mapping[str, xr.Dataset]
    options: ReportOptions
    provenance: Provenance
    execution: Execution

    @cached_property
    def conditions(self) -> list[str]:
        """Conditions in the order of the results."""
        return condition_names(self.results)

    @property
    def confidence(self) -> float:
        """Level of the confidence intervals."""
        return float(self._analysis["confidence"])

    @property
    def size_split(self) -> float:
        """Diameter in micrometers that separates small from big particles."""
        return float(self.results["size_split"])

    @property
    def border(self) -> str:
        """How particles at the border of their field were treated: weighted, kept or excluded."""
        return str(self._analysis["border"])

    def option(self, stage: str, name: str) -> Any:
        """An option of a stage; None where the study is not known."""
        study = self.provenance.study
        return getattr(study.options[stage], name) if study else None

    @cached_property
    def _analysis(self) -> dict[str, Any]:
        """Options of the analysis."""
        options: dict[str, Any] = json.loads(self.results.attrs["options"])
        return options

    @property
    def title(self) -> str:
        """Heading of the page."""
        study = self.provenance.study
        return self.options.title or (study.study if study else "") or "Particles of an electrode"

    @property
    def limitations(self) -> list[str]:
        """Limitations of the results, in sentences."""
        return self._sentences(LIMITATIONS)

    @property
    def findings(self) -> list[str]:
        """What was found, in sentences."""
        return self._sentences(FINDINGS)

    def _sentences(self, name: str) -> list[str]:
        given = self.results.attrs.get(name, [])
        return [short_units(str(sentence)) for sentence in ([given] if isinstance(given, str) else given)]

    @cached_property
    def measured(self) -> bool:
        """Whether the detachment of any particle is known."""
        return "detachment" in self.particles and bool(np.isfinite(self.particles["detachment"]).any())

    def origin(self, field: str) -> Origin:
        """Sample and condition of a field: from the study where it is known, else from the table."""
        return self._origins.get(field, Origin())

    @cached_property
    def _origins(self) -> dict[str, Origin]:
        found: dict[str, Origin] = {}
        columns = [self._names(name) for name in ("field", "sample", "condition")]
        for field, sample, condition in zip(*columns, strict=True):
            found.setdefault(field, Origin(sample, condition))
        study = self.provenance.study
        for sample in study.samples if study else ():
            for item in sample.fields:
                found[item.name] = Origin(sample.name, sample.condition)
        return found

    @cached_property
    def counted(self) -> xr.Dataset:
        """Particles, each once where fields overlap."""
        return counted_once(self.particles)

    @cached_property
    def analyzed(self) -> xr.Dataset:
        """Those of `counted` that statistics are made of: cut by the border of their field only where that is kept."""
        if self.border == "kept" or "touches_border" not in self.counted:
            return self.counted
        return self.counted.isel(particle=np.flatnonzero(~self.counted["touches_border"].to_numpy().astype(bool)))

    def of_field(self, field: str) -> xr.Dataset:
        """Particles of a field."""
        return self.particles.isel(particle=np.flatnonzero(self._field_names == field))

    def count(self, field: str) -> int:
        """Number of particles of a field."""
        return int(np.count_nonzero(self._field_names == field))

    @cached_property
    def _field_names(self) -> NDArray[np.str_]:
        return np.array(self._names("field"), dtype=np.str_)

    def in_condition(self, condition: str) -> NDArray[np.bool_]:
        """Particles of a condition."""
        return in_condition(self.particles, condition, self.conditions)

    def rows_by_label(self, field: str) -> dict[int, int]:
        """Row of the particle table of every label of a field."""
        rows = np.flatnonzero(self._field_names == field)
        return dict(zip(self.particles["label"].values[rows].tolist(), rows.tolist(), strict=True))

    def detachments(self, field: str) -> dict[int, float]:
        """Detachment of a field's particles by label."""
        rows = self.of_field(field)
        if "detachment" not in rows or "label" not in rows:
            return {}
        return dict(zip(rows["label"].values.tolist(), rows["detachment"].values.tolist(), strict=True))

    def _names(self, name: str) -> list[str]:
        if name not in self.particles:
            return [""] * self.particles.sizes["particle"]
        return [str(value) for value in self.particles[name].values.tolist()]

    def svg_figure(self, name: str, figure: Figure, alt: str, caption: str, table: pd.DataFrame) -> str:
        """Write a figure of lines and text with its data, and give the HTML that shows it, in the page's colours."""
        drawing = self._write(name, figure, table)
        return _figure(name, inline_svg(drawing, name, alt), _width(figure), caption)

    def png_figure(
        self, name: str, figure: Figure, alt: str, caption: str, table: pd.DataFrame, tight: bool = True
    ) -> str:
        """Write a figure of pixels with its data, and give the HTML that shows it."""
        self._write(name, figure, table, tight)
        picture = webp_uri(read_png(self.folder / "figures" / f"{name}.png"))
        width = _width(figure)
        image = f'<img class=picture src="{picture}" alt="{escape(alt)}" style="width:{width}px">'
        return _figure(name, image, width, caption)

    def _write(self, name: str, figure: Figure, table: pd.DataFrame, tight: bool = False) -> str:
        """Write a figure as drawing and picture, and its data; gives the drawing."""
        files = self.folder / "figures"
        table.to_csv(files / f"{name}.csv", index=False)
        if engine := figure.get_layout_engine():
            engine.execute(figure)
        figure.set_layout_engine(None)  # found once for both files, as the part that is written; "none" draws once more
        part = figure.get_tightbbox().padded(PAD) if tight else None
        save_png(figure, files / f"{name}.png", bbox_inches=part)
        return save_svg(figure, files / f"{name}.svg", bbox_inches=part)


def _width(figure: Figure) -> int:
    """Pixels of the page that a figure takes."""
    return round(100 * figure.get_figwidth())


def _figure(name: str, shown: str, width: int, caption: str) -> str:
    wide = " class=wide" if width > 800 else ""
    files = " ".join(f'<a href="figures/{name}.{kind}">{kind.upper()}</a>' for kind in ("svg", "png", "csv"))
    style = f' style="--width:{width}px"'
    return f'<figure{wide}{style}>{shown}<figcaption>{caption} <span class="files">{files}</span></figcaption></figure>'
