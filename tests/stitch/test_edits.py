"""Edits: which are possible, and their file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tomostat.stitch.edits import (
    Edit,
    as_corrections,
    check_edits,
    known_edits,
    read_edits,
    with_edits,
    write_edits,
)


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ([Edit("cut", 1, 9)], "no track 9"),
        ([Edit("join", 0, 1)], "no track 0"),
        ([Edit("cut", 2, 2)], "two different"),
        ([Edit("melt", 1, 2)], "melt"),  # type: ignore[arg-type]
        ([Edit("join", 1, 2), Edit("join", 2, 3), Edit("cut", 3, 1)], "other edits join"),
    ],
)
def test_impossible_edits_are_refused(edits: list[Edit], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_edits(edits, 3)


def test_edits_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "edits.json"
    assert known_edits(path) == ()
    edits = (Edit("cut", 3, 7), Edit("join", 1, 2))
    write_edits(path, edits)
    assert read_edits(path) == known_edits(path) == edits


@pytest.mark.parametrize(
    "text", ["[", '{"cut": [1, 2]}', '[{"action": "cut", "a": 1}]', '[{"action": "cut", "a": "1", "b": 2}]']
)
def test_a_file_that_is_not_a_list_of_edits_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "edits.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="list of edits"):
        read_edits(path)


def test_of_two_edits_of_one_pair_the_later_holds() -> None:
    known = (Edit("cut", 3, 7), Edit("join", 1, 2))
    assert with_edits(known, [Edit("join", 7, 3)]) == (Edit("join", 7, 3), Edit("join", 1, 2))


def test_new_edits_that_contradict_each_other_are_refused() -> None:
    known = [Edit("join", 1, 2)]
    assert with_edits(known, [Edit("cut", 2, 1)]) == (Edit("cut", 2, 1),)
    with pytest.raises(ValueError, match="cut 1 2 and join 2 1 contradict each other"):
        with_edits([], [Edit("cut", 1, 2), Edit("join", 2, 1)])


def test_corrections_count_tracks_from_0() -> None:
    corrections = as_corrections([Edit("cut", 3, 7), Edit("join", 1, 2), Edit("cut", 4, 5)])
    assert corrections.cuts.tolist() == [[2, 6], [3, 4]]
    assert corrections.joins.tolist() == [[0, 1]]
    assert as_corrections([]).cuts.shape == (0, 2)
