"""The output folder: where outputs lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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

    def structure(self, field: str) -> Path:
        """Volume fractions, surfaces and tortuosity of one field."""
        return self.root / "tables" / f"{field}.structure.zarr"

    def field_contacts(self, field: str) -> Path:
        """Contacts between the particles of one field."""
        return self.root / "tables" / f"{field}.contacts.parquet"

    @property
    def checks(self) -> Path:
        """What `tomostat check` found."""
        return self.root / "checks.json"

    @property
    def answers(self) -> Path:
        """What people answered of particles and slices; pictures of these lie beside it."""
        return self.root / "audit" / "answers.csv"

    def markers(self, field: str, stage: str) -> Path:
        """Marker files of the finished blocks of a stage."""
        return self.root / ".markers" / field / stage

    def of_field(self, field: str) -> list[Path]:
        """All that results of a field take, without corrections by hand."""
        folders = [self.volume(field), self.instances(field), self.graph(field), self.table(field)]
        tables = [self.field_contacts(field), self.structure(field)]
        return [*folders, *tables, self.root / ".markers" / field, self.root / ".files" / field]

    def inventory(self, field: str, stage: str) -> Path:
        """Files of a finished stage, with their sizes and checksums."""
        return self.root / ".files" / field / f"{stage}.json"

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
    def run_log(self) -> Path:
        """Log of all runs, an event a line."""
        return self.root / "run.jsonl"

    @property
    def manifest(self) -> Path:
        """What is finished, and from what."""
        return self.root / "manifest.json"
