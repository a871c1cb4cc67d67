"""A small simulated study, run through all stages once, and what is compared of its results."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

from tomostat.datasets import flatten, open_particles
from tomostat.detect.options import DetectOptions
from tomostat.layout import Layout
from tomostat.phantom.options import PhantomOptions
from tomostat.report.options import ReportOptions
from tomostat.study import Study

SMALL = PhantomOptions(shape=(24, 80, 80), diameters=(4.0, 7.0))
WATERSHED = DetectOptions(detector="watershed", slices=8)
BRIEF = ReportOptions(gallery=1, pictured_fields=1, pictured_particles=6, decisions=1)
"""A page with few pictures: drawing takes longer than all that goes before."""
UP_TO_TABLE = ("ingest", "phases", "detect", "stitch", "measure")
"""Stages up to the particle table."""
UP_TO_ANALYSIS = (*UP_TO_TABLE, "structure", "analyze")
"""All but the report, which takes longer than all others together."""


def at(study: Study, output: Path) -> Study:
    """The study with another output folder."""
    return dataclasses.replace(study, output=output)


def first_field(study: Study, output: Path) -> Study:
    """The study with its first field only, and another output folder."""
    return dataclasses.replace(study, output=output, samples=study.samples[:1])


def digest(folder: Path) -> str:
    """Hash of all files of a folder."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            total.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return total.hexdigest()


def science(layout: Layout, field: str = "slow-1") -> list[str]:
    """Hashes of the labels and of the particle table of a field."""
    volume = layout.volume(field)
    images = [digest(volume / "labels" / name / "0") for name in ("phases", "particles")]
    table = flatten(open_particles(layout.table(field))).to_csv(index=False)
    return [*images, hashlib.sha256(table.encode()).hexdigest()]
