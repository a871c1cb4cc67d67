"""The output folder: where everything lies, and what of it is finished."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSIONS = {"ingest": 1, "phases": 1, "detect": 4, "stitch": 1, "measure": 4, "table": 3, "analyze": 2, "report": 1}
"""Code version of every stage: raised when its results change, so that older results are made anew."""


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
        """Particle table of all fields; the same as .csv and .parquet beside it."""
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


class Manifest:
    """Which stage of which field is finished, and the key of what it was made from.

    A stage's key is a hash of its options, its code version and the key of what it reads, so a changed option or
    input makes everything after it stale and nothing else.

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
    """

    def __init__(self, layout: Layout, study: str) -> None:
        self.layout = layout
        self._lock = threading.Lock()
        self._content = _claim(layout, study)

    def key(self, field: str, stage: str) -> str | None:
        """Key that a stage of a field was last finished with."""
        entry = self._content["stages"].get(f"{field}/{stage}", {})
        return entry.get("key") if entry.get("finished") else None

    def begin(self, field: str, stage: str, key: str, options: dict[str, Any]) -> Path:
        """Start a stage: markers of an interrupted start with the same key stay, others are cleared.

        Returns
        -------
        Path
            Folder of the stage's markers.
        """
        markers = self.layout.markers(field, stage)
        entry = self._content["stages"].get(f"{field}/{stage}", {})
        if entry.get("key") != key or entry.get("finished"):
            shutil.rmtree(markers, ignore_errors=True)
        self._put(field, stage, {"key": key, "options": options, "started": _now()})
        return markers

    def entry(self, field: str, stage: str) -> dict[str, Any]:
        """All that is noted of a stage of a field."""
        return dict(self._content["stages"].get(f"{field}/{stage}", {}))

    def restore(self, field: str, stage: str, entry: dict[str, Any]) -> None:
        """Take back what `begin` noted: nothing was done."""
        self._put(field, stage, entry)

    def finish(self, field: str, stage: str, seconds: float) -> None:
        """Note that a stage is finished."""
        entry = self._content["stages"][f"{field}/{stage}"]
        self._put(field, stage, {**entry, "finished": _now(), "seconds": round(seconds, 3)})

    def seconds(self) -> dict[str, float]:
        """Seconds that every stage took, summed over fields."""
        total: dict[str, float] = {}
        for name, entry in self._content["stages"].items():
            stage = name.rsplit("/", 1)[1]
            total[stage] = total.get(stage, 0.0) + entry.get("seconds", 0.0)
        return total

    def _put(self, field: str, stage: str, entry: dict[str, Any]) -> None:
        with self._lock:
            self._content["stages"][f"{field}/{stage}"] = entry
            _write(self.layout.manifest, self._content)


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
        known = read_manifest(root)["study"]
        if known != study:
            raise ValueError(f"output {root} holds the study {known!r}, not {study!r}; choose another")
    elif root.exists() and any(root.iterdir()):
        raise ValueError(f"output {root} is not empty and holds no tomostat study; choose another folder")


def _claim(layout: Layout, study: str) -> dict[str, Any]:
    """Content of the manifest; refuses folders that are not this study's."""
    from tomostat import __version__

    check_output(layout, study)
    content = read_manifest(layout.root) if layout.manifest.exists() else {"study": study, "stages": {}}
    content["tomostat"] = __version__
    layout.root.mkdir(parents=True, exist_ok=True)
    if not os.access(layout.root, os.W_OK):
        raise PermissionError(f"no right to write into {layout.root}")
    _write(layout.manifest, content)
    return content


def read_manifest(root: Path) -> dict[str, Any]:
    """Content of an output folder's manifest.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is none, or it is damaged.
    """
    path = Layout(root).manifest
    if not path.is_file():
        raise FileNotFoundError(f"{root} holds no tomostat study (no {path.name})")
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        content["study"], content["stages"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    return content


def stage_key(stage: str, options: dict[str, Any], upstream: Iterable[Any]) -> str:
    """Hash of all that a stage's results depend on."""
    content = json.dumps([stage, VERSIONS[stage], options, list(upstream)], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def fingerprint(path: Path) -> list[Any]:
    """What tells a changed input: names, sizes and times of a file, or of all files of a folder."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        stat = file.stat()
        digest.update(f"{file.relative_to(path)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return [str(path), len(files), digest.hexdigest()]


def _write(path: Path, content: dict[str, Any]) -> None:
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(content, indent=1), encoding="utf-8")
    aside.replace(path)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
