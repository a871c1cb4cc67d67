"""The stages in order: what is finished is kept, what is stale is made anew, fields run side by side."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from tomostat.execution import Execution
from tomostat.manifest import ALL, Layout, Manifest, check_output, stage_key
from tomostat.options import StageOptions, as_dict
from tomostat.stage import FieldStage, FieldWork, Json, Stage, StudyStage, Work, all_stages, before, stage_named
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
        """Work on a study in its output folder; refused where that is another study's."""
        layout = Layout(study.output)
        return cls(study, layout, Manifest(layout, study.study), execution or Execution())

    def field_work(self, field: Field, stage: str) -> FieldWork:
        """Work of a stage on a field."""
        execution = self.execution.of(field.name, self.layout.markers(field.name, stage))
        return FieldWork(self.study, self.layout, execution, field)

    def field_key(self, stage: FieldStage[StageOptions], field: Field) -> str:
        """Key of all that a stage's results of a field depend on."""
        depends = stage.depends(self.field_work(field, stage.name))
        return self._key(stage, [*(self.finished(field.name, other) for other in before(stage)), *depends])

    def study_key(self, stage: StudyStage[StageOptions]) -> str:
        """Key of all that a stage's results of the study depend on."""
        depends = stage.depends(Work(self.study, self.layout, self.execution))
        keys: list[Json] = []
        for other in before(stage):
            if isinstance(other, FieldStage):
                keys += [[field.name, self.finished(field.name, other)] for field in self.study.fields]
            else:
                keys.append(self.finished(ALL, other))
        return self._key(stage, [*keys, *depends])

    def _key(self, stage: Stage[StageOptions], depends: Sequence[Json]) -> str:
        return stage_key(stage.name, stage.version, as_dict(stage.options_of(self.study)), depends)

    def finished(self, scope: str, stage: Stage[StageOptions]) -> str:
        """Key that a stage was finished with.

        Raises
        ------
        ValueError
            When it is not finished.
        """
        key = self.manifest.key(scope, stage.name)
        if key is None:
            of = "" if scope == ALL else f" of field {scope!r}"
            command = stage.part_of or stage.name
            raise ValueError(f"{command}{of} is not finished; run `tomostat {command} {self.layout.root}`")
        return key

    def once(self, scope: str, stage: Stage[StageOptions], key: str, work: Callable[[], None]) -> None:
        """Run a stage unless it is finished with the same key."""
        if self.manifest.key(scope, stage.name) == key:
            logger.info("%s of %s is finished already", stage.name, scope)
            return
        start = time.perf_counter()
        self.manifest.begin(scope, stage.name, key, as_dict(stage.options_of(self.study)))
        work()
        self.manifest.finish(scope, stage.name, time.perf_counter() - start)


def run(
    study: Study | str | Path, *, stages: Sequence[str] | None = None, execution: Execution | None = None
) -> Layout:
    """Run a study, or some stages of it.

    Parameters
    ----------
    study
        A study, or the path of a study file.
    stages
        Names of the stages to run; all when not given. What is finished with the same options and inputs is not run
        again.
    execution
        Where to run, and who is notified of progress; threads of this process when not given.

    Returns
    -------
    Layout
        Paths of everything that was written.

    Raises
    ------
    ValueError, FileNotFoundError, PermissionError
        When the study or an input is wrong, before work starts; or when a stage is asked for whose input is missing.
    """
    study = study if isinstance(study, Study) else load_study(study)
    check_inputs(study, stages)
    return run_checked(study, stages, execution)


def run_checked(study: Study, stages: Sequence[str] | None, execution: Execution | None) -> Layout:
    """Run stages of a study whose inputs `check_inputs` found right; see `run`."""
    chosen, execution = _choose(stages), execution or Execution()
    for stage in chosen:
        stage.check_place(study, execution)
    running = Run.of(study, execution)
    save_study(study, running.layout.study)
    _run_fields(running, [stage for stage in chosen if isinstance(stage, FieldStage)])
    for stage in chosen:
        if isinstance(stage, StudyStage):
            work = Work(study, running.layout, running.execution.of("", running.layout.markers(ALL, stage.name)))
            running.once(ALL, stage, running.study_key(stage), partial(stage.run, work))
    return running.layout


def _choose(names: Sequence[str] | None) -> list[FieldStage[StageOptions] | StudyStage[StageOptions]]:
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
    for stage in _choose(stages):
        stage.check(study)
    check_output(Layout(study.output), study.study)


def _run_fields(running: Run, stages: Sequence[FieldStage[StageOptions]]) -> None:
    """Run the stages of all fields; with a cluster, several fields side by side.

    After an error in one field, those that run already go on and no further one starts; an interruption stops all.
    """
    release = _Release(running, stages)
    abreast = 1 if running.execution.client is None else max(1, running.execution.at_a_time())
    pool = ThreadPoolExecutor(min(abreast, len(running.study.fields)))
    try:
        futures = [pool.submit(_run_field, running, field, stages, release) for field in running.study.fields]
        for future in futures:
            future.result()
    except Exception:
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    except BaseException:
        running.execution.stop()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _run_field(
    running: Run, field: Field, stages: Sequence[FieldStage[StageOptions]], finished: Callable[[str], None]
) -> None:
    for stage in stages:
        work = running.field_work(field, stage.name)
        running.once(field.name, stage, running.field_key(stage, field), partial(stage.run, work))
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
