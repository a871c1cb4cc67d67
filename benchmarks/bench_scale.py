"""What large studies cost beside the kernels: the time per task, markers, the particle table, tasks of a large field.

``python -m benchmarks.bench_scale [runner] [particles] [field]`` prints what is required beside what is measured;
docs/scaling.md draws the conclusions.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import numpy as np
import xarray as xr
from distributed import Client, LocalCluster

from benchmarks.bench_pipeline import HELD_OUT, SMALL, electrode, new_folder, run
from benchmarks.report import Result, print_tables
from tomostat.cluster import capacities_of
from tomostat.costs import read_costs
from tomostat.datasets import open_particles
from tomostat.execution import Execution
from tomostat.markers import open_markers, read_markers
from tomostat.measure.collect import collect_particles
from tomostat.measure.contact_table import read_contacts, write_contacts
from tomostat.measure.particles import measure_particles
from tomostat.measure.shape.moments import FixedPoint
from tomostat.measure.table import write_particles
from tomostat.measure.tasks import MeasuredParticle, sums_tasks
from tomostat.plan import plan_study
from tomostat.study import Study, study_of_volume
from tomostat.volume import create_volume, describe, pyramid_tasks

TASKS = 100_000
THREADS = 50
"""Threads of each of two workers: enough tasks are under way for the head process to be what limits them."""
WORKERS = 1000
PARTICLES = 100_000
FIELDS = 10
"""Fields that the particles are in."""
PER_MARKER = 20
"""Particles of a task of measuring, of which the marker keeps the values."""
LARGE = (2048, 2048, 2048)
PILOT = dataclasses.replace(HELD_OUT, shape=(128, 512, 512))
"""Eight shards, of whose run the tasks of the large field follow."""


def nothing(number: int) -> None:
    """A task that does nothing."""


def runner(count: int = TASKS) -> Iterator[Result]:
    """Tasks that do nothing, through the same `Execution.run` as all stages, and their markers."""
    folder = new_folder()
    with (
        LocalCluster(n_workers=2, threads_per_worker=THREADS, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        execution = Execution(client=client, markers=folder)
        execution.run("first", {"0": dask.delayed(nothing)(0)})
        start, used = time.perf_counter(), time.process_time()
        task = dask.delayed(nothing, pure=False)
        tasks = {f"{number:06d}": task(number) for number in range(count)}
        built = time.perf_counter()
        execution.run("all", tasks)
        end, of_head = time.perf_counter(), time.process_time() - used
        marked = execution.marker_file("all")
    yield Result(f"{count} tasks: building them", built - start, unit="s")
    per_task = of_head / count
    yield Result("time per task, workers on the same cores", 1e3 * (end - start) / count, unit="ms")
    yield Result("processor time of the head process per task", 1e3 * per_task, unit="ms")
    yield Result(f"tasks that keep {WORKERS} workers busy take at least", WORKERS * per_task, unit="s")
    start = time.perf_counter()
    found = sum(1 for _ in read_markers(marked))
    yield Result("their markers read back", time.perf_counter() - start, 5 * count / TASKS, "<=", "s")
    yield Result("markers", found, count, "==")


def particles(count: int = PARTICLES) -> Iterator[Result]:
    """Values of particles read from the markers of their tasks, and the tables of all fields joined into one."""
    layout = run(electrode(SMALL), last="stitch")[0]
    measured, contacts = new_folder(), new_folder()
    table = measure_particles(layout.volume("electrode"), contacts=contacts / "one.parquet")
    yield from _values(table, count)
    tables, pairs, offsets = [], [], {}
    each = count // FIELDS
    for number in range(FIELDS):
        field = f"field-{number:02d}"
        tables.append(measured / f"{field}.zarr")
        pairs.append(contacts / f"{field}.parquet")
        copies = -(-each // table.sizes["particle"])
        write_particles(tables[-1], _many(table, each, field, number))
        write_contacts(pairs[-1], [read_contacts(contacts / "one.parquet")] * copies)
        offsets[field] = (0.0, 0.0, 1e3 * number)
    start = time.perf_counter()
    collect_particles(tables, pairs, measured / "all.zarr", contacts / "all.parquet", offsets=offsets)
    yield Result(f"{count} particles of {FIELDS} fields collected", time.perf_counter() - start, 60, "<=", "s")
    yield Result("rows of the table", open_particles(measured / "all.zarr").sizes["particle"], count, "==")


def _many(table: xr.Dataset, count: int, field: str, seed: int) -> xr.Dataset:
    """A table of so many particles at random places: the rows of another, again and again."""
    rows = np.arange(count) % table.sizes["particle"]
    tall = table.isel(particle=rows)
    places = np.random.default_rng(seed).uniform(0, 500, (count, 3))
    return tall.assign(
        label=tall["label"].copy(data=np.arange(1, count + 1)),
        field=tall["field"].copy(data=np.full(count, field)),
        centroid=tall["centroid"].copy(data=places),
    )


def _values(table: xr.Dataset, count: int) -> Iterator[Result]:
    """Markers of tasks that measured particles, read back."""
    file = new_folder() / "particles.jsonl"
    one = table.isel(particle=0)
    values = {str(name): np.asarray(column.values).tolist() for name, column in one.data_vars.items()}
    record = MeasuredParticle(1, values, []).record()
    with open_markers(file) as mark:
        for number in range(count // PER_MARKER):
            mark(f"{number:06d}", [record] * PER_MARKER)
    start = time.perf_counter()
    found = sum(1 for _, part in read_markers(file) for one in part if MeasuredParticle.parse(one))
    yield Result(f"values of {found} particles read from markers", time.perf_counter() - start, unit="s")


def field() -> Iterator[Result]:
    """Tasks of a large field, by a run of a small one, and the time to build those of one pass over its blocks."""
    layout = run(electrode(PILOT))[0]
    study = _large_study(new_folder())
    plan = plan_study(study, read_costs([layout.root]), capacities_of("local"))
    volume = study.output.with_name("large.zarr")
    start = time.perf_counter()
    built = len(sums_tasks(volume, FixedPoint.of_range(0, 1), describe(volume).shards))
    built += sum(len(tasks) for tasks in pyramid_tasks(volume, "particles"))
    seconds = time.perf_counter() - start
    count = sum(stage.tasks for stage in plan.stages)
    yield Result(f"{' x '.join(map(str, LARGE))}: tasks of all stages", count, 20_000, "<=")
    yield Result("building them", seconds * count / built, 10, "<=", "s")
    yield Result("mean time of a task", 3600 * plan.hours("CPU") / count, unit="s")
    yield Result("hours of a processor, all stages", plan.hours("CPU"), unit="h")


def _large_study(folder: Path) -> Study:
    """A study of one large volume without a voxel in it."""
    volume = folder / "large.zarr"
    create_volume(volume, shape=LARGE, dtype="uint8", spacing=(0.1, 0.1, 0.1))
    create_volume(volume, shape=LARGE, dtype="uint32", spacing=(0.1, 0.1, 0.1), label="particles")
    return study_of_volume(volume, folder / "results")


TABLES = {"runner": runner, "particles": particles, "field": field}


def main() -> None:
    """Print the tables."""
    print_tables(TABLES, __doc__)


if __name__ == "__main__":
    main()
