"""What of earlier results is made anew, and why: found before a run starts, and reported in a line for each reason."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tomostat.manifest import ALL, StageRecord
from tomostat.messages import shorten
from tomostat.options import as_dict
from tomostat.stage import AnyStage

if TYPE_CHECKING:
    from tomostat.pipeline import Run


@dataclass(frozen=True)
class Redo:
    """Results that are made anew.

    Attributes
    ----------
    scope, stage
        Field, or `tomostat.manifest.ALL`, and name of the stage.
    reason
        Why; None for a stage that only follows one that it reads from.
    """

    scope: str
    stage: str
    reason: str | None


def find_stale(running: Run, stages: Sequence[AnyStage], again: Collection[str]) -> list[Redo]:
    """Find what was run before and is made anew.

    Parameters
    ----------
    running
        The run.
    stages
        The stages to run, in order.
    again
        Names of stages to make anew in any case.

    Raises
    ------
    ValueError
        When results that are to be kept, or read, are not as their stage left them.
    """
    _refuse_incomplete_inputs(running, stages)
    found: dict[tuple[str, str], Redo] = {}
    for stage in stages:
        for scope in running.scopes(stage):
            follows = any((where, other.name) in found for where, other in running.inputs(scope, stage))
            reason = None if follows else _reason(running, scope, stage, again)
            if (follows or reason) and running.manifest.record(scope, stage.name):
                found[scope, stage.name] = Redo(scope, stage.name, reason)
    return list(found.values())


def _refuse_incomplete_inputs(running: Run, stages: Sequence[AnyStage]) -> None:
    """Refuse results of earlier stages that would be read and are not as they were left."""
    read = {one: None for stage in stages for scope in running.scopes(stage) for one in running.inputs(scope, stage)}
    for scope, stage in read:
        if stage not in stages and (faults := running.manifest.faults(scope, stage.name)):
            file = (*faults.missing, *faults.altered)[0]
            what = "is missing" if faults.missing else f"is not as {stage.name} left it"
            raise ValueError(f"{running.layout.root / file} {what}; run `{running.command(stage)} --again`")


def _reason(running: Run, scope: str, stage: AnyStage, again: Collection[str]) -> str | None:
    """Why a stage that ran before is made anew; None where it is not, or goes on after an interruption."""
    record = running.manifest.record(scope, stage.name)
    inputs = running.inputs(scope, stage)
    if record is None or any(running.manifest.key(where, other.name) is None for where, other in inputs):
        return None
    if {stage.name, stage.part_of} & set(again):
        return "as asked"
    if record.key != running.key(scope, stage):
        return _difference(record, stage.version, as_dict(stage.options_of(running.study)))
    if not record.finished:
        return None
    faults = running.manifest.faults(scope, stage.name)
    if faults.altered:
        raise ValueError(
            f"{running.layout.root / faults.altered[0]} is not as {stage.name} left it; restore it, or keep a copy and "
            f"run `{running.command(stage)} --again`"
        )
    return f"{faults.missing[0]} is missing" if faults.missing else None


def _difference(record: StageRecord, version: int, options: Mapping[str, Any]) -> str:
    """What is not as it was when a stage was run."""
    if changes := changed_options(record.options, options):
        return "; ".join(changes)
    if record.version not in (0, version):
        return "this version of tomostat gives other results"
    return "what it reads has changed"


def changed_options(noted: Mapping[str, Any], options: Mapping[str, Any]) -> list[str]:
    """Options that differ from those that are noted in a manifest, in words."""
    now: dict[str, Any] = json.loads(json.dumps(options, default=str))
    return [
        f"{name} was {shorten(noted.get(name))}, is {shorten(now.get(name))}"
        for name in {**noted, **now}
        if noted.get(name) != now.get(name)
    ]


def lines_of(stale: Sequence[Redo]) -> list[str]:
    """One line for each stage and reason, with the fields concerned; the last names what follows."""
    causes: dict[tuple[str, str], list[str]] = {}
    for one in stale:
        if one.reason:
            causes.setdefault((one.stage, one.reason), []).append(one.scope)
    first = {stage for stage, _ in causes}
    following = list(dict.fromkeys(one.stage for one in stale if one.stage not in first))
    lines = [f"{stage} is made anew{_of(scopes)}: {reason}" for (stage, reason), scopes in causes.items()]
    return [*lines, f"so is what depends on it: {', '.join(following)}"] if following else lines


def _of(scopes: Sequence[str]) -> str:
    """Fields, in words; nothing for the whole study."""
    if len(scopes) > 1:
        return f" for {len(scopes)} fields"
    return f" for {scopes[0]}" if scopes[0] != ALL else ""
