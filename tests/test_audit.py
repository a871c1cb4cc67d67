"""`tomostat audit`: what is drawn, asked, kept, and refused."""

from __future__ import annotations

import dataclasses
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from matplotlib.image import imread

from studies import UP_TO_TABLE, at
from tomostat import Audit, cli, pipeline
from tomostat.answers import ParticleQuestion, SliceQuestion, read_answers
from tomostat.info import summarize
from tomostat.layout import Layout
from tomostat.measure import MeasureOptions
from tomostat.study import Field, Sample, Study

SHAPE = (20, 32, 48)
WHOLE = 5
"""Whole particles of a field, beside one at its border."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of two fields whose particles are given: five balls inside and one at the border."""
    folder = tmp_path_factory.mktemp("audit")
    z, y, x = np.indices(SHAPE)
    labels = np.zeros(SHAPE, np.uint16)
    for label, centre in enumerate([(10, 8, 8), (10, 8, 24), (10, 8, 40), (10, 24, 8), (10, 24, 24), (10, 24, 47)], 1):
        labels[sum((a - c) ** 2 for a, c in zip((z, y, x), centre, strict=True)) <= 25] = label
    fields = []
    for name in ("a", "b"):
        tifffile.imwrite(folder / f"{name}.tif", labels)
        fields.append(Field(path=None, name=name, labels=folder / f"{name}.tif", spacing=(0.2, 0.2, 0.2)))
    study = Study(study="judged", output=folder / "out", samples=(Sample(name="s", fields=tuple(fields)),))
    pipeline.run(study, stages=UP_TO_TABLE)
    return study


@pytest.fixture
def copy(measured: Study, tmp_path: Path) -> Study:
    """The study with an output of its own."""
    shutil.copytree(measured.output, tmp_path / "out")
    return at(measured, tmp_path / "out")


def answer_all(audit: Audit) -> None:
    """Judge every particle right, and count one missed particle in every slice."""
    for question in audit.questions:
        if isinstance(question, SliceQuestion):
            audit.count(question, 0, 1)
        else:
            audit.judge(question, "right")


def test_whole_particles_and_slices_of_all_fields_are_drawn(copy):
    audit = Audit.open(copy, particles=100, slices=4)
    particles = [one for one in audit.questions if isinstance(one, ParticleQuestion)]
    slices = [one for one in audit.questions if isinstance(one, SliceQuestion)]
    assert len(particles) == 2 * WHOLE, "none is asked twice, and none at the border"
    assert all(0.2 * 8 <= one.place[2] <= 0.2 * 40 for one in particles)
    assert [one.field for one in slices].count("a") == 2
    assert all(one.outlines == (6 if 5 <= one.index <= 15 else 0) for one in slices)


def test_more_questions_keep_those_that_were_asked(copy):
    few = Audit.open(copy, particles=3, slices=1, seed=4)
    answer_all(few)
    more = Audit.open(copy, particles=6, slices=3, seed=4)
    assert more.questions[:4] == few.questions
    assert len(more.questions) == 9
    assert Audit.open(copy, particles=2, slices=0, seed=5).questions == more.questions
    shutil.rmtree(more.layout.answers.parent)
    assert Audit.open(copy, particles=3, slices=1, seed=5).questions != few.questions


def test_the_command_asks_keeps_every_answer_and_goes_on(copy, monkeypatch, capsys):
    def asked(text: str, *flags: str) -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        assert cli.main(["audit", str(copy.output), "--particles", "3", "--slices", "2", *flags]) == 0
        return capsys.readouterr().out

    said = asked("r\nnonsense\nm\nb\nwrong\nq\n")
    answers = Layout(copy.output).answers
    assert "expected one of right, wrong, merged, split, unsure" in said
    assert "1 of 2 particles right" in said
    assert "3 questions open" in said
    assert [one.verdict for one in read_answers(answers, {}).questions[:3]] == ["right", "wrong", ""]
    pictures = sorted(answers.parent.glob("*.png"))
    assert len(pictures) == 5
    assert all(imread(picture).std() > 0.05 for picture in pictures)
    said = asked("right\n99 0\n0 2\n")
    assert said.startswith("1 of 3: particle ")
    assert "false is 99; the slice has" in said
    assert "2 of 3 particles right" in said
    assert "recall " in said
    assert "1 question open" in said, "the input ended"
    assert "audit:  precision 66.7 %" in summarize(copy.output)


def test_answers_of_a_file(copy, tmp_path, capsys):
    audit = Audit.open(copy, particles=4, slices=2)
    out, sheet = str(copy.output), tmp_path / "sheet.csv"
    flags = ["--particles", "4", "--slices", "2", "--answers", str(sheet)]
    assert cli.main(["audit", out, *flags]) == 2
    assert f"no file {sheet}" in capsys.readouterr().err
    answer_all(audit)
    shutil.move(audit.layout.answers, sheet)
    assert cli.main(["audit", out, *flags]) == 0
    said = capsys.readouterr().out
    assert f"6 answers of {sheet} are kept" in said
    assert "4 of 4 particles right" in said
    assert Audit.open(copy, particles=4, slices=2).accuracy == audit.accuracy
    kept = audit.layout.answers.read_text()
    head, row, *rest = sheet.read_text().splitlines()
    field, _, *others = row.split(",")
    sheet.write_text("\n".join([head, ",".join([field, "999", *others]), *rest]))
    assert cli.main(["audit", out, *flags]) == 2
    assert "particle 999 of" in (error := capsys.readouterr().err)
    assert "was not drawn" in error
    assert audit.layout.answers.read_text() == kept


@pytest.mark.slow
def test_answers_on_particles_that_were_made_anew_are_kept_as_stale(copy, tmp_path, capsys):
    audit = Audit.open(copy, particles=4, slices=2)
    answer_all(audit)
    labels = tifffile.imread(copy.fields[0].labels)
    tifffile.imwrite(tmp_path / "a.tif", np.where(labels == 2, 0, labels))
    first, second = copy.samples[0].fields
    fields = (dataclasses.replace(first, labels=tmp_path / "a.tif"), second)
    anew = dataclasses.replace(copy, samples=(dataclasses.replace(copy.samples[0], fields=fields),))
    pipeline.run(anew, stages=UP_TO_TABLE)
    old = [one for one in audit.questions if one.field == "a"]
    again = Audit.open(anew, particles=4, slices=2)
    assert again.answers.stale == len(old) > 0
    assert set(old) <= set(again.answers.questions), "kept, with their places"
    assert len(again.questions) == 6
    assert f"{len(old)} answers stale" in summarize(copy.output)


def test_what_cannot_be_judged_is_refused(copy, results, study, tmp_path):
    with pytest.raises(ValueError, match="particles is -1, slices 6; expected 0 or more"):
        Audit.open(copy, particles=-1)
    with pytest.raises(ValueError, match="not both 0"):
        Audit.open(copy, particles=0, slices=0)
    shutil.copytree(results.root, tmp_path / "thin")
    thin = at(study, tmp_path / "thin")
    with pytest.raises(ValueError, match="no whole particle to judge"):
        Audit.open(thin)
    assert not Layout(thin.output).answers.exists()
    assert len(Audit.open(thin, particles=0, slices=3).questions) == 3
    with pytest.raises(ValueError, match="is not finished; run `tomostat"):
        Audit.open(at(copy, tmp_path / "nothing"))
    with pytest.raises(ValueError, match="was not run on what is there now"):
        Audit.open(copy.with_options(measure=MeasureOptions(tolerance=3)))


def test_wrong_answers_are_refused(copy):
    audit = Audit.open(copy, particles=1, slices=1)
    first, last = audit.questions
    for wrong in (
        lambda: audit.judge(first, "fine"),
        lambda: audit.judge(last, "right"),
        lambda: audit.count(last, -1, 0),
        lambda: audit.count(last, 9, 0),
        lambda: audit.judge(dataclasses.replace(first, label=99), "right"),
    ):
        with pytest.raises(ValueError, match=r"expected|the slice has|is no question"):
            wrong()
    assert not any(one.answered for one in audit.questions)
