"""The tutorials keep their word: their commands are known, and their code runs as printed, one page after the other."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tomostat import cli
from tomostat.cli.app import app
from tomostat.phantom.options import PhantomOptions
from tomostat.simulation import simulate_study
from tomostat.stitch import open_graph
from tomostat.volume import open_volume

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
QUICK = {"train": ["--steps", "2", "--crop", "64", "--warmup", "1"]}
"""Flags that make a command of a page quick."""
PLACED = {"run", "ingest", "phases", "detect", "stitch", "measure", "simulate", "check", "export"}
"""Commands that tasks are sent to workers by."""


def blocks(page: Path) -> list[tuple[str, str]]:
    """Fenced blocks of a page: language and text."""
    return re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def joined(text: str) -> str:
    """A text in which lines that end in a backslash go on."""
    return re.sub(r"\\\n\s*", " ", text)


def commands(text: str) -> Iterator[list[str]]:
    """Commands of tomostat in a block, without the program's name and comments."""
    for line in joined(text).splitlines():
        if line.startswith("tomostat "):
            yield shlex.split(line, comments=True)[1:]


def shown(page: Path) -> list[list[str]]:
    """Commands in the fenced and the indented blocks of a page."""
    indented = re.findall(r"^    (tomostat .*)", joined(page.read_text(encoding="utf-8")), re.MULTILINE)
    return [command for text in (*(text for _, text in blocks(page)), *indented) for command in commands(text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_are_understood(page):
    """Every command of every page, with its flags; words in capitals stand for the reader's own."""
    for words in shown(page):
        if not any(re.search(r"[A-Z]{3,}|\.\.\.|porosity", word) for word in words):  # a how-to adds the stage porosity
            app.parse_args(words, exit_on_error=False, print_error=False)
    for name in re.findall(r"`tomostat ([a-z]+)[ `]", page.read_text(encoding="utf-8")):
        assert name in {*app, "look"}, name


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the reader's files: two scans."""
    folder = tmp_path_factory.mktemp("tutorials")
    options = PhantomOptions(shape=(24, 80, 80), diameters=(4.0, 7.0))
    simulate_study(folder / "known", {"a": 0.1, "b": 0.4}, fields=1, options=options)
    for name, field in (("scan", "a-1"), ("scan-b", "b-1")):
        tifffile.imwrite(folder / f"{name}.tif", open_volume(folder / "known" / "volumes" / f"{field}.zarr").values)
    return folder


def follow(page: str, place: list[str]) -> None:
    """Do what a page says, block by block, in the current folder."""
    for language, text in blocks(ROOT / "docs" / page):
        if language == "bash":
            for words in commands(text):
                flags = [*QUICK.get(words[0], []), *(place if words[0] in PLACED else [])]
                assert cli.main([*words, *flags]) in ((0, 1) if words[0] == "check" else (0,)), words
        elif language == "python":
            exec(compile(text, page, "exec"), {"__name__": "__main__"})
            annotate(Path("crops"))
        elif language == "yaml":
            Path(text.split()[1]).write_text(text, encoding="utf-8")
        elif language == "json":
            assert json.loads(text)


def annotate(crops: Path) -> None:
    """What the reader does by hand: outlines in the crops."""
    for crop in crops.glob("slice-??.tif"):
        ny, nx = tifffile.imread(crop).shape
        truth = open_volume("known/volumes/a-1.zarr", "truth_particles")[int(crop.stem[-2:]), :ny, :nx].values
        tifffile.imwrite(crop.with_name(f"{crop.stem}_instances.tif"), truth.astype(np.uint16))


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("page", ["start.md", "tutorials/demo.md"])
def test_pages_on_the_demo(page, tmp_path, place, monkeypatch):
    monkeypatch.chdir(tmp_path)
    follow(page, place)
    assert Path("demo/results/report/index.html").exists()


@pytest.mark.slow
@pytest.mark.network
def test_pages_on_the_readers_own_data(workplace, place, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    follow("tutorials/own-data.md", place)
    assert "particles that the border does not cut" in capsys.readouterr().out
    assert Path("files/xlsx/particles.xlsx").exists()
    follow("tutorials/own-labels.md", place)
    assert "original_id" in capsys.readouterr().out
    tracks = open_graph(Path("results/graph/scan")).tracks
    assert len(tracks) >= 7, "the page's correction names tracks 3 and 7"
    follow("tutorials/correct-by-hand.md", place)
    assert json.loads(Path("results/edits/scan.json").read_text(encoding="utf-8"))
    follow("tutorials/fine-tune.md", place)
    assert Path("results-mine/report/index.html").exists()
