"""Files damaged at random are read or refused in one line, in bounded time and memory, by everything that reads."""

from __future__ import annotations

import faulthandler

import pytest

from mutations import KINDS, read_damaged

DEEP = 10_000 // len(KINDS) + 1
"""Files of every kind in the deep tests: 10 000 in all."""
LONGEST = 600
"""Seconds after which the files of a kind cannot be read any more: a library does not come back."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_some_damaged_files(tmp_path, kind):
    assert sum(read_damaged(tmp_path, kind, 12).values()) == 12


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_files(tmp_path, kind):
    faulthandler.dump_traceback_later(LONGEST, exit=True)  # a library's endless loop ends the process, with its place
    try:
        outcomes = read_damaged(tmp_path, kind, DEEP, seed=1)
    finally:
        faulthandler.cancel_dump_traceback_later()
    assert outcomes["refused"] > 0
