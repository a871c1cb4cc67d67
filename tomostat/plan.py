"""What a study will take, before it is run: from the sizes of its volumes and from what earlier runs took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dask.utils import format_bytes

from tomostat.blocks import check_memory
from tomostat.costs import Costs, Size, StageCost, rounds
from tomostat.ingest import field_shape
from tomostat.ingest.stage import INGEST
from tomostat.options import as_dict
from tomostat.stage import FieldStage, stage_named
from tomostat.staleness import changed_options
from tomostat.study import Study
from tomostat.workers import CPU, GPU, Capacity

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
        As earlier runs had them, scaled to the size of the study.
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
class StudyPlan:
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


def plan_study(study: Study, costs: Costs, capacities: Mapping[str, Capacity]) -> StudyPlan:
    """Estimate what a study will take.

    Parameters
    ----------
    study
        The study.
    costs
        What earlier runs took.
    capacities
        Workers by the resource that tasks ask for.

    Raises
    ------
    ValueError
        When workers are too small for a block.
    """
    options = INGEST.options_of(study)
    sizes = [Size.of(field_shape(field, options)) for field in study.fields]
    size, stages = sum(sizes, Size()), []
    for name, cost in costs.stages.items():
        stage = stage_named(name)
        capacity = capacities.get(cost.resource, capacities[CPU])
        check_memory(cost.peak_memory, capacity.memory, name)
        scopes = len(sizes) if isinstance(stage, FieldStage) else 1
        stages.append(_plan_stage(name, cost, size, scopes, stage.most_tasks(study), capacity))
    larger = max(one.voxels for one in sizes) > LARGER * costs.largest
    notes = [*_notes_on_capacities(costs, capacities), *_notes_on_options(study, costs)]
    if larger:
        notes.append("memory is that of smaller fields, and may be more")
    return StudyPlan(stages, costs.report + round(costs.disk * size.voxels / costs.size.voxels), notes)


def _scale(size: Size, measured: Size) -> float:
    """What was measured at one size has to be multiplied by this at another.

    Where volumes are smaller than a shard, about half of what a task takes does not depend on how much smaller. A
    larger volume has shards that reach beyond its end; its voxels do not take more for that.
    """
    voxels, shards = size.voxels / measured.voxels, size.shards / measured.shards
    return (voxels + (min(voxels, shards) if voxels > 1 else shards)) / 2


def _plan_stage(
    stage: str, cost: StageCost, size: Size, scopes: int, most_tasks: float, capacity: Capacity
) -> StagePlan:
    """Scale the cost of a stage: what its tasks took by size, what the head process did besides by fields.

    While the head process works on one field, workers have tasks of others.
    """
    growth = size.blocks / cost.size.blocks
    growing = (cost.tasks - cost.fixed.tasks) * growth
    done = min(1.0, most_tasks / max(growing, 1))  # share of the tasks that there would be without a limit
    scale = _scale(size, cost.size) * done

    def scaled(name: str, factor: float = scale) -> float:
        fixed = getattr(cost.fixed, name)
        return fixed * scopes / cost.scopes + (getattr(cost, name) - fixed) * factor

    tasks, seconds = round(scaled("tasks", growth * done)), scaled("seconds")
    at_a_time = max(min(capacity.slots * cost.use, tasks), 1)
    idle = cost.idle * rounds(scopes, capacity.slots) / max(cost.rounds, 1)
    return StagePlan(
        stage=stage,
        blocks=round(cost.blocks * growth * done),
        tasks=tasks,
        bytes_read=round(scaled("bytes_read")),
        bytes_written=round(scaled("bytes_written")),
        peak_memory=cost.peak_memory,
        hours=(scaled("cpu_seconds") if cost.resource == CPU else seconds) / 3600,
        wall_seconds=seconds / at_a_time + idle,
        resource=cost.resource,
    )


def _notes_on_options(study: Study, costs: Costs) -> Iterator[str]:
    """Stages that were run with other options."""
    for name in costs.stages:
        noted = costs.options.get(name)
        if noted and (changes := changed_options(noted, as_dict(stage_named(name).options_of(study)))):
            yield f"{name} took that with other options: {'; '.join(changes)}"


def _notes_on_capacities(costs: Costs, capacities: Mapping[str, Capacity]) -> Iterator[str]:
    """Stages that were run on other workers than they will be."""
    for name, cost in costs.stages.items():
        if cost.resource not in capacities:
            yield f"{name} took that on workers with a {cost.resource}, which are not there: it will take longer"
        elif cost.resource == CPU and set(stage_named(name).brings) & set(capacities):
            yield f"{name} took that on a CPU, and will run on workers with a GPU: it will take less"


def plan_table(plan: StudyPlan) -> str:
    """A line for every stage, and the sums."""
    rows = [
        (
            stage.stage,
            f"{stage.blocks}",
            f"{stage.tasks}",
            *map(_bytes, (stage.bytes_read, stage.bytes_written, stage.peak_memory)),
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


def _bytes(size: int) -> str:
    """Bytes with a unit."""
    return format_bytes(size) if size else "-"


def _clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
