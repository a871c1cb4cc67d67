"""What is known of the run that made the results, for the page."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from tomostat.answers import Answers
from tomostat.options import StageOptions, as_dict

if TYPE_CHECKING:
    from tomostat.manifest import StageWarning
    from tomostat.study import Study

PACKAGES = ("tomostat", "numpy", "scipy", "numba", "scikit-image", "torch", "torchvision", "dask", "zarr", "xarray")
"""Packages that results depend on."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What is known of the run that made the results.

    Attributes
    ----------
    study
        The study with its options; None where only the tables are known.
    seconds
        How long every stage took.
    graphs
        Folder of the merge graph by field.
    problems
        What `tomostat check` found in every field that was checked as it is now.
    answers
        What people answered of particles and slices.
    warnings
        What the stages warn of; where it is not given, the page has the warnings that the phases stored.
    """

    study: Study | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    graphs: Mapping[str, Path] = field(default_factory=dict)
    problems: Mapping[str, Sequence[str]] = field(default_factory=dict)
    answers: Answers = field(default_factory=Answers)
    warnings: Sequence[StageWarning] | None = None

    def listings(self) -> dict[str, str]:
        """What the page lists, as YAML under its heading; without what is not known."""
        study = {} if self.study is None else plain(self.study)
        options = study.pop("options", None)
        lists = {
            "Options of every stage": options,
            "Study": study,
            "Seconds per stage": plain(self.seconds),
            "Versions": versions(),
        }
        return {
            heading: yaml.safe_dump(value, sort_keys=False, allow_unicode=True).removesuffix("...\n")
            for heading, value in lists.items()
            if value
        }


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
    """Convert to values that YAML knows: dataclasses and mappings to dicts, paths to names, all else to text."""
    if isinstance(value, StageOptions):
        value = as_dict(value)
    if isinstance(value, Path):
        return value.name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return value if isinstance(value, str | int | float | bool | None) else str(value)
