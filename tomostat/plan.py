"""What a study will take, before it is run: from the sizes of its volumes and from what earlier runs took."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dask.utils import format_bytes

from tomostat.blocks import check_memory
from tomostat.costs import Costs, StageCost
from tomostat.ingest import open_source, probe
from tomostat.ingest.options import IngestOptions
from tomostat.options import as_dict
from tomostat.stage import AnyStage, FieldStage, stage_named
from tomostat.staleness import changed_options
from tomostat.study import Field, Study
from tomostat.workers import CPU, GPU, Place

LARGER = 2.0
"""Fields that are larger by this than those that were run may have larger blocks, which take more memory."""


@dataclass(frozen=True, kw_only=True)
class StagePlan:
    """What a stage will take for all fields of a study.

    Attributes
    ----------
    stage
        Its name.
    blocks, tasks, bytes_read, bytes_written
        As earlier runs had them, scaled to the voxels of the study.
    peak_memory
        Largest memory of a worker in bytes, as earlier runs had it.
    hours
        Hours of processors; of GPUs where `resource` says so.
    wall_seconds
        Time until it is finished, with all workers there.
    resource
        Worker resource that its tasks ask for.
    """

    stage: str
    blocks: int
    tasks: int
    bytes_read: int
    bytes_written: int
    peak_memory: int
    hours: float
    wall_seconds: float
    resource: str


@dataclass(frozen=True)
class Plan:
    """What a study will take.

    Attributes
    ----------
    stages
        In the order of the data's way.
    disk
        Bytes of the output folder.
    notes
        Sentences on what is not known.
    """

    stages: Sequence[StagePlan]
    disk: int
    notes: Sequence[str] = ()

    def hours(self, resource: str) -> float:
        """Hours of processors or GPUs."""
        return sum(stage.hours for stage in self.stages if stage.resource == resource)

    @property
    def wall_seconds(self) -> float:
        """Time until the study is finished, with all workers there."""
        return sum(stage.wall_seconds for stage in self.stages)


def study_voxels(study: Study) -> dict[str, int]:
    """Voxels of every field of a study, without reading them."""
    options = study.options["ingest"]
    known = options if isinstance(options, IngestOptions) else IngestOptions()
    return {field.name: _voxels(field, known) for field in study.fields}


def _voxels(field: Field, options: IngestOptions) -> int:
    """Voxels of a field; of its labels or phases where it has no grey values."""
    if field.path is not None:
        shape = probe(field.path, spacing=field.spacing, options=options, need_spacing=False).shape
    else:
        shape = open_source(field.labels or field.phases_image or "").shape
    return math.prod(map(int, shape))


def plan_study(study: Study, costs: Costs, places: Mapping[str, Place]) -> Plan:
    """Estimate what a study will take.

    Parameters
    ----------
    study
        The study.
    costs
        What earlier runs took.
    places
        Workers by the resource that tasks ask for.

    Raises
    ------
    ValueError
        When workers are too small for a block.
    """
    sizes = study_voxels(study)
    stages = []
    for name, cost in costs.stages.items():
        place = places.get(cost.resource, places[CPU])
        check_memory(cost.peak_memory, place.memory, name)
        stages.append(_plan_stage(stage_named(name), cost, sizes, place))
    return Plan(stages, round(costs.disk * sum(sizes.values())), list(_notes(study, costs, sizes)))


def _plan_stage(stage: AnyStage, cost: StageCost, sizes: Mapping[str, int], place: Place) -> StagePlan:
    """Scale the cost of a stage: what its tasks took by voxels, what the head process took besides by fields."""
    scale = sum(sizes.values()) / cost.voxels
    scopes = len(sizes) if isinstance(stage, FieldStage) else 1
    tasks, seconds = math.ceil(cost.tasks * scale), cost.seconds * scale
    at_a_time = max(min(place.slots * cost.use, tasks), 1)
    return StagePlan(
        stage=stage.name,
        blocks=math.ceil(cost.blocks * scale),
        tasks=tasks,
        bytes_read=round(cost.bytes_read * scale),
        bytes_written=round(cost.bytes_written * scale),
        peak_memory=cost.peak_memory,
        hours=(cost.cpu_seconds * scale if cost.resource == CPU else seconds) / 3600,
        wall_seconds=seconds / at_a_time + cost.idle * scopes / cost.scopes,
        resource=cost.resource,
    )


def _notes(study: Study, costs: Costs, sizes: Mapping[str, int]) -> Iterator[str]:
    """What makes the study another than those that were run."""
    for name in costs.stages:
        stage = stage_named(name)
        if changes := changed_options(costs.options.get(name, {}), as_dict(stage.options_of(study))):
            yield f"{name} took that with other options: {'; '.join(changes)}"
    if max(sizes.values()) > LARGER * costs.largest:
        yield "memory is that of smaller fields, and may be more"


def plan_table(plan: Plan) -> str:
    """A line for every stage, and the sums."""
    rows = [
        (
            stage.stage,
            f"{stage.blocks}",
            f"{stage.tasks}",
            *map(format_bytes, (stage.bytes_read, stage.bytes_written, stage.peak_memory)),
            *(f"{stage.hours:.2g}" if stage.resource == which else "-" for which in (CPU, GPU)),
            _clock(stage.wall_seconds),
        )
        for stage in plan.stages
    ]
    head = ("stage", "blocks", "tasks", "read", "written", "memory", "CPU hours", "GPU hours", "time")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in (head, *rows)]
    lines.insert(1, "-" * len(lines[0]))
    memory = max((stage.peak_memory for stage in plan.stages), default=0)
    lines.append(
        f"in all: {plan.hours(CPU):.3g} CPU hours, {plan.hours(GPU):.3g} GPU hours, {_clock(plan.wall_seconds)}, "
        f"{format_bytes(memory)} for each worker, {format_bytes(plan.disk)} of disk"
    )
    return "\n".join([*lines, *plan.notes])


def _clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
