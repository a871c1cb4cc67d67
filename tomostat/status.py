"""How far a study is: every stage of every field, as the manifest and the log of runs have it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tomostat.events import INTERRUPTED, StageEnded, StepStarted
from tomostat.layout import Layout
from tomostat.lock import InUseError, refuse_used
from tomostat.manifest import ALL, Content, StageRecord
from tomostat.pipeline import Run
from tomostat.runlog import Logged, read_run_log
from tomostat.stage import all_stages
from tomostat.study import load_study

DONE, STALE, FAILED, RUNNING, STOPPED, OPEN = "done", "stale", "failed", "running", "stopped", "-"
"""States of a stage of a field. What was stopped goes on with the same command."""


@dataclass(frozen=True)
class StageStatus:
    """State of a stage of a field.

    Attributes
    ----------
    scope, stage
        Field, or `tomostat.manifest.ALL`, and name of the stage.
    state
        One of the states above.
    words
        What there is to add: the error, or how far it is.
    """

    scope: str
    stage: str
    state: str
    words: str = ""


def study_status(root: Path) -> list[StageStatus]:
    """State of every stage of every field of an output folder, without touching it.

    Raises
    ------
    FileNotFoundError, ValueError
        When the folder holds no study, or its manifest is damaged.
    """
    records, used, last = Content.read(root).stages, _is_used(root), _last_logged(root)
    running = Run.of(dataclasses.replace(load_study(Layout(root).study, record=True), output=root))
    found: dict[tuple[str, str], StageStatus] = {}
    for stage in all_stages():
        for scope in running.scopes(stage):
            reads = [(where, other.name) for where, other in running.inputs(scope, stage)]
            inputs = {one: records.get("/".join(one)) for one in reads}
            redone = [name for (where, name) in reads if found[where, name].state == STALE]
            record, sign = records.get(f"{scope}/{stage.name}"), last.get((scope, stage.name))
            found[scope, stage.name] = _state(scope, stage.name, record, inputs, redone, sign, used)
    return list(found.values())


def _is_used(root: Path) -> bool:
    """Whether a process works in an output folder."""
    try:
        refuse_used(root)
    except InUseError:
        return True
    return False


def _state(
    scope: str,
    stage: str,
    record: StageRecord | None,
    inputs: Mapping[tuple[str, str], StageRecord | None],
    redone: Sequence[str],
    last: Logged | None,
    used: bool,
) -> StageStatus:
    """State of a stage from its record, those of what it reads, and what was logged last of it."""
    if record is None:
        return StageStatus(scope, stage, OPEN)
    if record.finished:
        newer = [name for (_, name), other in inputs.items() if other and (other.finished or "~") > record.finished]
        if newer or redone or not record.key:
            return StageStatus(scope, stage, STALE, f"{[*redone, *newer, stage][0]} was made anew or is to be")
        return StageStatus(scope, stage, DONE)
    if last is not None and isinstance(last.event, StageEnded):
        if not last.event.error:  # it ended well, and what it read was changed since
            return StageStatus(scope, stage, STALE, "what it reads was made anew or is to be")
        if last.event.error != INTERRUPTED:
            return StageStatus(scope, stage, FAILED, last.event.error)
    return StageStatus(scope, stage, RUNNING if used else STOPPED, _progress(last))


def _progress(last: Logged | None) -> str:
    """How far a stage is that is not finished."""
    if last is None:
        return ""
    ago, event = f"last sign {time.time() - last.time:.0f} s ago", last.event
    return f"{event.step}: {event.done} of {event.total}; {ago}" if isinstance(event, StepStarted) else ago


def _last_logged(root: Path) -> dict[tuple[str, str], Logged]:
    """What was logged last of every stage of every field."""
    return {(one.event.field or ALL, one.event.stage): one for one in read_run_log(Layout(root).run_log)}


def status_lines(found: Sequence[StageStatus]) -> str:
    """A table of the states, fields down and stages across, and a line for everything that there is to add."""
    names = list(dict.fromkeys(one.stage for one in found))
    states = {(one.scope, one.stage): one.state for one in found}
    scopes = list(dict.fromkeys(one.scope for one in found))
    width = max(map(len, [*scopes, "field"])) + 2
    lines = ["field".ljust(width) + "".join(name.rjust(max(len(name), 7) + 2) for name in names)]
    lines.append("-" * len(lines[0]))
    for scope in scopes:
        row = [states.get((scope, name), "").rjust(max(len(name), 7) + 2) for name in names]
        lines.append((scope.ljust(width) + "".join(row)).rstrip())
    lines += [f"{one.scope}: {one.stage} {one.state}: {one.words}" for one in found if one.words]
    return "\n".join(lines)
