"""What `tomostat plan` says beside what the run that follows takes.

``python -m benchmarks.bench_plan`` runs a pilot, plans a larger study by its log, and runs that study, for three
studies of simulated electrodes on two workers; run `tomostat compile` before.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Result, print_results
from tomostat import pipeline
from tomostat.cluster import capacities_of, open_cluster
from tomostat.costs import read_costs
from tomostat.detect.options import DetectOptions
from tomostat.execution import Execution
from tomostat.phantom import PhantomOptions, simulate_volume
from tomostat.plan import plan_study
from tomostat.study import Field, Sample, Study
from tomostat.workers import CPU

WORKERS = 2


@dataclass(frozen=True, kw_only=True)
class Case:
    """A study and its pilot: shapes of their fields in voxels (z, y, x), number of fields, and detector of both."""

    pilot: tuple[int, int, int]
    shape: tuple[int, int, int]
    fields: int = 1
    detector: str = "maskrcnn"


CASES = {
    "192 x 320 x 320 by 96 x 256 x 256, network": Case(pilot=(96, 256, 256), shape=(192, 320, 320)),
    "three fields by one of them, network": Case(pilot=(96, 256, 256), shape=(96, 256, 256), fields=3),
    "256 x 256 x 256 by 128 x 192 x 192, watershed": Case(
        pilot=(128, 192, 192), shape=(256, 256, 256), detector="watershed"
    ),
}
"""Studies that are planned and run, by name."""

ASKED = 0.25
"""Share of what was taken by which a plan may be off."""


def study(folder: Path, shape: tuple[int, int, int], fields: int, detector: str, seed: int) -> Study:
    """A study of simulated electrodes."""
    paths = [
        simulate_volume(folder / f"field-{seed + index}.zarr", PhantomOptions(shape=shape, seed=seed + index))
        for index in range(fields)
    ]
    samples = (Sample(name="electrode", fields=tuple(Field(path=path) for path in paths)),)
    whole = Study(study="planned", output=folder / f"results-{seed}", samples=samples)
    return whole.with_options(detect=DetectOptions(detector=detector))


def seconds_of(work: Study) -> float:
    """Run a study, from the moment when the workers are there."""
    with open_cluster(workers=WORKERS) as client:
        start = time.perf_counter()
        pipeline.run(work, execution=Execution(client=client))
        return time.perf_counter() - start


def planned_and_taken(name: str, case: Case) -> Iterator[Result]:
    """Hours, time, memory and disk of a study."""
    with tempfile.TemporaryDirectory(prefix="tomostat-bench-") as scratch:
        pilot = study(Path(scratch), case.pilot, 1, case.detector, seed=888_001)
        whole = study(Path(scratch), case.shape, case.fields, case.detector, seed=888_101)
        seconds_of(pilot)
        plan = plan_study(whole, read_costs([pilot.output]), capacities_of("local", WORKERS))
        seconds = seconds_of(whole)
        took = read_costs([whole.output])
    stages = took.stages.values()

    def pair(what: str, planned: float, taken: float, unit: str, required: float | None) -> Iterator[Result]:
        yield Result(f"{name}: {what}, planned", planned, unit=unit)
        yield Result(f"{name}: {what}, taken", taken, unit=unit)
        yield Result(f"{name}: {what}, off by", abs(planned / taken - 1), required, "<=")

    yield from pair("seconds of processors", 3600 * plan.hours(CPU), sum(one.cpu_seconds for one in stages), "s", None)
    yield from pair("time", plan.wall_seconds, seconds, "s", ASKED)
    yield from pair(
        "memory of a worker",
        max(one.peak_memory for one in plan.stages) / 2**30,
        max(one.peak_memory for one in stages) / 2**30,
        "GiB",
        ASKED,
    )
    yield from pair("disk", plan.disk / 2**20, (took.disk + took.report) / 2**20, "MiB", None)


def main() -> None:
    """Print the table."""
    print_results("planned and taken", [one for name, case in CASES.items() for one in planned_and_taken(name, case)])


if __name__ == "__main__":
    main()
