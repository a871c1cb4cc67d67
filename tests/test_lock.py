"""The lock of an output folder: refused while its process lives, taken over when it is dead."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from tomostat import lock
from tomostat.lock import LOCK, Holder, InUseError, folder_lock, refuse_used


def nothing() -> None:
    """Nobody to tell."""


def held_by(folder, **changes: object) -> None:
    """A lock in a folder as another process leaves it."""
    holder = dataclasses.replace(Holder.here(), **changes)
    (folder / LOCK).write_text(json.dumps(dataclasses.asdict(holder)))


def age(folder, seconds: float) -> None:
    """Let the lock of a folder be that old."""
    then = time.time() - seconds
    os.utime(folder / LOCK, (then, then))


def dead_process() -> int:
    """Number of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_the_second_is_told_who_works_there(tmp_path):
    with folder_lock(tmp_path / "out", nothing):
        with pytest.raises(InUseError, match=f"in use by process {os.getpid()} on .* since 20"):
            with folder_lock(tmp_path / "out", nothing):
                pass
        with pytest.raises(InUseError):
            refuse_used(tmp_path / "out")
    refuse_used(tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("holder", "seconds", "expired"),
    [
        ({"host": "node7"}, 50, False),
        ({"host": "node7"}, 70, True),
        ({"process": -1}, 0, True),  # replaced by one that has ended
        ({"process": -1, "processes": "another container"}, 0, False),
    ],
)
def test_the_lock_of_a_dead_process_expires(tmp_path, holder, seconds, expired):
    held_by(tmp_path, **{**holder, **({"process": dead_process()} if "process" in holder else {})})
    age(tmp_path, seconds)
    if expired:
        with folder_lock(tmp_path, nothing):
            pass
        assert not list(tmp_path.iterdir())
    else:
        with pytest.raises(InUseError), folder_lock(tmp_path, nothing):
            pass


@pytest.mark.parametrize("content", ["", "null", "[]", '{"host": 3}'])
def test_a_damaged_lock_holds_until_it_is_stale(tmp_path, content):
    (tmp_path / LOCK).write_text(content)
    with pytest.raises(InUseError, match="process unknown"):
        refuse_used(tmp_path)
    age(tmp_path, 70)
    with folder_lock(tmp_path, nothing):
        pass


def test_of_many_that_find_a_stale_lock_one_gets_it(tmp_path):
    held_by(tmp_path, host="node7")
    age(tmp_path, 100)
    at_once, all_tried, got = threading.Barrier(8), threading.Barrier(8), []

    def attempt() -> None:
        at_once.wait()
        try:
            with folder_lock(tmp_path, nothing):
                got.append(True)
                all_tried.wait()
        except InUseError:
            all_tried.wait()

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [True]


def test_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.02)
    with folder_lock(tmp_path, nothing):
        age(tmp_path, 100)
        end = time.monotonic() + 5
        while time.time() - (tmp_path / LOCK).stat().st_mtime > 50 and time.monotonic() < end:
            time.sleep(0.01)
        with pytest.raises(InUseError):
            refuse_used(tmp_path)


def test_who_lost_the_lock_is_told_and_leaves_that_of_the_other(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.02)
    told = threading.Event()

    def lose() -> None:
        with folder_lock(tmp_path, told.set):
            held_by(tmp_path, host="node7")
            assert told.wait(5)

    with pytest.raises(InUseError, match="node7"):
        lose()
    assert (tmp_path / LOCK).exists()
