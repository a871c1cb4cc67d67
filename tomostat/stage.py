"""What a stage of the pipeline is. Every stage declares itself once, in the module ``stage`` of its own package.

The pipeline finds the declarations by looking through the packages, puts the stages in the order of what they read and
write, and knows nothing else of them.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import tomostat
from tomostat.options import StageOptions

if TYPE_CHECKING:
    from tomostat.execution import Execution
    from tomostat.layout import Layout
    from tomostat.study import Field, Study

Options = TypeVar("Options", bound=StageOptions)

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]
"""What a stage's key is made of."""

VolumeSize = tuple[tuple[int, int, int], tuple[float, float, float]]
"""Voxels (z, y, x) of a volume, and their size in micrometers."""


@dataclass(frozen=True)
class Work:
    """What a stage is to be done to.

    Attributes
    ----------
    study
        The study, with the options of every stage.
    layout
        Where outputs lie.
    execution
        Where tasks run and are marked.
    """

    study: Study
    layout: Layout
    execution: Execution


@dataclass(frozen=True)
class FieldWork(Work):
    """Work on one field of view."""

    field: Field


class Stage(ABC, Generic[Options]):
    """One arrow of the data's way: reads what stages before it wrote, and can be run, resumed and replaced alone.

    Attributes
    ----------
    name
        Name in study files and on the command line.
    help
        What it does, in one sentence.
    options
        Its class of options; `StageOptions` itself for a stage without any.
    version
        Raised when its results change, so that older results are made anew.
    reads, writes
        Names of what it needs and makes; they put the stages in order and tell what is stale.
    brings
        Worker resources that are wanted for its tasks alone: workers that are brought for them go when it is finished.
    small
        Voxels of a study up to which its tasks take less time than workers take to start.
    part_of
        Stage with which this one is always run; it then has no command and no options of its own.
    fixed_steps
        Steps that have as many tasks in a small study as in a large one.
    """

    name: ClassVar[str]
    help: ClassVar[str]
    options: type[Options]
    version: ClassVar[int]
    reads: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[str, ...]]
    brings: ClassVar[tuple[str, ...]] = ()
    small: ClassVar[int] = 0
    part_of: ClassVar[str | None] = None
    fixed_steps: ClassVar[tuple[str, ...]] = ()

    def options_of(self, study: Study) -> Options:
        """The study's options of this stage."""
        found = study.options[self.name] if self.part_of is None else self.options()
        if not isinstance(found, self.options):
            raise TypeError(f"options of {self.name} are {type(found).__name__}; expected {self.options.__name__}")
        return found

    def most_tasks(self, study: Study) -> float:
        """Tasks that it has at most, however large the study: infinitely many, unless it says otherwise."""
        return math.inf

    @abstractmethod
    def outputs(self, layout: Layout, scope: str) -> Sequence[Path]:
        """Files and folders that this stage writes, for a field or for the whole study (`tomostat.manifest.ALL`).

        They are compared with what the stage left before anything relies on them. A file that several stages write is
        that of the last.
        """

    def check(self, study: Study) -> None:
        """Refuse what can be seen to fail before any work is done.

        Raises
        ------
        ValueError, FileNotFoundError
            When an input or option is wrong.
        """

    def check_place(self, study: Study, execution: Execution) -> None:
        """Refuse what cannot be done where it is to run, before any work is done.

        Raises
        ------
        ValueError
            When no worker can do it.
        """


class FieldStage(Stage[Options]):
    """A stage that works on one field of view at a time."""

    def given(self, field: Field) -> bool:
        """Whether the field comes with what the stage would make, so that the stage is left out."""
        return False

    def check_volume(self, study: Study, field: Field, size: Callable[[], VolumeSize]) -> None:
        """Refuse a volume on which it cannot work, by its `size`, before any work is done.

        Raises
        ------
        ValueError
            With what is wrong with the volume, and what to do.
        """

    def depends(self, work: FieldWork) -> Sequence[Json]:
        """What the results depend on besides the options, the version and what the stage reads of others."""
        return []

    def warnings(self, work: FieldWork) -> Sequence[str]:
        """Sentences on finished results that a scientist should look at; terminal and report show them."""
        return []

    @abstractmethod
    def run(self, work: FieldWork) -> None:
        """Do the work; outputs appear whole or not at all."""


class StudyStage(Stage[Options]):
    """A stage that works on all fields of a study together."""

    def depends(self, work: Work) -> Sequence[Json]:
        """See `FieldStage.depends`."""
        return []

    def warnings(self, work: Work) -> Sequence[str]:
        """See `FieldStage.warnings`."""
        return []

    @abstractmethod
    def run(self, work: Work) -> None:
        """See `FieldStage.run`."""


AnyStage = FieldStage[StageOptions] | StudyStage[StageOptions]
"""A stage of either kind."""


@cache
def all_stages() -> tuple[AnyStage, ...]:
    """All stages in the order of the data's way: a stage comes after those whose output it reads."""
    found = {stage.name: stage for stage in _declared()}
    writer = {output: stage.name for stage in found.values() for output in stage.writes}
    needs = {name: sorted({writer[output] for output in stage.reads}) for name, stage in sorted(found.items())}
    return tuple(found[name] for name in TopologicalSorter(needs).static_order())


def _declared() -> Iterator[AnyStage]:
    """Instances of stages in the modules ``tomostat.PACKAGE.stage``."""
    for package in pkgutil.iter_modules(tomostat.__path__, "tomostat."):
        if package.ispkg and find_spec(f"{package.name}.stage"):
            module = importlib.import_module(f"{package.name}.stage")
            yield from (value for value in vars(module).values() if isinstance(value, FieldStage | StudyStage))


def stage_named(name: str) -> AnyStage:
    """A stage by its name.

    Raises
    ------
    ValueError
        When no stage has that name.
    """
    for stage in all_stages():
        if stage.name == name:
            return stage
    raise ValueError(f"there is no stage {name!r}; stages are {', '.join(stage.name for stage in all_stages())}")


def field_stage(name: str) -> FieldStage[StageOptions]:
    """A stage that works on fields, by its name.

    Raises
    ------
    ValueError
        When no stage has that name.
    """
    stage = stage_named(name)
    if not isinstance(stage, FieldStage):
        raise ValueError(f"{name} works on all fields together, not on one")
    return stage


def after(stage: Stage[StageOptions]) -> list[AnyStage]:
    """The stages whose results depend on a stage, in order."""
    made, found = set(stage.writes), []
    for other in all_stages():
        if made & set(other.reads):
            made |= set(other.writes)
            found.append(other)
    return found


def before(stage: Stage[StageOptions]) -> list[AnyStage]:
    """The stages whose output a stage reads, in order."""
    return [other for other in all_stages() if set(other.writes) & set(stage.reads)]
