"""Errors and values in one line."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from tomostat import cli
from tomostat.inventory import Inventory
from tomostat.messages import explain, shorten, spans
from tomostat.options import check, from_dict
from tomostat.phases.options import PhasesOptions


def caught(work) -> Exception:
    try:
        work()
    except Exception as error:
        return error
    raise RuntimeError("there was no error")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("spacing is 0;\n expected more"), "spacing is 0; expected more"),
        (ValueError(), "ValueError"),
        (OSError(errno.ENOSPC, "No space left on device", "/data/out"), "no space left on /data/out; free some"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "no space left on the disk; free some"),
        (MemoryError("Unable to allocate 3 TiB"), "memory ran out (Unable to allocate 3 TiB); use fewer --workers"),
        (KeyError("levels"), "KeyError: 'levels'; --verbose shows the traceback"),
    ],
)
def test_every_error_is_one_line(error, line):
    assert explain(error).startswith(line)
    assert "\n" not in explain(error)


def test_an_error_nobody_thought_of_says_where():
    line = explain(caught(lambda: Inventory(None).faults(Path())))  # type: ignore[arg-type]
    assert line.startswith("AttributeError: 'NoneType' object has no attribute 'items' at tomostat/inventory.py, line ")


def test_a_full_disk_behind_other_errors_is_named():
    error = OSError("detect: 1 of 8 tasks failed")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device", "/scratch")
    assert explain(error) == "no space left on /scratch; free some, then the same command resumes"


def test_numbers_in_words():
    assert spans([]) == ""
    assert spans([3]) == "3"
    assert spans([0, 1, 5, 7, 8, 9]) == "0 to 1, 5, 7 to 9"


def test_long_values_are_cut():
    assert len(explain(ValueError("x" * 10000))) < 700
    assert shorten("a" * 1000) == f"'{'a' * 56} ... {'a' * 56}'"
    assert shorten((1, 2)) == "(1, 2)"
    for wrong in (
        lambda: check(False, "thresholds", tuple(range(10000)), "fewer"),
        lambda: from_dict(PhasesOptions, {"smoothing": "x" * 5000}, "phases"),
    ):
        assert len(str(caught(wrong))) < 300


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("-1"), MemoryError(), NotImplementedError("typed list")])
def test_no_error_is_a_traceback(tmp_path, monkeypatch, capsys, error):
    def fail(path) -> None:
        raise error

    monkeypatch.setattr("tomostat.info.describe_path", fail)
    assert cli.main(["info", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("tomostat: ")


def test_dollars_in_names_are_text(tmp_path):
    from tomostat.report.style import new_figure, save_png, styled

    with styled():
        figure = new_figure(2, 2)
        figure.subplots().set_title("cell $\\frac{ and $x^")
        save_png(figure, tmp_path / "a.png")
    assert np.prod((tmp_path / "a.png").stat().st_size) > 100
