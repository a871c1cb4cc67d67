"""How far a study is, from its manifest and its log of runs."""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path

import pytest
import yaml

from tomostat import cli
from tomostat.events import Cost, Event, StageEnded, StageStarted, StepStarted, TaskEnded
from tomostat.layout import Layout
from tomostat.lock import folder_lock
from tomostat.manifest import Content
from tomostat.runlog import Logged, read_run_log
from tomostat.status import DONE, FAILED, OPEN, RUNNING, STALE, study_status


@pytest.fixture
def out(results, tmp_path) -> Path:
    """Records and log of a finished study of two fields, in a folder of their own."""
    root = tmp_path / "out"
    root.mkdir()
    for path in (results.manifest, results.study, results.run_log):
        shutil.copy(path, root)
    content = Content.read(root)
    content.stages["all/report"] = content.stages["all/analyze"]  # as if the report had been made
    content.write(Layout(root).manifest)
    return root


def states(root: Path) -> dict[str, str]:
    return {f"{one.scope}/{one.stage}": one.state for one in study_status(root)}


def change(root: Path, name: str, **values: object) -> None:
    """Change what is noted of a stage."""
    content = Content.read(root)
    content.stages[name] = dataclasses.replace(content.stages[name], **values)
    content.write(Layout(root).manifest)


def log(root: Path, event: Event) -> None:
    with Layout(root).run_log.open("a") as file:
        file.write(Logged(time.time() - 30, event).line())


def test_a_finished_study(out):
    assert set(states(out).values()) == {DONE}


def test_what_never_ran(out):
    content = Content.read(out)
    del content.stages["all/report"]
    content.write(Layout(out).manifest)
    assert states(out)["all/report"] == OPEN


def test_stages_whose_results_came_with_a_field_are_left_out(out):
    study = yaml.safe_load(Layout(out).study.read_text())
    (field,) = study["samples"][0]["fields"]
    study["samples"][0]["fields"] = [{**field, "labels": "labels.tif"}]
    Layout(out).study.write_text(yaml.safe_dump(study))
    found = states(out)
    assert f"{field['name']}/stitch" not in found
    assert set(found.values()) == {DONE}


def test_what_depends_on_newer_results_is_stale(out):
    field = next(iter(Content.read(out).stages)).partition("/")[0]
    change(out, f"{field}/detect", finished="2999-01-01T00:00:00+0000")
    found = states(out)
    assert (found[f"{field}/detect"], found[f"{field}/phases"]) == (DONE, DONE)
    assert {found[f"{field}/{stage}"] for stage in ("stitch", "measure")} == {STALE}
    assert found["all/report"] == STALE


def test_what_failed_and_what_goes_on(out, capsys):
    one, other = sorted({name.partition("/")[0] for name in Content.read(out).stages} - {"all"})
    change(out, f"{one}/measure", finished=None)
    change(out, f"{other}/measure", finished=None)
    log(out, StageEnded(stage="measure", field=one, seconds=3, error="TasksFailed: the drive went away"))
    log(out, TaskEnded(stage="measure", field=other, step="particles", done=3, total=9, task="x", cost=Cost()))
    assert states(out)[f"{one}/measure"] == FAILED
    assert cli.main(["status", str(out)]) == 1
    said = capsys.readouterr().out
    assert f"{one}: measure failed: TasksFailed: the drive went away" in said
    assert f"{other}: measure stopped: particles: 3 of 9; last sign 30 s ago" in said
    with folder_lock(out, lambda: None):
        assert states(out)[f"{other}/measure"] == RUNNING


def test_a_folder_without_a_study(tmp_path, capsys):
    assert cli.main(["status", str(tmp_path)]) == 2


def test_the_log_tells_stages_steps_and_tasks(out):
    lines = list(read_run_log(Layout(out).run_log))
    assert {type(line.event) for line in lines} == {StageStarted, StageEnded, StepStarted, TaskEnded}
    assert all(line.event.cost.seconds >= 0 for line in lines if isinstance(line.event, TaskEnded))
    assert [line.time for line in lines] == sorted(line.time for line in lines)


@pytest.mark.parametrize(
    "line",
    [
        '{"time": 3, "ev',
        '{"time": 3, "event": "rested"}',
        '{"time": 3, "event": "task ended", "stage": "x"}',
        "[]",
        "3",
    ],
)
def test_lines_that_cannot_be_read_are_left_out(out, caplog, line):
    lines = list(read_run_log(Layout(out).run_log))
    with Layout(out).run_log.open("a") as file:
        file.write(line)
    assert list(read_run_log(Layout(out).run_log)) == lines
    assert "1 line cannot be read" in caplog.text
