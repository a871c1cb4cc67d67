"""What of an output folder is finished, and from what it was made."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tomostat.files import write_text
from tomostat.inventory import Faults, Inventory, files_below
from tomostat.layout import Layout
from tomostat.lock import LOCK

ALL = "all"
"""In place of the name of a field: the whole study."""


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """What is noted of a stage of a field.

    Attributes
    ----------
    key
        Hash of all that its results depend on; empty for a stage whose results are to be made anew.
    options
        The options that it was run with.
    started, finished
        When; `finished` is None for a stage that was interrupted.
    seconds
        How long it took.
    version
        The stage's version; 0 where a version of tomostat that did not note it has written the record.
    warnings
        Sentences on what a scientist should look at.
    """

    key: str
    options: Mapping[str, Any]
    started: str
    finished: str | None = None
    seconds: float = 0.0
    version: int = 0
    warnings: tuple[str, ...] = ()

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> StageRecord:
        """A record from the values of JSON.

        Raises
        ------
        TypeError
            When one is missing or unknown, or of another type.
        """
        record = cls(**{**values, "warnings": tuple(values.get("warnings", ()))})
        texts = [record.key, record.started, record.finished or "", *record.warnings]
        numbers = [record.seconds, record.version]
        if not all(isinstance(one, str) for one in texts) or not all(isinstance(one, int | float) for one in numbers):
            raise TypeError("a record has a value of another type")
        if not isinstance(record.options, dict):
            raise TypeError("options are keys and values")
        return record


@dataclass(frozen=True)
class StageWarning:
    """A sentence on finished results that a scientist should look at.

    Attributes
    ----------
    scope, stage
        Field, or `ALL`, and stage.
    text
        The sentence, without a full stop.
    """

    scope: str
    stage: str
    text: str


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
            stages = {name: StageRecord.parse(record) for name, record in known["stages"].items()}
            if not all(name.count("/") == 1 for name in stages):
                raise ValueError("a stage is not named FIELD/STAGE")
            return cls(str(known["study"]), stages)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path} is damaged ({error}); restore it from a copy, or choose another output folder"
            ) from None

    def keys(self, stage: str) -> dict[str, str]:
        """Key of a finished stage by field."""
        found = {name.rsplit("/", 1)[0]: record for name, record in self.stages.items() if name.endswith(f"/{stage}")}
        return {field: record.key for field, record in found.items() if record.finished}

    def write(self, path: Path) -> None:
        """Write the manifest, whole or not at all."""
        from tomostat import __version__

        stages = {name: dataclasses.asdict(record) for name, record in self.stages.items()}
        write_text(path, json.dumps({"study": self.study, "tomostat": __version__, "stages": stages}, indent=1))

    def warnings(self) -> list[StageWarning]:
        """Warnings of all finished stages."""
        found = []
        for name, record in self.stages.items():
            scope, stage = name.split("/")
            found += [StageWarning(scope, stage, text) for text in record.warnings if record.finished]
        return found

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
        The output folder, which may not exist yet, or holds results of the same study. Nothing is written before
        `create`.
    study
        Name of the study.

    Raises
    ------
    ValueError
        When the folder holds something else, or another study.
    """

    def __init__(self, layout: Layout, study: str) -> None:
        self.layout = layout
        self._lock = threading.Lock()
        check_output(layout, study)
        self._content = Content.read(layout.root) if layout.manifest.exists() else Content(study, {})

    def create(self) -> None:
        """Create the folder and write the manifest.

        Raises
        ------
        PermissionError
            When it cannot be written.
        """
        self.layout.root.mkdir(parents=True, exist_ok=True)
        if not os.access(self.layout.root, os.W_OK):
            raise PermissionError(f"no right to write into {self.layout.root}")
        self._content.write(self.layout.manifest)

    def scopes(self) -> set[str]:
        """Fields of which something is noted, and `ALL`."""
        return {name.split("/")[0] for name in self._content.stages}

    def record(self, scope: str, stage: str) -> StageRecord | None:
        """What is noted of a stage of a field; None where it never ran."""
        return self._content.stages.get(f"{scope}/{stage}")

    def key(self, scope: str, stage: str) -> str | None:
        """Key that a stage of a field was last finished with."""
        record = self.record(scope, stage)
        return record.key if record and record.finished else None

    def begin(
        self,
        scope: str,
        stage: str,
        key: str,
        options: Mapping[str, Any],
        *,
        version: int = 0,
        dependent: Iterable[tuple[str, str]] = (),
        outputs: Collection[Path] = (),
    ) -> Path:
        """Start a stage: markers of an interrupted start with the same key stay, others are cleared.

        Parameters
        ----------
        scope, stage
            Field, or `ALL`, and name of the stage.
        key, options, version
            What it is made from.
        dependent
            Fields and stages whose results become stale, whatever they were made from.
        outputs
            Files and folders that it writes; those that it shares with an earlier stage are its own from now on.

        Returns
        -------
        Path
            Folder of the stage's markers.
        """
        markers, record = self.layout.markers(scope, stage), self.record(scope, stage)
        if record is None or record.key != key or record.finished:
            shutil.rmtree(markers, ignore_errors=True)
        for path in self._inventories(scope):
            inventory = Inventory.read(path)
            if inventory and (rest := inventory.without(self.layout.root, outputs)) != inventory:
                rest.write(path)
        record = StageRecord(key=key, options=options, started=_now(), version=version)
        self._put({**self._stale(dependent), f"{scope}/{stage}": record})
        return markers

    def finish(
        self, scope: str, stage: str, seconds: float, outputs: Iterable[Path] = (), warnings: Sequence[str] = ()
    ) -> None:
        """Note that a stage is finished, the files that it wrote, and what a scientist should look at."""
        Inventory.take(self.layout.root, outputs).write(self.layout.inventory(scope, stage))
        record = self._content.stages[f"{scope}/{stage}"]
        record = replace(record, finished=_now(), seconds=round(seconds, 3), warnings=tuple(warnings))
        self._put({f"{scope}/{stage}": record})

    def make_stale(self, stages: Iterable[tuple[str, str]]) -> None:
        """Have stages of fields made anew."""
        self._put(self._stale(stages))

    def faults(self, scope: str, stage: str) -> Faults:
        """What is not as a finished stage left it; nothing where no inventory tells, as in older folders."""
        inventory = Inventory.read(self.layout.inventory(scope, stage))
        return inventory.faults(self.layout.root) if inventory else Faults()

    def unknown(self, scope: str, outputs: Iterable[Path]) -> list[str]:
        """Files below some paths that no stage of the field noted; none where no inventory tells."""
        notes = [Inventory.read(path) for path in self._inventories(scope)]
        known = {name for note in notes if note for name in note.files}
        names = [path.relative_to(self.layout.root).as_posix() for path in files_below(self.layout.root, outputs)]
        return [name for name in names if name not in known] if known else []

    def records(self) -> dict[str, StageRecord]:
        """All records, for `restore`."""
        return dict(self._content.stages)

    def restore(self, records: Mapping[str, StageRecord]) -> None:
        """Note records as they were."""
        self._put(records)

    def remove(self, scope: str) -> None:
        """Forget a field."""
        with self._lock:
            stages = {name: record for name, record in self._content.stages.items() if name.split("/")[0] != scope}
            self._content = Content(self._content.study, stages)
            self._content.write(self.layout.manifest)

    def _inventories(self, scope: str) -> list[Path]:
        """Files of the inventories of a field."""
        return sorted(self.layout.inventory(scope, "any").parent.glob("*.json"))

    def _stale(self, stages: Iterable[tuple[str, str]]) -> dict[str, StageRecord]:
        """Records of stages that ran, as of results that are to be made anew."""
        names = [f"{scope}/{stage}" for scope, stage in stages]
        known = self._content.stages
        return {name: replace(known[name], key="", finished=None, warnings=()) for name in names if name in known}

    def _put(self, records: Mapping[str, StageRecord]) -> None:
        with self._lock:
            self._content.stages.update(records)
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
    elif root.exists() and any(not path.name.startswith(LOCK) for path in root.iterdir()):
        raise ValueError(f"output {root} is not empty and holds no tomostat study; choose another folder")


def stage_key(stage: str, version: int, options: Mapping[str, Any], depends: Iterable[Any]) -> str:
    """Hash of all that a stage's results depend on."""
    content = json.dumps([stage, version, options, list(depends)], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def fingerprint(path: Path, more: Iterable[Path] = ()) -> list[Any]:
    """Fingerprint of an input: names, sizes and times of a file, or of all files of a folder.

    Parameters
    ----------
    path
        The file or folder.
    more
        Further files that it refers to.
    """
    inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    beside = sorted(file for file in set(more) - set(inside) if file != path)
    digest = hashlib.sha256()
    for name, file in [*((file.relative_to(path), file) for file in inside), *((file.name, file) for file in beside)]:
        stat = file.stat()
        digest.update(f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return [str(path), len(inside) + len(beside), digest.hexdigest()]


def content_hash(path: Path) -> str:
    """SHA-256 of a small file that results depend on."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
