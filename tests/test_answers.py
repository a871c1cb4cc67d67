"""Answers on particles and slices in files, and what follows from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tomostat.answers import COLUMNS, Answers, ParticleQuestion, SliceQuestion, read_answers, write_answers

KEYS = {"a": "now", "b": "now"}


def particle(label: int, verdict: str = "", field: str = "a", key: str = "now") -> ParticleQuestion:
    """A question on a particle."""
    return ParticleQuestion(
        field=field, label=label, place=(1.0, 2.0, 3.5), diameter=4.0, particles=key, verdict=verdict
    )


def counted(index: int, outlines: int, false: int, missed: int, key: str = "now") -> SliceQuestion:
    """A question on a slice."""
    return SliceQuestion(
        field="b", index=index, z=0.5 * index, outlines=outlines, particles=key, false=false, missed=missed
    )


MIXED = (
    *(particle(label, "right") for label in range(1, 9)),
    particle(9, "merged"),
    particle(10, "split", "b"),
    particle(11, "unsure"),
    particle(12),
    particle(13, "wrong", key="before"),
    counted(3, 10, 1, 1),
    counted(7, 10, 0, 0),
    SliceQuestion(field="b", index=8, z=4.0, outlines=2, particles="now", verdict="unsure"),
)


def test_precision_and_recall_are_of_the_answers_on_present_particles():
    answers = Answers(MIXED, KEYS)
    known = answers.accuracy()
    assert (known.precision.value, known.precision.trials) == (0.8, 10)
    assert 0.45 < known.precision.low < 0.8 < known.precision.high < 0.98
    assert (known.slices, known.outlines, known.false, known.missed) == (2, 20, 1, 1)
    assert (known.recall.value, known.recall.trials) == (0.95, 20)
    assert answers.accuracy(["b"]).precision.value == 0.0
    assert answers.stale == 1
    assert answers.lines()[2:] == ["1 question open", "1 answer stale: of particles that were made anew since"]
    assert "8 of 10 particles right" in answers.lines()[0]
    assert Answers((particle(1),), KEYS).lines()[:2] == [
        "precision unknown: no particle was judged",
        "recall unknown: no particle was counted in slices",
    ]
    assert Answers((), KEYS).lines() == []


def test_files_hold_questions_and_answers(tmp_path):
    path = tmp_path / "audit" / "answers.csv"
    assert read_answers(path, KEYS).questions == ()
    write_answers(path, MIXED)
    assert read_answers(path, KEYS) == Answers(MIXED, KEYS)


def test_files_of_spreadsheet_programs_are_read(tmp_path):
    path = tmp_path / "answers.csv"
    write_answers(path, MIXED)
    text = path.read_text().replace(",", ";").replace("3.5000", "3,5")
    path.write_text(f"\ufeff{text}".replace("\n", "\r\n"), encoding="utf-8", newline="")
    assert read_answers(path, KEYS) == Answers(MIXED, KEYS)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"label": "", "slice": ""}, "either a label or a slice"),
        ({"slice": "3"}, "either a label or a slice"),
        ({"label": "one"}, "label is 'one'; expected a whole number from 0"),
        ({"verdict": "fine"}, "verdict is 'fine'; expected one of right, wrong, merged, split, unsure"),
        ({"z": "low"}, "z is 'low'; expected micrometers"),
        ({"label": "", "slice": "3", "outlines": "2", "false": "3", "missed": "0"}, "false is 3; the slice has 2"),
        ({"label": "", "slice": "3", "outlines": "2", "false": "1"}, "numbers in both false and missed"),
        ({"label": "", "slice": "3", "outlines": "2", "verdict": "right"}, "expected numbers in false and missed"),
        ({"label": "", "slice": "3", "outlines": "2", "false": "1", "missed": "-1"}, "missed is '-1'"),
    ],
)
def test_rows_that_cannot_be_are_refused_with_their_line(tmp_path: Path, row: dict[str, str], message: str):
    known = {"field": "a", "label": "1", "z": "1", "y": "1", "x": "1", "diameter": "2"} | row
    path = tmp_path / "answers.csv"
    path.write_text("\n".join([",".join(COLUMNS), ",".join(known.get(name, "") for name in COLUMNS)]))
    with pytest.raises(ValueError, match=rf"answers\.csv, line 2: .*{message}"):
        read_answers(path, KEYS)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text("field,label\na,1\n")
    with pytest.raises(ValueError, match=r"has no column slice, z, .*; expected a filled copy"):
        read_answers(path, KEYS)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="no text in UTF-8"):
        read_answers(path, KEYS)


def test_an_answer_may_be_corrected():
    assert replace(particle(1), verdict="wrong").answered
    assert not particle(1).answered
