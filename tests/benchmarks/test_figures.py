"""Figures of benchmarks are kept as JSON, and the page says what the files say."""

from __future__ import annotations

import json
import re
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
    assert re.search("<!-- (figures|grid) ", page)
    assert figures.page_with_figures(page) == page, "run `python -m benchmarks.figures NAME TABLE`"


README = {
    r"(0\.\d+), (0\.\d+), (1\.00), (0\.\d+) as installed": [
        ("detect", "real slices", f"nmc_{name}: F1 of what a run keeps")
        for name in ("slice_a", "strip_1", "strip_2", "strip_3")
    ],
    r"distance-transform watershed (0\.\d+), (0\.\d+), (1\.00), (0\.\d+)": [
        ("detect", "real slices", f"nmc_{name}: F1 of the watershed")
        for name in ("slice_a", "strip_1", "strip_2", "strip_3")
    ],
    r"stitched to 3D: F1 \| (0\.\d+) \| laptrack (0\.\d+), empanada, cellpose, stardist and plain Hungarian (0\.\d+)": [
        ("stitch", "methods", f"{name}: disturbed, F1") for name in ("tomostat", "laptrack, gaps", "cellpose stitch3D")
    ],
    r"at a blur of 0.8, 1.2 and 2 voxels \| (0\.\d+), (0\.\d+), (0\.\d+), with": [
        ("measure", "contact", f"blur {blur}, noise 0.14: correlation") for blur in (0.8, 1.2, 2.0)
    ],
    r"on found outlines of another generator (0\.\d+) at 1.2, (0\.\d+) at 2": [
        ("boundaries", name, "detachment, found labels, r") for name in ("blur 1.2, noise 0.12", "blur 2.0")
    ],
    r"thresholds: (0\.\d+), (0\.\d+), negative": [
        ("measure", "contact", f"blur {blur}, noise 0.14: threshold and count, correlation") for blur in (0.8, 1.2)
    ],
    r"same network, 2 cores \| (\d\.\d) s, (0\.\d) GB beside the network \| torchvision (\d+) s": [
        ("detect", "beside torchvision's model(images)", f"2048 x 2048, 334 particles: {name}")
        for name in ("ours", "memory of ours", "torchvision")
    ],
    r"label images \| (\d+) ms \| cellpose (\d+) ms, stardist (\d+) ms, empanada (\d+) ms": [
        ("stitch", "methods", f"{name}: a pair of 2048^2")
        for name in ("tomostat", "cellpose stitch3D", "stardist", "empanada")
    ],
    r"80 voxels across \| (0\.\d+) s, off by (0\.\d) % \| exact on a mesh \(pygeodesic\) (\d\.\d) s, "
    r"fast marching off by (\d) %, Dijkstra by (\d) %": [
        ("measure", "peers", "R 40, tomostat: surface and path"),
        ("measure", "peers", "R 40, tomostat: mean error"),
        ("measure", "peers", "R 40, pygeodesic: surface and path"),
        ("measure", "peers", "R 40, scikit-fmm: mean error"),
        ("measure", "peers", "R 40, MCP_Geometric: mean error"),
    ],
}
"""What the README says of figures, and where they are recorded."""


@pytest.mark.parametrize("sentence", README)
def test_the_readme_says_what_the_files_say(sentence):
    text = (figures.CODE / "README.md").read_text(encoding="utf-8")
    found = re.search(sentence, " ".join(text.split()))
    assert found, "the README no longer says so"
    for said, (name, title, quantity) in zip(found.groups(), README[sentence], strict=True):
        table = json.loads((figures.RESULTS / f"{name}.json").read_text(encoding="utf-8"))[title]
        value = next(one["value"] for one in table["results"] if one["name"] == quantity)
        assert said == f"{value:.{len(said.partition('.')[2])}f}", quantity


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
