"""Options of the report stage."""

from __future__ import annotations

from dataclasses import dataclass

from tomostat.options import StageOptions, check


@dataclass(frozen=True, kw_only=True)
class ReportOptions(StageOptions):
    """What the report shows.

    Attributes
    ----------
    title
        Heading of the page; the study's name when not given.
    table_rows
        Rows of the particle table that the page shows at once.
    pictured_particles
        Largest number of particles that the page shows in sections and in 3D; the page takes some 6 kB for each.
    pictured_fields
        Largest number of fields shown in slices, taken in turn from the conditions.
    decisions
        Largest number of doubtful decisions of stitching that are shown in pictures.
    gallery
        Number of single particles shown of each kind: least, typically and most detached.
    """

    title: str | None = None
    table_rows: int = 200
    pictured_particles: int = 3000
    pictured_fields: int = 8
    decisions: int = 12
    gallery: int = 4

    def __post_init__(self) -> None:
        check(self.table_rows >= 0, "table_rows", self.table_rows, "0 or more rows")
        check(self.pictured_particles >= 0, "pictured_particles", self.pictured_particles, "0 or more particles")
        check(self.pictured_fields >= 0, "pictured_fields", self.pictured_fields, "0 or more fields")
        check(self.decisions >= 0, "decisions", self.decisions, "0 or more decisions")
        check(self.gallery >= 0, "gallery", self.gallery, "0 or more particles")
