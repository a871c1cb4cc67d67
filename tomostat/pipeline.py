"""The stages in order: what is finished is kept, what is stale is made anew, fields run side by side."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import xarray as xr

from tomostat.analyze import analyze_particles, open_analysis, write_analysis
from tomostat.detect import check_detector, detect_instances
from tomostat.ingest import ingest_volume, probe
from tomostat.manifest import Layout, Manifest, check_output, fingerprint, stage_key
from tomostat.measure import measure_particles, read_contacts, write_contacts
from tomostat.measure.overlap import mark_repeats, weigh_overlaps
from tomostat.measure.table import concatenate_particles, open_particles, write_particles
from tomostat.options import IngestOptions, as_dict
from tomostat.phases import segment_phases
from tomostat.report import write_report
from tomostat.runner import Progress
from tomostat.stitch import (
    Edit,
    read_edits,
    stitch_particles,
)
from tomostat.study import STAGE_OPTIONS, Field, Study, load_study, save_study

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

STAGES = tuple(STAGE_OPTIONS)
FIELD_STAGES = ("ingest", "phases", "detect", "stitch", "measure")
"""Stages that work on one field; the others work on the table of all."""
ALL = "all"
"""Stands for all fields in the manifest."""


@dataclass(frozen=True)
class Job:
    """What the stages of one run share."""

    study: Study
    layout: Layout
    manifest: Manifest
    client: Client | None
    progress: Progress | None

    @classmethod
    def of(cls, study: Study, client: Client | None, progress: Progress | None) -> Job:
        """Work on a study in its output folder; refused where that is another study's."""
        layout = Layout(study.output)
        return cls(study, layout, Manifest(layout, study.study), client, progress)


def run(
    study: Study | str | Path,
    *,
    stages: Sequence[str] = STAGES,
    client: Client | None = None,
    progress: Progress | None = None,
) -> Layout:
    """Run a study, or some stages of it.

    Parameters
    ----------
    study
        A study, or the path of a study file.
    stages
        Stages to run. What is finished with the same options and inputs is not run again.
    client
        Where to run; threads of this process when not given.
    progress
        Called as ``progress(what, done, total)``.

    Returns
    -------
    Layout
        Paths of everything that was written.

    Raises
    ------
    ValueError, FileNotFoundError, PermissionError
        When the study or an input is off, before work starts; or when a stage is asked for whose input is missing.
    """
    study = study if isinstance(study, Study) else load_study(study)
    unknown = set(stages) - set(STAGES)
    if unknown:
        raise ValueError(f"stages has {sorted(unknown)[0]!r}; expected some of {', '.join(STAGES)}")
    check_inputs(study, stages)
    job = Job.of(study, client, progress)
    save_study(study, job.layout.study)
    wanted = [stage for stage in FIELD_STAGES if stage in stages]
    if wanted:
        _run_fields(job, wanted)
    if "measure" in stages:
        _collect(job)
    if "analyze" in stages:
        _analyze(job)
    if "report" in stages:
        _report(job)
    return job.layout


def check_inputs(study: Study, stages: Sequence[str] = STAGES) -> None:
    """Refuse what can be seen to fail before any work is done, or a cluster is started.

    Raises
    ------
    ValueError, FileNotFoundError
        When a source, its voxel size, or the detector is off, or the output folder is another study's.
    """
    if "ingest" in stages:
        for field in study.fields:
            probe(field.path, spacing=field.spacing, options=cast(IngestOptions, study.options["ingest"]))
    if "detect" in stages:
        check_detector(study.options["detect"])
    check_output(Layout(study.output), study.study)


def _run_fields(job: Job, stages: Sequence[str]) -> None:
    """Run the stages of all fields; with a cluster, several fields side by side."""
    abreast = 1 if job.client is None else max(1, sum(job.client.nthreads().values()))
    with ThreadPoolExecutor(min(abreast, len(job.study.fields))) as pool:
        runs = [pool.submit(_run_field, job, field, stages) for field in job.study.fields]
        try:
            for done in runs:
                done.result()
        finally:
            for waiting in runs:
                waiting.cancel()


def _run_field(job: Job, field: Field, stages: Sequence[str]) -> None:
    for stage in stages:
        work = _field_work(job, field, stage)
        _once(job, field.name, stage, upstream_of(job, field, stage), work)


def upstream_of(job: Job, field: Field, stage: str) -> list[Any]:
    """What a stage of a field depends on besides its own options."""
    if stage == "ingest":
        return [fingerprint(field.path), field.spacing, field.density_scale, field.density_offset]
    before = FIELD_STAGES[FIELD_STAGES.index(stage) - 1]
    key = job.manifest.key(field.name, before)
    if key is None:
        raise ValueError(f"{before} of field {field.name!r} is not finished; run `tomostat {before} {job.layout.root}`")
    upstream: list[Any] = [key]
    if stage == "detect":
        upstream.append(check_detector(job.study.options["detect"]))
    if stage == "stitch":
        upstream += [vars(edit) for edit in known_edits(job.layout, field.name)]
    if stage == "measure":
        sample = job.study.sample_of(field)
        upstream += [sample.name, sample.condition]
    return upstream


def _field_work(job: Job, field: Field, stage: str) -> Callable[[Path], None]:
    """A stage of a field as a function of its folder of markers."""
    layout, name = job.layout, field.name
    volume = layout.volume(name)
    options: Any = job.study.options[stage]

    report = named(name, job.progress)

    def work(markers: Path) -> None:
        common: dict[str, Any] = {
            "options": options, "markers": markers, "client": job.client, "progress": report
        }  # fmt: skip
        if stage == "ingest":
            density = {"density_scale": field.density_scale, "density_offset": field.density_offset}
            attributes = {key: value for key, value in density.items() if value is not None}
            ingest_volume(field.path, volume, spacing=field.spacing, attributes=attributes, **common)
        elif stage == "phases":
            segment_phases(volume, **common)
        elif stage == "detect":
            detect_instances(volume, layout.instances(name), **common)
        elif stage == "stitch":
            stitch_particles(
                volume, layout.instances(name), layout.graph(name), edits=known_edits(layout, name), **common
            )
        else:
            sample = job.study.sample_of(field)
            table = measure_particles(
                volume, field=name, sample=sample.name, condition=sample.condition,
                contacts=layout.field_contacts(name), **common,
            )  # fmt: skip
            write_particles(layout.table(name), table)

    return work


def named(name: str, progress: Progress | None) -> Progress | None:
    """Progress that tells which field it is about."""
    return progress and (lambda label, done, total: progress(f"{name} {label}", done, total))


def _once(job: Job, scope: str, stage: str, upstream: list[Any], work: Callable[[Path], None]) -> None:
    """Run a stage unless it is finished with the same options and inputs."""
    options = as_dict(job.study.options[stage]) if stage in job.study.options else {}
    key = stage_key(stage, options, upstream)
    if job.manifest.key(scope, stage) == key:
        logger.info("%s of %s is finished already", stage, scope)
        return
    start = time.perf_counter()
    work(job.manifest.begin(scope, stage, key, options))
    job.manifest.finish(scope, stage, time.perf_counter() - start)


def known_edits(layout: Layout, field: str) -> tuple[Edit, ...]:
    """Corrections by hand that hold for a field: they survive a new run."""
    path = layout.edits(field)
    return read_edits(path) if path.exists() else ()


def _collect(job: Job) -> None:
    """Join the tables of all fields; particles that several fields of a sample see count in one of them."""
    offsets = {field.name: field.offset for field in job.study.fields if field.offset is not None}

    def work(markers: Path) -> None:
        tables = [open_particles(job.layout.table(field.name)) for field in job.study.fields]
        joined = concatenate_particles(weigh_overlaps(mark_repeats(tables, offsets), offsets))
        write_particles(job.layout.particles, joined, copies=True)
        contacts = [read_contacts(job.layout.field_contacts(field.name)) for field in job.study.fields]
        write_contacts(job.layout.contacts, contacts)

    keys = [[field.name, _finished(job, field.name, "measure"), field.offset] for field in job.study.fields]
    _once(job, ALL, "table", keys, work)


def _analyze(job: Job) -> None:
    def work(markers: Path) -> None:
        particles = open_particles(job.layout.particles)
        options: Any = job.study.options["analyze"]
        write_analysis(job.layout.analysis, analyze_particles(particles, options=options))

    _once(job, ALL, "analyze", [_finished(job, ALL, "table")], work)


def _report(job: Job) -> None:
    def work(markers: Path) -> None:
        particles = open_particles(job.layout.particles)
        results: xr.Dataset = open_analysis(job.layout.analysis)
        fields = {field.name: job.layout.volume(field.name) for field in job.study.fields}
        options: Any = job.study.options["report"]
        provenance = {"study": job.study, "seconds": job.manifest.seconds()}
        write_report(job.layout.report, particles, results, fields, options=options, provenance=provenance)

    _once(job, ALL, "report", [_finished(job, ALL, "analyze")], work)


def _finished(job: Job, scope: str, stage: str) -> str:
    key = job.manifest.key(scope, stage)
    if key is None:
        command = "measure" if stage == "table" else stage
        raise ValueError(f"{command} is not finished; run `tomostat {command} {job.layout.root}`")
    return key
