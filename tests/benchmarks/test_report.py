"""Tables say whether a bound is kept."""

from __future__ import annotations

import argparse

import pytest

from benchmarks.report import Result, add_names, print_results


@pytest.mark.parametrize(
    ("value", "required", "comparison", "met", "last"),
    [
        (2, 1, ">=", True, "met"),
        (2, 1, "<=", False, "NOT MET"),
        (1, 1, "<=", True, "met"),
        (1, 1, "==", True, "met"),
        (2, 1, "==", False, "NOT MET"),
        (1, None, ">=", None, "s"),
    ],
)
def test_a_result_says_whether_its_bound_is_kept(value, required, comparison, met, last, capsys):
    result = Result("name", value, required, comparison, "s")
    assert result.met is met
    print_results("title", [result])
    title, _, line = capsys.readouterr().out.strip().splitlines()
    assert title == "title"
    assert line.split()[:3] == ["name", str(value), "s"]
    assert line.rstrip().endswith(f" {last}")


@pytest.mark.parametrize(("words", "names"), [([], ["a", "b"]), (["c"], ["c"]), (["b", "a"], ["b", "a"])])
def test_tables_are_chosen_by_name(words, names):
    parser = argparse.ArgumentParser()
    add_names(parser, ["a", "b", "c"], ["a", "b"])
    assert parser.parse_args(words).names == names


def test_a_table_that_there_is_not(capsys):
    parser = argparse.ArgumentParser()
    add_names(parser, ["a", "b"])
    assert parser.parse_args([]).names == ["a", "b"]
    with pytest.raises(SystemExit):
        parser.parse_args(["nonsense"])
    assert "there is no table 'nonsense'; tables are a, b" in capsys.readouterr().err
