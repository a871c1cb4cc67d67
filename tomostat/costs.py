"""What earlier runs took, by stage, from the logs that they left in their output folders."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dask.system import CPU_COUNT

from tomostat.blocks import grid_shape
from tomostat.events import StageEnded, StageStarted, TaskEnded
from tomostat.layout import Layout
from tomostat.manifest import ALL, Content
from tomostat.runlog import Logged, read_run_log
from tomostat.stage import all_stages, stage_named
from tomostat.volume import SHARD, describe, storage_layout
from tomostat.workers import CPU

Scope = tuple[str, str]
"""A stage, and the field that it works on; an empty one for the whole study."""

Span = tuple[float, float]
"""Start and end, in seconds since 1970."""


@dataclass(frozen=True)
class Size:
    """Size of one or more volumes.

    Attributes
    ----------
    voxels, shards
        Voxels, and shards of the usual size, `tomostat.volume.SHARD`, that hold them.
    blocks
        Shards that they are stored in, which are larger in large volumes: blocks of work.
    """

    voxels: int = 0
    shards: int = 0
    blocks: int = 0

    @classmethod
    def of(cls, shape: Sequence[int]) -> Size:
        """Size of a volume with so many voxels (z, y, x)."""
        shards, blocks = (math.prod(grid_shape(shape, size)) for size in (SHARD, storage_layout(shape)[1]))
        return cls(math.prod(shape), shards, blocks)

    def __add__(self, other: Size) -> Size:
        return Size(self.voxels + other.voxels, self.shards + other.shards, self.blocks + other.blocks)


@dataclass(kw_only=True)
class TaskCost:
    """What some tasks took.

    Attributes
    ----------
    tasks
        Their number.
    seconds, cpu_seconds
        Their time, and their time on a processor.
    bytes_read, bytes_written
        Bytes that they read and wrote.
    """

    tasks: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    bytes_read: int = 0
    bytes_written: int = 0

    def add(self, task: TaskEnded) -> None:
        """Count a task."""
        self.tasks += 1
        self.seconds += task.cost.seconds
        self.cpu_seconds += task.cost.cpu_seconds
        self.bytes_read += task.cost.bytes_read
        self.bytes_written += task.cost.bytes_written


@dataclass(kw_only=True)
class StageCost(TaskCost):
    """What a stage took, all fields and runs together.

    Attributes
    ----------
    scopes, size
        Fields, or studies, that it was run on, and their size.
    rounds
        Of fields that were run side by side, one after the other.
    blocks
        Places where it worked.
    fixed
        Tasks among them that are as many in any study, `Stage.fixed_steps`.
    working
        Wall time in which its tasks ran. Moments are shared with the tasks of other stages that ran then.
    idle
        Wall time in which it was under way and no task ran, shared likewise: work of the head process.
    workers
        Workers that had its tasks.
    peak_memory
        Largest memory of a worker in bytes. It depends on the block, not on the volume.
    resource
        Worker resource that the tasks asked for.
    """

    scopes: int = 0
    size: Size = Size()
    rounds: int = 0
    blocks: int = 0
    fixed: TaskCost = field(default_factory=TaskCost)
    working: float = 0.0
    idle: float = 0.0
    workers: int = 0
    peak_memory: int = 0
    resource: str = CPU

    @property
    def use(self) -> float:
        """Mean share of the workers that had a task while some had."""
        return min(1.0, self.seconds / (self.working * self.workers)) if self.working else 1.0

    def add(self, task: TaskEnded) -> None:
        """Count a task."""
        super().add(task)
        if task.step in stage_named(task.stage).fixed_steps:
            self.fixed.add(task)
        self.peak_memory = max(self.peak_memory, task.cost.peak_memory)
        self.resource = task.resource or self.resource


@dataclass(frozen=True)
class Costs:
    """What earlier runs took.

    Attributes
    ----------
    stages
        By name of the stage, in the order of the data's way.
    disk, size
        Bytes of the output folders but their reports, and size of the fields in them.
    report
        Bytes of the largest report, whose pictures are limited in number, however large the study is.
    largest
        Voxels of the largest field.
    options
        Options that the stages were run with, by name.
    """

    stages: Mapping[str, StageCost]
    disk: int
    size: Size
    report: int = 0
    largest: int = 0
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_costs(folders: Sequence[Path]) -> Costs:
    """Read from their logs what earlier runs took; every task as it was done last, whichever run did it.

    Parameters
    ----------
    folders
        Output folders.

    Raises
    ------
    ValueError
        When no run is logged there.
    """
    found: dict[str, StageCost] = {}
    options: dict[str, Mapping[str, Any]] = {}
    disk, report, largest, size = 0, 0, 0, Size()
    for layout in map(Layout, folders):
        if lines := list(read_run_log(layout.run_log)):
            sizes = _sizes(layout, lines)
            _add(found, [line for line in lines if line.event.field in sizes], sizes)
            options |= {name.rpartition("/")[2]: one.options for name, one in Content.read(layout.root).stages.items()}
            own = sum(map(_bytes_of, (layout.report, layout.markers(ALL, "report"))))
            disk, report = disk + _bytes_of(layout.root) - own, max(report, own)
            size += sizes.pop("")
            largest = max(largest, *(one.voxels for one in sizes.values()))
    if not size.voxels:
        raise ValueError(
            f"no earlier run is logged in {', '.join(map(str, folders))}; run one field of the study first, and name "
            "its output folder with --like"
        )
    order = [stage.name for stage in all_stages() if stage.name in found]
    return Costs({name: found[name] for name in order}, disk, size, report, largest, options)


def _bytes_of(folder: Path) -> int:
    """Bytes of all that lies in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*"))


def _sizes(layout: Layout, lines: Iterable[Logged]) -> dict[str, Size]:
    """Sizes of the fields of which something is logged, as far as they are there, and of all of them as ``""``."""
    paths = {name: layout.volume(name) for name in {line.event.field for line in lines} if name}
    sizes = {name: Size.of(describe(path).shape) for name, path in paths.items() if path.exists()}
    return {**sizes, "": sum(sizes.values(), Size())}


def _add(found: dict[str, StageCost], lines: Sequence[Logged], sizes: Mapping[str, Size]) -> None:
    """Add what is logged of one output folder."""
    ends = {_name_of(line.event): (line.time, line.event) for line in lines if isinstance(line.event, TaskEnded)}
    spans = _spans(lines)
    for stage, scope in spans:
        cost = found.setdefault(stage, StageCost())
        mine = [task for _, task in ends.values() if (task.stage, task.field) == (stage, scope)]
        for task in mine:
            cost.add(task)
        cost.scopes += 1
        cost.size += sizes[scope]
        cost.blocks += len({task.task for task in mine})
        cost.workers = max(cost.workers, len({task.worker for task in mine} - {""}) or CPU_COUNT)
    for stage, scopes in Counter(stage for stage, _ in spans).items():
        found[stage].rounds += rounds(scopes, found[stage].workers)
    for name, shares in _shares(ends.values(), spans).items():
        found[name].working += shares[0]
        found[name].idle += shares[1]


def _name_of(task: TaskEnded) -> tuple[str, str, str, str]:
    """What distinguishes a task from all others of a study."""
    return task.stage, task.field, task.step, task.task


def rounds(scopes: int, workers: int) -> int:
    """Rounds in which fields are worked on, as many side by side as there are workers."""
    return math.ceil(scopes / max(workers, 1))


def _spans(lines: Iterable[Logged]) -> dict[Scope, Span]:
    """When stages were under way last, of those that came to an end."""
    started: dict[Scope, float] = {}
    spans: dict[Scope, Span] = {}
    for line in lines:
        scope = line.event.stage, line.event.field
        if isinstance(line.event, StageEnded):
            if scope in started:
                spans[scope] = started[scope], line.time
        elif isinstance(line.event, StageStarted):
            started[scope] = line.time
    return spans


def _shares(ends: Iterable[tuple[float, TaskEnded]], spans: Mapping[Scope, Span]) -> dict[str, tuple[float, float]]:
    """Wall time of every stage with tasks and without: they add up to the time in which any stage was under way.

    Each moment is shared by the tasks that run then; where none runs, by the stages that are under way.
    """
    changes = [(span[edge], 1, scope[0], 1 - 2 * edge) for scope, span in spans.items() for edge in (0, 1)]
    for end, task in ends:
        changes += [(end - task.cost.seconds, 0, task.stage, 1), (end, 0, task.stage, -1)]
    now = (Counter[str](), Counter[str]())  # tasks that run, stages that are under way
    shares = {stage: [0.0, 0.0] for stage, _ in spans}
    last = 0.0
    for moment, what, stage, step in sorted(changes):
        idle = not now[0].total()
        total = now[idle].total() or 1
        for name, count in now[idle].items():
            shares[name][idle] += (moment - last) * count / total
        now[what][stage] += step
        last = moment
    return {stage: (working, idle) for stage, (working, idle) in shares.items()}
