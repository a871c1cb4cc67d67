"""Where compiled kernels are kept if nothing can be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tomostat import numba_cache
from tomostat.numba_cache import OF_MATPLOTLIB, VARIABLE, choose_numba_cache


@pytest.fixture
def nothing_writable(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv(OF_MATPLOTLIB, "of the user")
    monkeypatch.setattr(numba_cache, "_is_writable", lambda folder: False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_of_this_user_is_used_again(nothing_writable, monkeypatch):
    choose_numba_cache()
    first = Path(os.environ.pop(VARIABLE))
    assert first.parent == nothing_writable
    assert os.environ[OF_MATPLOTLIB] == "of the user"
    assert first.stat().st_mode & 0o777 == 0o700
    choose_numba_cache()
    assert Path(os.environ.pop(VARIABLE)) == first
    first.chmod(0o777)  # anybody could have put code there
    choose_numba_cache()
    assert Path(os.environ.pop(VARIABLE)) != first


def test_where_something_can_be_written_nothing_is_set(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    choose_numba_cache()
    assert VARIABLE not in os.environ
