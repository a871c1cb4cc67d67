"""The stages in order: what is finished is kept, what is stale is made anew, fields run side by side."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from tomostat.events import INTERRUPTED, StageEnded, StageStarted
from tomostat.execution import Execution
from tomostat.layout import Layout
from tomostat.lock import folder_lock, refuse_used
from tomostat.manifest import ALL, Manifest, check_output, stage_key
from tomostat.messages import full_disk
from tomostat.options import StageOptions, as_dict
from tomostat.runlog import logged
from tomostat.stage import (
    AnyStage,
    FieldStage,
    FieldWork,
    Json,
    Stage,
    StudyStage,
    VolumeSize,
    Work,
    after,
    all_stages,
    before,
    stage_named,
)
from tomostat.staleness import find_stale, lines_of
from tomostat.study import Field, Study, load_study, save_study

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """One run of a study: the study, its output folder, what is finished there, and where tasks run."""

    study: Study
    layout: Layout
    manifest: Manifest
    execution: Execution

    @classmethod
    def of(cls, study: Study, execution: Execution | None = None) -> Run:
        """Look at a study in its output folder; refused where that is another study's."""
        layout = Layout(study.output)
        return cls(study, layout, Manifest(layout, study.study), execution or Execution())

    @classmethod
    @contextmanager
    def alone(cls, study: Study, execution: Execution | None = None) -> Iterator[Run]:
        """Work on a study in its output folder, which no other process may use meanwhile."""
        execution = execution or Execution()
        with folder_lock(study.output, execution.stop):
            running = cls.of(study, logged(execution, Layout(study.output).run_log))
            running.manifest.create()
            yield running

    def field_work(self, field: str, stage: FieldStage[StageOptions]) -> FieldWork:
        """Work of a stage on a field."""
        execution = self.execution.for_field(field, self.layout.markers(field, stage.name))
        return FieldWork(self.study, self.layout, execution, self.study.field(field))

    def study_work(self, stage: StudyStage[StageOptions]) -> Work:
        """Work of a stage on the whole study."""
        return Work(self.study, self.layout, self.execution.for_field("", self.layout.markers(ALL, stage.name)))

    def inputs(self, scope: str, stage: AnyStage) -> list[tuple[str, AnyStage]]:
        """Fields and stages whose results a stage reads."""
        return [(where, other) for other in before(stage) for where in self.scopes(other, scope)]

    def dependent(self, scope: str, stage: AnyStage) -> list[tuple[str, str]]:
        """Fields and names of the stages whose results depend on a stage."""
        return [(where, other.name) for other in after(stage) for where in self.scopes(other, scope)]

    def scopes(self, stage: AnyStage, scope: str = ALL) -> list[str]:
        """Where a stage is run for the sake of a field, unless it comes with the results; everywhere for the study."""
        if isinstance(stage, StudyStage):
            return [ALL]
        return [field.name for field in self.study.fields if scope in (ALL, field.name) and not stage.given(field)]

    def key(self, scope: str, stage: AnyStage) -> str:
        """Key of all that a stage's results depend on.

        Raises
        ------
        ValueError
            When a stage that it reads from is not finished.
        """
        if isinstance(stage, FieldStage):
            depends = stage.depends(self.field_work(scope, stage))
        else:
            depends = stage.depends(self.study_work(stage))
        read = [self._keys_of(scope, other) for other in before(stage)]
        options = as_dict(stage.options_of(self.study))
        return stage_key(stage.name, stage.version, options, [*chain.from_iterable(read), *depends])

    def _keys_of(self, scope: str, stage: AnyStage) -> list[Json]:
        """Keys of the results of a stage that are read: that of the field, or those of all fields by their names."""
        found = {where: self.finished(where, stage) for where in self.scopes(stage, scope)}
        if scope != ALL or isinstance(stage, StudyStage):
            return list(found.values())
        return [[where, key] for where, key in found.items()]

    def removed_fields(self) -> list[str]:
        """Fields of which something is noted that the study does not name any more."""
        return sorted(self.manifest.scopes() - {field.name for field in self.study.fields} - {ALL})

    def finished(self, scope: str, stage: Stage[StageOptions]) -> str:
        """Key that a stage was finished with.

        Raises
        ------
        ValueError
            When it is not finished.
        """
        key = self.manifest.key(scope, stage.name)
        if key is None:
            raise ValueError(f"{self._called(scope, stage)} is not finished; run `{self.command(stage)}`")
        return key

    def check_current(self, name: str) -> None:
        """Refuse a study of which a stage, or a part of it, is not finished with the present options and inputs.

        Raises
        ------
        ValueError
            When it was never finished, or with something else.
        """
        for stage in _choose([name]):
            for scope in self.scopes(stage):
                if self.key(scope, stage) != self.finished(scope, stage):
                    called = self._called(scope, stage)
                    raise ValueError(f"{called} was not run on what is there now; run `{self.command(stage)}`")

    def once(self, scope: str, stage: AnyStage) -> None:
        """Run a stage unless it is finished with the same key."""
        key = self.key(scope, stage)
        if self.manifest.key(scope, stage.name) == key:
            logger.info("%s of %s is finished already", stage.name, scope)
            return
        with self.making(scope, stage, key), self._telling(scope, stage):
            if isinstance(stage, FieldStage):
                stage.run(self.field_work(scope, stage))
            else:
                stage.run(self.study_work(stage))

    @contextmanager
    def making(self, scope: str, stage: AnyStage, key: str) -> Iterator[None]:
        """Note that a stage begins, and what depends on it is stale; and at the end that it is finished."""
        start = time.perf_counter()
        self.manifest.begin(
            scope,
            stage.name,
            key,
            as_dict(stage.options_of(self.study)),
            version=stage.version,
            dependent=self.dependent(scope, stage),
            outputs=stage.outputs(self.layout, scope),
        )
        try:
            yield
        except OSError as error:
            if (full := full_disk(error)) and full.filename is None:
                full.filename = str(self.layout.root)
            raise
        warnings = self._warnings(scope, stage)
        for text in warnings:
            logger.warning("%s%s: %s", "" if scope == ALL else f"{scope}, ", stage.name, text)
        seconds, outputs = time.perf_counter() - start, stage.outputs(self.layout, scope)
        self.manifest.finish(scope, stage.name, seconds, outputs, warnings)

    def _warnings(self, scope: str, stage: AnyStage) -> Sequence[str]:
        """What a scientist should look at in the results of a stage."""
        if isinstance(stage, FieldStage):
            return stage.warnings(self.field_work(scope, stage))
        return stage.warnings(self.study_work(stage))

    @contextmanager
    def _telling(self, scope: str, stage: AnyStage) -> Iterator[None]:
        """Tell the listener that a stage begins, and how it ends."""
        start, about = time.perf_counter(), {"stage": stage.name, "field": "" if scope == ALL else scope}
        self.execution.listener(StageStarted(**about))
        error = INTERRUPTED
        try:
            yield
            error = ""
        except Exception as failure:
            if not self.execution.stopped:  # else it fails because its workers are gone
                error = f"{type(failure).__name__}: {failure}"
            raise
        finally:
            self.execution.listener(StageEnded(**about, seconds=time.perf_counter() - start, error=error))

    def _called(self, scope: str, stage: Stage[StageOptions]) -> str:
        """A stage of a field, in words."""
        return (stage.part_of or stage.name) + ("" if scope == ALL else f" of field {scope!r}")

    def command(self, stage: Stage[StageOptions]) -> str:
        """The command that runs a stage in the output folder."""
        return f"tomostat {stage.part_of or stage.name} {self.layout.root}"


def run(
    study: Study | str | Path,
    *,
    stages: Sequence[str] | None = None,
    again: Collection[str] = (),
    execution: Execution | None = None,
) -> Layout:
    """Run a study, or some stages of it.

    Parameters
    ----------
    study
        A study, or the path of a study file.
    stages
        Names of the stages to run; all when not given. What is finished with the same options and inputs is not run
        again.
    again
        Names of stages to run again though they are finished; what depends on them is then made anew too.
    execution
        Where to run, and who is notified of progress; threads of this process when not given.

    Returns
    -------
    Layout
        Paths of everything that was written.

    Raises
    ------
    ValueError, FileNotFoundError, PermissionError
        When the study or an input is wrong, another process works in the output folder, or results there were altered,
        before work starts; or when a stage is asked for whose input is missing.
    """
    study = study if isinstance(study, Study) else load_study(study)
    check_inputs(study, stages)
    return run_checked(study, stages, execution, again)


def run_checked(
    study: Study, stages: Sequence[str] | None, execution: Execution | None, again: Collection[str] = ()
) -> Layout:
    """Run stages of a study whose inputs `check_inputs` found right; see `run`."""
    chosen, forced, execution = _choose(stages), {stage_named(name).name for name in again}, execution or Execution()
    for stage in chosen:
        stage.check_place(study, execution)
    with Run.alone(study, execution) as running:
        stale = find_stale(running, chosen, forced)
        for line in [*lines_of(stale), *_lines_on_removed(running)]:
            logger.warning(line)
        save_study(study, running.layout.study)
        running.manifest.make_stale((one.scope, one.stage) for one in stale)
        _run_fields(running, [stage for stage in chosen if isinstance(stage, FieldStage)])
        for stage in chosen:
            if isinstance(stage, StudyStage):
                running.once(ALL, stage)
    return running.layout


def _lines_on_removed(running: Run) -> list[str]:
    """One line on fields whose results are there and which the study does not name any more."""
    names = running.removed_fields()
    if not names:
        return []
    what = f"{names[0]} is no field" if len(names) == 1 else f"{', '.join(names)} are no fields"
    return [f"{what} of the study any more; `tomostat clean {running.layout.root}` removes their results"]


def _choose(names: Sequence[str] | None) -> list[AnyStage]:
    """Stages by name, with those that are part of them, in order."""
    wanted = {stage_named(name).name for name in names} if names is not None else None
    return [stage for stage in all_stages() if wanted is None or {stage.name, stage.part_of} & wanted]


def check_inputs(study: Study, stages: Sequence[str] | None = None) -> None:
    """Refuse what can be seen to fail before any work is done, or a cluster is started.

    Raises
    ------
    ValueError, FileNotFoundError
        When a source or an option of a stage is wrong, or the output folder is another study's.
    """
    chosen = _choose(stages)
    for stage in chosen:
        stage.check(study)
    for field in study.fields:
        for stage in chosen:
            if isinstance(stage, FieldStage):
                stage.check_volume(study, field, partial(_size, study, field))
    check_output(Layout(study.output), study.study)
    refuse_used(study.output)


def _size(study: Study, field: Field) -> VolumeSize:
    """Size of a field, of its volume or of the source that this is to come from."""
    from tomostat.ingest import field_size
    from tomostat.ingest.stage import INGEST
    from tomostat.volume import describe

    volume = Layout(study.output).volume(field.name)
    if not volume.exists():
        return field_size(field, INGEST.options_of(study))
    info = describe(volume)
    return info.shape, info.spacing


def _run_fields(running: Run, stages: Sequence[FieldStage[StageOptions]]) -> None:
    """Run the stages of all fields; with a cluster, several fields side by side."""
    release = _Release(running, stages)
    running.execution.run_concurrently(lambda field: _run_field(running, field, stages, release), running.study.fields)


def _run_field(
    running: Run, field: Field, stages: Sequence[FieldStage[StageOptions]], finished: Callable[[str], None]
) -> None:
    left = list(stages)
    try:
        while left:
            if running.scopes(left[0], field.name):
                running.once(field.name, left[0])
            finished(left.pop(0).name)
    finally:
        for stage in left:  # after an error nobody waits for them
            finished(stage.name)


class _Release:
    """Lets workers go that were brought for a stage, once it is finished in all fields."""

    def __init__(self, running: Run, stages: Sequence[FieldStage[StageOptions]]) -> None:
        self._execution = running.execution
        self._brings = {stage.name: stage.brings for stage in stages}
        self._left = dict.fromkeys(self._brings, len(running.study.fields))
        self._lock = threading.Lock()
        for name in {name for stage in all_stages() for name in stage.brings} - set(chain(*self._brings.values())):
            self._execution.release({name: 1.0})

    def __call__(self, stage: str) -> None:
        with self._lock:
            self._left[stage] -= 1
            last = self._left[stage] == 0
        for name in self._brings[stage] if last else ():
            self._execution.release({name: 1.0})
