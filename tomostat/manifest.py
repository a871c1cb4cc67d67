"""The output folder: where everything lies, and what of it is finished."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tomostat.files import write_text

ALL = "all"
"""In place of the name of a field: the whole study."""


@dataclass(frozen=True)
class Layout:
    """Paths of an output folder.

    Attributes
    ----------
    root
        The output folder.
    """

    root: Path

    def volume(self, field: str) -> Path:
        """Grey values and labels of a field."""
        return self.root / "fields" / f"{field}.zarr"

    def instances(self, field: str) -> Path:
        """2D detections of a field, one Parquet file per block of slices."""
        return self.root / "instances" / field

    def graph(self, field: str) -> Path:
        """Links and merge graph of a field."""
        return self.root / "graph" / field

    def edits(self, field: str) -> Path:
        """Corrections by hand that hold for a field."""
        return self.root / "edits" / f"{field}.json"

    def table(self, field: str) -> Path:
        """Particle table of one field."""
        return self.root / "tables" / f"{field}.zarr"

    def field_contacts(self, field: str) -> Path:
        """Contacts between the particles of one field."""
        return self.root / "tables" / f"{field}.contacts.parquet"

    def markers(self, field: str, stage: str) -> Path:
        """Marker files of the finished blocks of a stage."""
        return self.root / ".markers" / field / stage

    @property
    def particles(self) -> Path:
        """Particle table of all fields; the same as .csv and .parquet beside it, with units in .columns.csv."""
        return self.root / "particles.zarr"

    @property
    def contacts(self) -> Path:
        """Contacts between the particles of all fields."""
        return self.root / "contacts.parquet"

    @property
    def analysis(self) -> Path:
        """Statistics of the study."""
        return self.root / "analysis.zarr"

    @property
    def statistics(self) -> Path:
        """The same as CSV files and sentences."""
        return self.root / "statistics"

    @property
    def report(self) -> Path:
        """Folder of the report."""
        return self.root / "report"

    @property
    def study(self) -> Path:
        """The study file as it was run, every option spelled out."""
        return self.root / "study.yaml"

    @property
    def manifest(self) -> Path:
        """What is finished, and from what."""
        return self.root / "manifest.json"


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """What is noted of a stage of a field.

    Attributes
    ----------
    key
        Hash of all that its results depend on.
    options
        The options that it was run with.
    started, finished
        When; `finished` is None for a stage that was interrupted.
    seconds
        How long it took.
    """

    key: str
    options: Mapping[str, Any]
    started: str
    finished: str | None = None
    seconds: float = 0.0


@dataclass
class Content:
    """What a manifest holds: the study's name, and a record for every stage of every field by ``field/stage``."""

    study: str
    stages: dict[str, StageRecord]

    @classmethod
    def read(cls, root: Path) -> Content:
        """Read the manifest of an output folder.

        Raises
        ------
        FileNotFoundError, ValueError
            When the folder has no manifest, or it is damaged.
        """
        path = Layout(root).manifest
        if not path.is_file():
            raise FileNotFoundError(f"{root} holds no tomostat study (no {path.name})")
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            stages = {name: StageRecord(**record) for name, record in known["stages"].items()}
            return cls(str(known["study"]), stages)
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is damaged: {error}") from None

    def write(self, path: Path) -> None:
        """Write the manifest, whole or not at all."""
        from tomostat import __version__

        stages = {name: dataclasses.asdict(record) for name, record in self.stages.items()}
        write_text(path, json.dumps({"study": self.study, "tomostat": __version__, "stages": stages}, indent=1))

    def seconds(self) -> dict[str, float]:
        """Seconds that every stage took, summed over fields."""
        total: dict[str, float] = {}
        for name, record in self.stages.items():
            stage = name.rsplit("/", 1)[1]
            total[stage] = total.get(stage, 0.0) + record.seconds
        return total


class Manifest:
    """Which stage of which field is finished, and the key of what it was made from.

    A stage's key is a hash of its options, its version and the keys of what it reads, so a changed option or input
    makes everything after it stale and nothing else.

    Parameters
    ----------
    layout
        The output folder. It is created, or must hold results of the same study.
    study
        Name of the study.

    Raises
    ------
    ValueError
        When the folder holds something else, or another study.
    PermissionError
        When it cannot be written.
    """

    def __init__(self, layout: Layout, study: str) -> None:
        self.layout = layout
        self._lock = threading.Lock()
        check_output(layout, study)
        self._content = Content.read(layout.root) if layout.manifest.exists() else Content(study, {})
        layout.root.mkdir(parents=True, exist_ok=True)
        if not os.access(layout.root, os.W_OK):
            raise PermissionError(f"no right to write into {layout.root}")
        self._content.write(layout.manifest)

    def record(self, scope: str, stage: str) -> StageRecord | None:
        """What is noted of a stage of a field; None where it never ran."""
        return self._content.stages.get(f"{scope}/{stage}")

    def key(self, scope: str, stage: str) -> str | None:
        """Key that a stage of a field was last finished with."""
        record = self.record(scope, stage)
        return record.key if record and record.finished else None

    def begin(self, scope: str, stage: str, key: str, options: Mapping[str, Any]) -> Path:
        """Start a stage: markers of an interrupted start with the same key stay, others are cleared.

        Returns
        -------
        Path
            Folder of the stage's markers.
        """
        markers, record = self.layout.markers(scope, stage), self.record(scope, stage)
        if record is None or record.key != key or record.finished:
            shutil.rmtree(markers, ignore_errors=True)
        self.put(scope, stage, StageRecord(key=key, options=options, started=_now()))
        return markers

    def finish(self, scope: str, stage: str, seconds: float) -> None:
        """Note that a stage is finished."""
        record = self._content.stages[f"{scope}/{stage}"]
        self.put(scope, stage, dataclasses.replace(record, finished=_now(), seconds=round(seconds, 3)))

    def put(self, scope: str, stage: str, record: StageRecord) -> None:
        """Note a record as it is."""
        with self._lock:
            self._content.stages[f"{scope}/{stage}"] = record
            self._content.write(self.layout.manifest)


def check_output(layout: Layout, study: str) -> None:
    """Refuse an output folder that holds something else.

    Raises
    ------
    ValueError
        When it is a file, holds another study, or files of something else.
    """
    root = layout.root
    if root.exists() and not root.is_dir():
        raise ValueError(f"output {root} is a file; choose a folder")
    if layout.manifest.exists():
        known = Content.read(root).study
        if known != study:
            raise ValueError(f"output {root} holds the study {known!r}, not {study!r}; choose another")
    elif root.exists() and any(root.iterdir()):
        raise ValueError(f"output {root} is not empty and holds no tomostat study; choose another folder")


def stage_key(stage: str, version: int, options: Mapping[str, Any], depends: Iterable[Any]) -> str:
    """Hash of all that a stage's results depend on."""
    content = json.dumps([stage, version, options, list(depends)], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def fingerprint(path: Path) -> list[Any]:
    """Fingerprint of an input: names, sizes and times of a file, or of all files of a folder."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        stat = file.stat()
        digest.update(f"{file.relative_to(path)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return [str(path), len(files), digest.hexdigest()]


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
