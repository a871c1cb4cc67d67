"""Figures of benchmarks are kept as JSON, and the page says what the files say."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib.util import find_spec

import pytest

from benchmarks import figures
from benchmarks.report import Result, print_results
from tomostat.files import write_text


@pytest.mark.parametrize("path", figures.PAGES, ids=lambda path: path.stem)
def test_the_pages_say_what_the_files_say(path):
    page = path.read_text(encoding="utf-8")
    assert "<!-- figures " in page
    assert figures.page_with_figures(page) == page, "run `python -m benchmarks.figures NAME TABLE`"


@pytest.fixture
def counted(monkeypatch):
    """A benchmark that measures how often it ran."""

    class Benchmark:
        runs = 0

        @classmethod
        def main(cls):
            cls.runs += 1
            for title in sys.argv[1:]:
                print_results(title, [Result("runs", cls.runs, 1, "<=", "times"), Result("half", 0.5)])

    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setitem(sys.modules, "benchmarks.bench_counted", Benchmark)
    return Benchmark


def test_tables_that_were_not_run_keep_their_figures(counted, tmp_path):
    path = figures.record("counted", ["first", "second"], tmp_path)
    assert figures.record("counted", ["second"], tmp_path) == path
    found = json.loads(path.read_text(encoding="utf-8"))
    assert {title: table["results"][0]["value"] for title, table in found.items()} == {"first": 1, "second": 2}
    assert found["second"]["command"] == "python -m benchmarks.figures counted second"
    page = "a\n<!-- figures counted/second -->\nold\n<!-- end of figures -->\nb\n"
    made = figures.page_with_figures(page, tmp_path)
    assert "| runs | <= 1 times | **2 times** |\n| half |  | 0.5 |" in made
    assert "old" not in made
    assert made.startswith("a\n")
    assert made.endswith("b\n")
    assert figures.page_with_figures(made, tmp_path) == made


def test_a_grid_has_rows_and_columns(tmp_path):
    results = [
        Result("ours: F1", 0.5, 0.9),
        Result("ours: seconds", 2, unit="s"),
        Result("plain: F1", 0.25),
        Result("all", 3),
    ]
    table = {"command": "c", "date": "d", "machine": "m", "results": [asdict(one) for one in results]}
    write_text(tmp_path / "peers.json", json.dumps({"methods": table}))
    made = figures.page_with_figures("<!-- grid peers/methods -->\n<!-- end of figures -->", tmp_path)
    assert made.splitlines() == [
        "<!-- grid peers/methods -->", "",
        "| | F1 | seconds |", "|---|---|---|", "| ours | **0.5** (>= 0.9) | 2 s |", "| plain | 0.25 |  |", "",
        "| quantity | required | measured |", "|---|---|---|", "| all |  | 3 |", "",
        "`c`, d, m.", "", "<!-- end of figures -->",
    ]  # fmt: skip
    assert figures.page_with_figures(made, tmp_path) == made


def test_what_was_measured_with_the_same_code_is_not_measured_again(counted, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "code_digest", lambda: "one")
    assert not figures.is_current("counted first", tmp_path)
    figures.record("counted", ["first"], tmp_path)
    assert figures.is_current("counted first", tmp_path)
    assert not figures.is_current("counted", tmp_path)
    figures.record("counted", ["second"], tmp_path)
    assert figures.is_current("counted first", tmp_path)
    monkeypatch.setattr(figures, "code_digest", lambda: "another")
    assert not figures.is_current("counted first", tmp_path)


def test_the_digest_is_of_code_and_weights(tmp_path):
    for name in ("tomostat/a.py", "benchmarks/b.py", "tomostat/weights/c.safetensors", "benchmarks/results/d.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("as it was")
    first = figures.code_digest(tmp_path)
    (tmp_path / "benchmarks/results/d.json").write_text("other")
    assert figures.code_digest(tmp_path) == first
    for name in ("tomostat/a.py", "benchmarks/b.py", "tomostat/weights/c.safetensors"):
        (tmp_path / name).write_text("other")
        assert figures.code_digest(tmp_path) != first
        (tmp_path / name).write_text("as it was")


@pytest.mark.parametrize("run", figures.RUNS)
def test_all_runs_are_of_benchmarks(run):
    assert find_spec(f"benchmarks.bench_{run.split()[0]}")


def test_a_table_that_was_never_recorded(counted, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        figures.page_with_figures("<!-- figures none/first --><!-- end of figures -->", tmp_path)
