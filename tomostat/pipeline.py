"""The stages in order: what is finished is kept, what is stale is made anew, fields run side by side."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import xarray as xr

from tomostat.analyze import analyze_particles, open_analysis, write_analysis
from tomostat.detect import check_detector, detect_instances
from tomostat.ingest import ingest_volume, probe
from tomostat.manifest import Layout, Manifest, check_output, fingerprint, stage_key
from tomostat.measure import measure_particles, read_contacts, write_contacts, write_meshes
from tomostat.measure.overlap import mark_repeats
from tomostat.measure.table import concatenate_particles, open_particles, write_particles
from tomostat.options import IngestOptions, MeasureOptions, PhantomOptions, PhasesOptions, StageOptions, as_dict
from tomostat.phantom import simulate_volume
from tomostat.phases import segment_phases
from tomostat.report import write_report
from tomostat.runner import Progress
from tomostat.stitch import (
    Edit,
    Problem,
    check_particles,
    edit_particles,
    open_graph,
    read_edits,
    stitch_particles,
    write_edits,
)
from tomostat.stitch.graph import check_edits
from tomostat.study import STAGE_OPTIONS, Field, Sample, Study, load_study, save_study

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

STAGES = tuple(STAGE_OPTIONS)
FIELD_STAGES = ("ingest", "phases", "detect", "stitch", "measure")
"""Stages that work on one field; the others work on the table of all."""
ALL = "all"
"""Stands for all fields in the manifest."""


@dataclass(frozen=True)
class _Run:
    """What the stages of one run share."""

    study: Study
    layout: Layout
    manifest: Manifest
    client: Client | None
    progress: Progress | None


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
    layout = Layout(study.output)
    job = _Run(study, layout, Manifest(layout, study.study), client, progress)
    save_study(study, layout.study)
    wanted = [stage for stage in FIELD_STAGES if stage in stages]
    if wanted:
        _run_fields(job, wanted)
    if "measure" in stages:
        _collect(job)
    if "analyze" in stages:
        _analyze(job)
    if "report" in stages:
        _report(job)
    return layout


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


def _run_fields(job: _Run, stages: Sequence[str]) -> None:
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


def _run_field(job: _Run, field: Field, stages: Sequence[str]) -> None:
    for stage in stages:
        work = _field_work(job, field, stage)
        _once(job, field.name, stage, _upstream(job, field, stage), work)


def _upstream(job: _Run, field: Field, stage: str) -> list[Any]:
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


def _field_work(job: _Run, field: Field, stage: str) -> Callable[[Path], None]:
    """A stage of a field as a function of its folder of markers."""
    layout, name = job.layout, field.name
    volume = layout.volume(name)
    options: Any = job.study.options[stage]

    report = _named(name, job.progress)

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


def _named(name: str, progress: Progress | None) -> Progress | None:
    """Progress that tells which field it is about."""
    return progress and (lambda label, done, total: progress(f"{name} {label}", done, total))


def _once(job: _Run, scope: str, stage: str, upstream: list[Any], work: Callable[[Path], None]) -> None:
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


def edit_field(
    study: Study, field: str, edits: Iterable[Edit], *, client: Client | None = None, progress: Progress | None = None
) -> Layout:
    """Correct the particles of a stitched field by hand; what comes after `stitch` is then made anew by `run`.

    Parameters
    ----------
    study
        The study, with the options that it was stitched with.
    field
        Name of the field.
    edits
        All corrections that shall hold; they replace earlier ones and are kept in ``edits/FIELD.json``.
    client, progress
        As for `run`.

    Returns
    -------
    Layout
        Paths of the study's output.

    Raises
    ------
    ValueError, FileNotFoundError
        When there is no such field, it is not stitched, or the edits cannot be; nothing is changed then.
    """
    layout, edits = Layout(study.output), tuple(edits)
    job = _Run(study, layout, Manifest(layout, study.study), client, progress)
    one = _known_field(study, field)
    before, options = job.manifest.entry(field, "stitch"), as_dict(study.options["stitch"])
    if before.get("key") != stage_key("stitch", options, _upstream(job, one, "stitch")):
        raise ValueError(f"field {field!r} is not stitched with these options; run `tomostat stitch {layout.root}`")
    graph = layout.graph(field)
    check_edits(edits, len(open_graph(graph).tracks))
    start, known = time.perf_counter(), known_edits(layout, field)
    write_edits(layout.edits(field), edits)
    try:
        job.manifest.begin(field, "stitch", stage_key("stitch", options, _upstream(job, one, "stitch")), options)
        edit_particles(
            layout.volume(field), layout.instances(field), graph, edits,
            client=client, progress=_named(field, progress),
        )  # fmt: skip
    except ValueError:  # refused before anything was painted
        write_edits(layout.edits(field), known)
        job.manifest.restore(field, "stitch", before)
        raise
    job.manifest.finish(field, "stitch", time.perf_counter() - start)
    return layout


def _known_field(study: Study, name: str) -> Field:
    for field in study.fields:
        if field.name == name:
            return field
    raise ValueError(f"there is no field {name!r}; fields are {', '.join(field.name for field in study.fields)}")


def mesh_field(
    study: Study,
    field: str,
    folder: Path,
    *,
    labels: Sequence[int] | None = None,
    client: Client | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write the surfaces of a measured field's particles as PLY files.

    Parameters
    ----------
    study
        The study, with the options that it was measured with.
    field
        Name of the field.
    folder
        Where the files go, as ``FIELD-LABEL.ply``.
    labels
        Particles to write; all when not given.
    client, progress
        As for `run`.

    Returns
    -------
    list of Path
        The files; see `tomostat.measure.write_meshes`.

    Raises
    ------
    ValueError, FileNotFoundError
        When there is no such field or particle, the field is not measured as it is now, or has no maps.
    """
    layout = Layout(study.output)
    job = _Run(study, layout, Manifest(layout, study.study), client, progress)
    upstream, options = _upstream(job, _known_field(study, field), "measure"), as_dict(study.options["measure"])
    if job.manifest.key(field, "measure") != stage_key("measure", options, upstream):
        raise ValueError(f"field {field!r} is not measured as it is now; run `tomostat measure {layout.root}`")
    return write_meshes(
        layout.volume(field), open_particles(layout.table(field)), folder,
        labels=labels, client=client, progress=_named(field, progress),
    )  # fmt: skip


def check_study(
    study: Study, *, client: Client | None = None, progress: Progress | None = None
) -> dict[str, list[Problem]]:
    """Look for what should not be where blocks, tiles and stages meet, in every field.

    Returns
    -------
    dict
        Problems by field, empty lists where all is well; see `tomostat.stitch.check_particles`.

    Raises
    ------
    ValueError, FileNotFoundError
        When a field is not stitched.
    """
    layout = Layout(study.output)
    manifest = Manifest(layout, study.study)
    for field in study.fields:
        if manifest.key(field.name, "stitch") is None:
            raise ValueError(f"stitch of field {field.name!r} is not finished; run `tomostat stitch {layout.root}`")
    return {
        field.name: check_particles(
            layout.volume(field.name), layout.instances(field.name), layout.graph(field.name),
            client=client, progress=_named(field.name, progress),
        )
        for field in study.fields
    }  # fmt: skip


def _collect(job: _Run) -> None:
    """Join the tables of all fields; particles that several fields of a sample see are flagged in all but one."""
    offsets = {field.name: field.offset for field in job.study.fields if field.offset is not None}

    def work(markers: Path) -> None:
        tables = [open_particles(job.layout.table(field.name)) for field in job.study.fields]
        joined = concatenate_particles(mark_repeats(tables, offsets))
        write_particles(job.layout.particles, joined, copies=True)
        contacts = [read_contacts(job.layout.field_contacts(field.name)) for field in job.study.fields]
        write_contacts(job.layout.contacts, contacts)

    keys = [[field.name, _finished(job, field.name, "measure"), field.offset] for field in job.study.fields]
    _once(job, ALL, "table", keys, work)


def _analyze(job: _Run) -> None:
    def work(markers: Path) -> None:
        particles = open_particles(job.layout.particles)
        options: Any = job.study.options["analyze"]
        write_analysis(job.layout.analysis, analyze_particles(particles, options=options))

    _once(job, ALL, "analyze", [_finished(job, ALL, "table")], work)


def _report(job: _Run) -> None:
    def work(markers: Path) -> None:
        particles = open_particles(job.layout.particles)
        results: xr.Dataset = open_analysis(job.layout.analysis)
        fields = {field.name: job.layout.volume(field.name) for field in job.study.fields}
        options: Any = job.study.options["report"]
        provenance = {"study": job.study, "seconds": job.manifest.seconds()}
        write_report(job.layout.report, particles, results, fields, options=options, provenance=provenance)

    _once(job, ALL, "report", [_finished(job, ALL, "analyze")], work)


def _finished(job: _Run, scope: str, stage: str) -> str:
    key = job.manifest.key(scope, stage)
    if key is None:
        command = "measure" if stage == "table" else stage
        raise ValueError(f"{command} is not finished; run `tomostat {command} {job.layout.root}`")
    return key


def simulate_study(
    folder: str | Path,
    conditions: Mapping[str, float],
    *,
    fields: int = 4,
    options: PhantomOptions | None = None,
    client: Client | None = None,
    progress: Progress | None = None,
) -> Path:
    """Simulate the volumes of a study with known truth.

    Parameters
    ----------
    folder
        Where ``volumes/NAME.zarr`` and ``study.yaml`` are written; empty, or not there yet.
    conditions
        Mean detachment of the particles by condition.
    fields
        Fields of view per condition; each is an electrode of its own seed.
    options
        The electrode; seed and mean detachment vary.

    Returns
    -------
    Path
        The study file, for `run`.

    Raises
    ------
    ValueError
        When the folder is not empty, or there are no fields or conditions.
    """
    folder, options = Path(folder), options or PhantomOptions()
    if fields < 1 or not conditions:
        raise ValueError(f"fields is {fields}, conditions {dict(conditions)}; expected at least one of each")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not an empty folder; choose another")
    samples = []
    for number, (condition, mean) in enumerate(conditions.items()):
        members = []
        for index in range(fields):
            path = folder / "volumes" / f"{condition}-{index + 1}.zarr"
            seed = options.seed + number * fields + index
            electrode = dataclasses.replace(options, seed=seed, detachment_mean=mean)
            simulate_volume(path, electrode, client=client, progress=_named(path.stem, progress))
            members.append(Field(path=path))
        samples.append(Sample(name=f"cell-{condition}", condition=condition, fields=tuple(members)))
    known: dict[str, StageOptions] = {
        "phases": PhasesOptions(collector=options.collector > 0),
        "measure": MeasureOptions(depth_axis="zyx"[options.depth_axis]),  # type: ignore[arg-type]
    }
    study = Study(study=folder.resolve().name, output=folder / "results", samples=tuple(samples), options=known)
    save_study(study, folder / "study.yaml")
    return folder / "study.yaml"
