"""The lock of an output folder: one run at a time; the lock of a process that has died expires."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import shlex
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

logger = logging.getLogger(__name__)

LOCK, BREAKING = ".lock", ".lock.breaking"
"""Names of the lock, and of the file that exists while a stale lock is removed."""

BEAT, STALE = 10.0, 60.0
"""Seconds between two signs of life of a run, and after which a lock without one has expired, on any machine."""


class InUseError(ValueError):
    """Another process works in the folder."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a lock.

    Attributes
    ----------
    host, processes, process
        Machine, its namespace of process numbers (a container has its own), and the number of the process.
    since
        Since when.
    command
        What it was started with.
    token
        Tells two runs of one process apart.
    """

    host: str
    processes: str
    process: int
    since: str
    command: str
    token: str

    @classmethod
    def here(cls) -> Holder:
        """The process that calls, for a new lock."""
        return cls(
            host=socket.gethostname(),
            processes=_namespace(),
            process=os.getpid(),
            since=time.strftime("%Y-%m-%d %H:%M:%S"),
            command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200],
            token=uuid.uuid4().hex,
        )

    def has_died(self) -> bool:
        """Whether it was a process of this machine that is no more; False where that cannot be seen from here."""
        here = (self.host, self.processes) == (socket.gethostname(), _namespace())
        return here and not psutil.pid_exists(self.process)


@contextlib.contextmanager
def folder_lock(folder: Path, lost: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a folder.

    Parameters
    ----------
    folder
        The folder, which is created.
    lost
        Called from another thread when the lock has gone to another process, such as after this machine has slept.

    Raises
    ------
    InUseError
        When another process holds the lock, or took it meanwhile.
    OSError
        When the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, content = folder / LOCK, json.dumps(dataclasses.asdict(Holder.here()))
    while not _create(path, content):
        refuse_used(folder)
        _break(path)
    done, gone = threading.Event(), threading.Event()

    def beat() -> None:
        while not done.wait(BEAT):
            if not _renew(path, content):
                gone.set()
                lost()
                return

    thread = threading.Thread(target=beat, name="lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        if _read(path) == content:
            path.unlink(missing_ok=True)
        if gone.is_set():
            refuse_used(folder)


def refuse_used(folder: Path) -> None:
    """Refuse a folder in which a process works.

    Raises
    ------
    InUseError
        With its machine, its number, and since when.
    """
    content = _read(folder / LOCK)
    if content is None or _is_dead(folder / LOCK, content):
        return
    holder = _parse(content)
    who = f"{holder.process} on {holder.host} since {holder.since} ({holder.command})" if holder else "unknown"
    raise InUseError(
        f"{folder} is in use by process {who}; wait for it, or choose another output folder (the lock of a process "
        f"that has died expires after {STALE:g} s)"
    )


def _create(path: Path, content: str) -> bool:
    """Create a lock; False where there is one."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


def _renew(path: Path, content: str) -> bool:
    """Give a sign of life; False when the lock is another's."""
    try:
        if path.read_text(encoding="utf-8") != content:
            return False
        os.utime(path)
    except FileNotFoundError:
        return False
    except OSError as error:  # a network disk that fails for a moment
        logger.info("%s cannot be renewed: %s", path, error)
    return True


def _break(path: Path) -> None:
    """Remove a lock that has expired; another process that does the same goes first, and its new lock stays."""
    breaking = path.with_name(BREAKING)
    if not _create(breaking, ""):
        if _age(breaking) > STALE:  # that process died meanwhile
            breaking.unlink(missing_ok=True)
        time.sleep(0.05)
        return
    try:
        content = _read(path)
        if content is not None and _is_dead(path, content):
            logger.info("%s has expired: %s", path, content)
            path.unlink(missing_ok=True)
    finally:
        breaking.unlink(missing_ok=True)


def _is_dead(path: Path, content: str) -> bool:
    holder = _parse(content)
    return (holder is not None and holder.has_died()) or _age(path) > STALE


def _age(path: Path) -> float:
    """Seconds since a file was renewed by the clock of its disk, which other machines see too."""
    try:
        renewed = path.stat().st_mtime
    except OSError:
        return 0.0
    probe = path.with_name(f"{LOCK}.{uuid.uuid4().hex}")
    try:
        probe.touch()
        now = probe.stat().st_mtime
    except OSError:  # a folder that is only read
        now = time.time()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
    return now - renewed


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _parse(content: str) -> Holder | None:
    """The holder that a lock names; None while it is being written, and where it is damaged."""
    try:
        return Holder(**json.loads(content))
    except (ValueError, TypeError):
        return None


def _namespace() -> str:
    """Namespace of the numbers of processes, where the system has several."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
