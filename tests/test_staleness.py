"""What of an output folder is made anew, kept or refused, and what is said of it."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from collections.abc import Callable

import pytest

from studies import UP_TO_TABLE, WATERSHED, at, digest, first_field, science
from tomostat import cli, pipeline
from tomostat.ingest.options import IngestOptions
from tomostat.layout import Layout
from tomostat.manifest import Content
from tomostat.measure.measures import MeasureSet
from tomostat.phases.options import PhasesOptions
from tomostat.pipeline import Run
from tomostat.stage import field_stage
from tomostat.staleness import Redo, lines_of
from tomostat.stitch.options import StitchOptions
from tomostat.study import Study, load_study


@pytest.fixture
def copy(results, study, tmp_path) -> Study:
    """The study with results of its own that can be spoilt."""
    shutil.copytree(results.root, tmp_path / "copy")
    return at(study, tmp_path / "copy")


@pytest.fixture
def said(caplog) -> Callable[[], list[str]]:
    """Lines that were said to the user."""
    caplog.set_level(logging.WARNING, logger="tomostat.pipeline")
    return lambda: caplog.messages


def stages_up_to(name: str) -> tuple[str, ...]:
    return UP_TO_TABLE[: UP_TO_TABLE.index(name) + 1]


@pytest.mark.slow
def test_an_option_that_is_changed_and_changed_back(results, copy, said):
    """The labels went with the volume: what was finished before is not finished any more."""
    pipeline.run(copy.with_options(ingest=IngestOptions(reader="zarr")), stages=["ingest"])
    assert said() == ["ingest is made anew for 2 fields: reader was None, is 'zarr'"]
    assert not (Layout(copy.output).volume("slow-1") / "labels").exists()
    layout = pipeline.run(copy, stages=UP_TO_TABLE)
    assert science(layout) == science(results)
    assert {"slow-1/measure", "all/table"} <= {
        name for name, one in Content.read(copy.output).stages.items() if one.finished
    }


def test_what_is_missing_is_made_again(results, copy, said):
    layout = Layout(copy.output)
    (layout.volume("slow-1") / "labels/particles/0/c/0/0/0").unlink()
    (layout.instances("slow-1") / "00000-00000-00000.parquet").write_bytes(
        b""
    )  # as a machine that lost power leaves it
    assert science(pipeline.run(copy, stages=UP_TO_TABLE)) == science(results)
    assert said() == [
        "detect is made anew for slow-1: instances/slow-1/00000-00000-00000.parquet is missing",
        "so is what depends on it: stitch, measure, table",
    ]


@pytest.mark.parametrize(
    ("name", "stage", "following"),
    [
        ("instances/slow-1/00000-00000-00000.parquet", "detect", "stitch"),
        ("fields/slow-1.zarr/labels/phases/0/zarr.json", "phases", "detect"),
        ("particles.csv", "measure", "analyze"),
    ],
)
def test_what_was_altered_is_refused_until_asked_for(copy, name, stage, following):
    file = copy.output / name
    file.write_bytes(file.read_bytes()[:-1] + b"#")
    before = digest(copy.output)
    with pytest.raises(ValueError, match=f"{name} is not as .* left it; .* run `tomostat {stage} .*copy --again`"):
        pipeline.run(copy, stages=UP_TO_TABLE)
    assert digest(copy.output) == before
    with pytest.raises(ValueError, match=name):
        pipeline.run(copy, stages=[following])
    assert digest(copy.output) == before


def test_a_stage_is_forced_and_clears_what_is_not_its_own(results, copy, said):
    file = Layout(copy.output).instances("slow-1") / "00000-00000-00000.parquet"
    content = file.read_bytes()
    file.write_bytes(content[:500])
    file.with_name("00000-00000-00007.parquet").write_bytes(content)
    layout = pipeline.run(copy, stages=stages_up_to("stitch"), again=["detect"])
    assert said() == ["detect is made anew for 2 fields: as asked", "so is what depends on it: stitch"]
    assert science(layout)[:2] == science(results)[:2]
    assert len(list(layout.instances("slow-1").iterdir())) == 3


def test_what_changed_is_said(copy, said):
    changed = dataclasses.replace(WATERSHED, slices=16)
    pipeline.run(copy.with_options(stitch=StitchOptions(min_slices=3), detect=changed), stages=stages_up_to("stitch"))
    assert said() == [
        "detect is made anew for 2 fields: slices was 8, is 16",
        "so is what depends on it: stitch",
    ]


def test_fields_of_one_reason_share_a_line():
    stale = [Redo(name, "phases", "smoothing was 1.0, is 2.0") for name in ("a", "b")]
    stale += [Redo(name, "detect", None) for name in ("a", "b")]
    assert lines_of([*stale, Redo("all", "table", None)]) == [
        "phases is made anew for 2 fields: smoothing was 1.0, is 2.0",
        "so is what depends on it: detect, table",
    ]
    assert lines_of([]) == []


@pytest.mark.slow
def test_a_moved_folder_works_where_it_is(results, study, copy, tmp_path, capsys, place):
    moved = copy.output.rename(tmp_path / "moved")
    assert load_study(moved / "study.yaml", record=True).output == moved
    assert cli.main(["run", str(moved / "study.yaml"), *place]) == 0
    assert not copy.output.exists()
    assert str(copy.output) not in (moved / "study.yaml").read_text()


def test_two_runs_in_one_folder(study, copy, capsys):
    with pipeline.Run.alone(copy):
        before = digest(copy.output)
        assert cli.main(["run", str(copy.output / "study.yaml")]) == 2
        assert "is in use by process" in capsys.readouterr().err
        with pytest.raises(ValueError, match="is in use by process"):
            pipeline.run_checked(copy.with_options(phases=PhasesOptions(smoothing=3.0)), None, None)
        assert digest(copy.output) == before


def test_a_field_that_was_removed_is_said_and_cleaned(study, copy, said, capsys):
    one, layout = first_field(study, copy.output), Layout(copy.output)
    (layout.root / ".particles.csv.0123456789ab.part").write_text("half")
    pipeline.run(one, stages=["ingest"])
    assert said() == [
        "fast-1 is no field of the study any more; `tomostat clean " + f"{copy.output}` removes their results"
    ]
    assert cli.main(["info", str(copy.output)]) == 0
    assert "  fast-1 (not in the study any more): ingest" in capsys.readouterr().out
    assert cli.main(["clean", str(copy.output)]) == 0
    assert f"removed {layout.volume('fast-1')}" in capsys.readouterr().out
    assert not [path for path in layout.of_field("fast-1") if path.exists()]
    assert not list(layout.root.glob("*.part"))
    assert not any(name.startswith("fast-1") for name in Content.read(layout.root).stages)
    assert cli.main(["clean", str(copy.output)]) == 0
    assert capsys.readouterr().out == "nothing to remove\n"


def test_a_new_measure_is_measured_by_the_next_run(study, results, monkeypatch):
    """Its column enters the key of the stage: nobody has to force what is finished."""
    running = Run.of(study)
    name = study.fields[0].name
    before = running.key(name, field_stage("measure"))
    assert running.key(name, field_stage("measure")) == before
    monkeypatch.setattr(MeasureSet, "columns", property(lambda self: {"new": None}))
    assert Run.of(study).key(name, field_stage("measure")) != before
