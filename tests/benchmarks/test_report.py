"""Tables say whether a bound is kept."""

from __future__ import annotations

import pytest

from benchmarks.report import Result, print_results


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
