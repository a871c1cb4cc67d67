"""Fields of view and reports made up for tests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from tables import particle_table
from tomostat.analyze import AnalyzeOptions, analyze_particles
from tomostat.answers import Answers, ParticleQuestion, SliceQuestion
from tomostat.execution import Execution
from tomostat.phase import PhaseFit, PhaseLevels, PhaseShares
from tomostat.report import Provenance, ReportOptions, write_report
from tomostat.study import Field, Sample, Study
from tomostat.volume import create_volume, pyramid_tasks, update_attributes, write_box

SPACING = (0.5, 0.4, 0.4)
FEW = AnalyzeOptions(resamples=100, border="kept")


def balls(shape: tuple[int, int, int], count: int, seed: int) -> np.ndarray:
    """Labels of a row of balls; a single slice gets discs."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint32)
    grid = np.indices(shape).astype(float) * np.array(SPACING)[:, None, None, None]
    size = np.array(shape) * SPACING
    for label in range(1, count + 1):
        centre = (size[0] / 2 if shape[0] > 1 else 0.0, *rng.uniform(0.2, 0.8, 2) * size[1:])
        distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)))
        labels[(distance < rng.uniform(2.0, 3.5)) & (labels == 0)] = label
    return labels


def make_field(
    path: Path, shape: tuple[int, int, int] = (16, 48, 56), count: int = 6, *, seed: int = 0, cbd: bool = True
) -> np.ndarray:
    """Write a field with grey values, phases and particles; gives the labels of the particles."""
    labels = balls(shape, count, seed)
    phases = np.where(labels > 0, 2, 0).astype(np.uint8)
    if cbd:
        phases[:, ::3][labels[:, ::3] == 0] = 1
    rng = np.random.default_rng(seed)
    grey = (40 + 80 * phases + rng.normal(0, 8, shape)).clip(0, 255).astype(np.uint8)
    for label, array in ((None, grey), ("phases", phases), ("particles", labels)):
        create_volume(path, shape=shape, dtype=array.dtype, spacing=SPACING, label=label)
        write_box(path, (0, 0, 0), array, label)
        for tasks in pyramid_tasks(path, label):
            Execution().run("levels", tasks)
    levels = PhaseLevels(pore=40.0, cbd=120.0 if cbd else None, active=200.0)
    warnings = ("no current collector: it was too dark",)
    pore, binder, active = (float((phases == code).mean()) for code in range(3))
    shares = PhaseShares(pore=pore, cbd=binder, active=active)
    fit = PhaseFit(levels=levels, shares=shares, percentiles=(20.0, 220.0), noise=8.0, blur=1.2, warnings=warnings)
    update_attributes(path, fit.record(), "phases")
    return labels


def columns_of(labels: np.ndarray, field: str, condition: str, detached: float) -> dict[str, np.ndarray]:
    """Columns of the particles in a label volume."""
    found = np.unique(labels)[1:]
    places = [np.argwhere(labels == label) for label in found]
    volume = np.array([len(place) for place in places]) * np.prod(SPACING)
    count = len(found)
    detachment = np.clip(detached + 0.1 * np.sin(np.arange(count)), 0, 1)
    return {
        "label": found.astype(np.uint32),
        "field": np.full(count, field),
        "sample": np.full(count, f"cell {condition}"),
        "condition": np.full(count, condition),
        "volume": volume,
        "equivalent_diameter": np.cbrt(6 * volume / np.pi),
        "centroid": np.array([place.mean(axis=0) * SPACING for place in places]).reshape(count, 3),
        "detachment": detachment,
        "detachment_std": np.full(count, 0.02),
        "resistance_mean": detachment**2,
        "resistance_std": detachment,
        "relative_intensity": np.full(count, 1.0) + 0.01 * np.arange(count),
        "depth": np.arange(count, dtype=float),
        "fully_detached": np.arange(count) == 0,
        "touches_border": np.zeros(count, bool),
    }


def joined_table(tables: list[dict[str, np.ndarray]]) -> xr.Dataset:
    """Particle table of several fields."""
    return particle_table({key: np.concatenate([table[key] for table in tables]) for key in tables[0]})


def judged_answers(field: str) -> Answers:
    """Nine right particles and a merged one; 19 found in two slices and one missed; and a stale answer."""
    particles = [
        ParticleQuestion(
            field=field, label=label, place=(0.0, 0.0, 0.0), diameter=1.0, particles="now",
            verdict="merged" if label == 10 else "right",
        )
        for label in range(1, 11)
    ]  # fmt: skip
    slices = [
        SliceQuestion(field=field, index=index, z=0.0, outlines=10, particles="now", false=0, missed=missed)
        for index, missed in ((3, 0), (5, 0))
    ]
    fewer = replace(slices[1], outlines=9, missed=1)
    return Answers((*particles, slices[0], fewer, replace(particles[0], particles="before")), {field: "now"})


@dataclass(frozen=True)
class Written:
    """A report with what it was written from."""

    page: Path
    particles: xr.Dataset
    results: xr.Dataset
    fields: dict[str, Path]


def write_example(root: Path) -> Written:
    """Report of a study of two conditions with two fields each, one of them without any particle."""
    tables, fields, samples = [], {}, []
    for condition, detached, word in (("0.1C", 0.3, "slow"), ("<1C> & more", 0.6, "fast")):
        names = [f"{word}-{index}" for index in range(2)]
        for name in names:
            fields[name] = root / f"{name}.zarr"
            labels = make_field(fields[name], count=0 if name == "fast-1" else 7, seed=len(fields))
            tables.append(columns_of(labels, name, condition, detached))
        own = tuple(Field(path=fields[name], name=name) for name in names)
        samples.append(Sample(name=f"cell {condition}", fields=own, condition=condition))
    particles = joined_table(tables)
    results = analyze_particles(particles, options=FEW)
    study = Study(study="Slow & fast", output=root / "results", samples=tuple(samples))
    provenance = Provenance(study=study, seconds={"ingest": 1.5})
    options = ReportOptions(gallery=1, pictured_fields=2)
    page = write_report(root / "report", particles, results, fields, provenance=provenance, options=options)
    return Written(page, particles, results, fields)
