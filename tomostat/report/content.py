"""What all sections of the page draw from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from tomostat.datasets import counted_once
from tomostat.report.fields import FieldView
from tomostat.report.options import ReportOptions
from tomostat.report.style import save_png, save_svg


@dataclass(frozen=True)
class Content:
    """Data of the report and where its files go.

    Attributes
    ----------
    folder
        The report's folder; figures go into ``figures``.
    particles, results
        Tables as given to `write_report`.
    views
        The fields of view.
    options
        Options of the report.
    provenance
        What is known of the run, as plain values.
    """

    folder: Path
    particles: xr.Dataset
    results: xr.Dataset
    views: Sequence[FieldView]
    options: ReportOptions
    provenance: Mapping[str, Any]

    @cached_property
    def conditions(self) -> list[str]:
        """Conditions in the order of the results."""
        return [str(name) for name in self.results["condition"].values]

    @cached_property
    def analysis(self) -> Mapping[str, Any]:
        """Options that the results were made with."""
        found: dict[str, Any] = json.loads(self.results.attrs["options"])
        return found

    @property
    def title(self) -> str:
        """Heading of the page."""
        study = self.provenance.get("study")
        name = study.get("study") if isinstance(study, Mapping) else study
        return self.options.title or str(name or "Particles of an electrode")

    @cached_property
    def measured(self) -> bool:
        """Whether the detachment of any particle is known."""
        return "detachment" in self.particles and bool(np.isfinite(self.particles["detachment"]).any())

    @cached_property
    def places(self) -> dict[str, tuple[str, str]]:
        """Sample and condition of every field: from the study, else from the table."""
        found: dict[str, tuple[str, str]] = {}
        columns = [self._words(name) for name in ("field", "sample", "condition")]
        for field, sample, condition in zip(*columns, strict=True):
            found.setdefault(field, (sample, condition))
        study = self.provenance.get("study")
        for sample in study.get("samples", ()) if isinstance(study, Mapping) else ():
            for field in sample.get("fields", ()):
                found[str(field.get("name"))] = (str(sample.get("name", "")), str(sample.get("condition", "")))
        return found

    @cached_property
    def counted(self) -> xr.Dataset:
        """Particles, each once where fields overlap."""
        return counted_once(self.particles)

    def rows(self, field: str) -> xr.Dataset:
        """Particles of a field."""
        return self.particles.isel(particle=np.flatnonzero(np.array(self._words("field")) == field))

    def degrees(self, field: str) -> dict[int, float]:
        """Detachment of a field's particles by label."""
        rows = self.rows(field)
        if "detachment" not in rows or "label" not in rows:
            return {}
        return dict(zip(rows["label"].values.tolist(), rows["detachment"].values.tolist(), strict=True))

    def _words(self, name: str) -> list[str]:
        if name not in self.particles:
            return [""] * self.particles.sizes["particle"]
        return [str(value) for value in self.particles[name].values.tolist()]

    def chart(self, name: str, figure: Figure, alt: str, caption: str) -> str:
        """Write a drawing and give the HTML that shows it."""
        save_svg(figure, self.folder / "figures" / f"{name}.svg")
        return self._figure(f"{name}.svg", figure, alt, caption)

    def picture(self, name: str, figure: Figure, alt: str, caption: str, tight: bool = True) -> str:
        """Write a picture and give the HTML that shows it."""
        crop = {"bbox_inches": "tight", "pad_inches": 0.05} if tight else {}
        save_png(figure, self.folder / "figures" / f"{name}.png", **crop)
        return self._figure(f"{name}.png", figure, alt, caption)

    @staticmethod
    def _figure(file: str, figure: Figure, alt: str, caption: str) -> str:
        width = round(100 * figure.get_figwidth())
        wide = " class=wide" if width > 800 else ""
        return (
            f'<figure{wide}><img src="figures/{file}" alt="{escape(alt)}" style="width:{width}px">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
