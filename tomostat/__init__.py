"""Per-particle statistics from X-ray nano-tomography volumes of battery electrodes.

The data's way, one function for every arrow; each reads what the one before it wrote::

    ingest_volume -> segment_phases -> detect_instances -> stitch_particles -> measure_particles
        -> analyze_particles -> write_report

`run` does them all for a study file. `open_volume` and `open_particles` open results as xarray, `open_contacts` the
graph of touching particles; `write_meshes` makes PLY files of particles. `simulate_volume` and `simulate_study` make
electrodes with known truth.

Importing this package imports neither torch nor dask nor zarr: names are looked up when they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Instances": "instances",
    "Layout": "manifest",
    "Phase": "volume",
    "Study": "study",
    "analyze_particles": "analyze",
    "describe": "volume",
    "detect_instances": "detect",
    "ingest_volume": "ingest",
    "load_study": "study",
    "measure_particles": "measure",
    "open_contacts": "measure",
    "open_particles": "measure.table",
    "open_volume": "volume",
    "read_instances": "instances",
    "run": "pipeline",
    "segment_phases": "phases",
    "simulate_study": "simulation",
    "simulate_volume": "phantom",
    "stitch_particles": "stitch",
    "study_of_volume": "study",
    "write_meshes": "measure",
    "write_report": "report",
    "AnalyzeOptions": "options",
    "DetectOptions": "options",
    "IngestOptions": "options",
    "MeasureOptions": "options",
    "PhantomOptions": "options",
    "PhasesOptions": "options",
    "ReportOptions": "options",
    "StitchOptions": "options",
    "TrainOptions": "options",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    """Look up a public name in its room."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Public names."""
    return sorted(__all__)
