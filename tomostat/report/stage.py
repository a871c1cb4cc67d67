"""The report stage: results of all stages -> a page with figures, tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tomostat.report.options import ReportOptions
from tomostat.stage import Json, StudyStage, Work

if TYPE_CHECKING:
    from tomostat.layout import Layout
    from tomostat.study import Study


class Report(StudyStage[ReportOptions]):
    """The page with its figures and tables."""

    name = "report"
    help = "Write the page with figures, tables and pictures."
    options = ReportOptions
    version = 5
    reads = ("particles of all fields", "analysis", "structure")
    writes = ("report",)
    fixed_steps = ("figures",)

    def outputs(self, layout: Layout, scope: str) -> Sequence[Path]:
        """The page and its files."""
        return [layout.report]

    def depends(self, work: Work) -> Sequence[Json]:
        """What `tomostat check` found, and what people answered."""
        files = work.layout.checks, work.layout.answers
        return [path.read_text(encoding="utf-8") if path.exists() else "" for path in files]

    def most_tasks(self, study: Study) -> float:
        """Pictures of particles and of slices are limited."""
        from tomostat.report.browsing import MOST

        options = self.options_of(study)
        return options.pictured_particles + MOST * options.pictured_fields

    def run(self, work: Work) -> None:
        """Write the page and the files that it links to."""
        from tomostat.answers import particle_keys, read_answers
        from tomostat.checks import read_checks
        from tomostat.datasets import open_dataset, open_particles
        from tomostat.manifest import Content
        from tomostat.report import Provenance, write_report

        layout = work.layout
        content = Content.read(layout.root)
        write_report(
            layout.report,
            open_particles(layout.particles),
            open_dataset(layout.analysis, "analysis", "tomostat analyze"),
            {field.name: layout.volume(field.name) for field in work.study.fields},
            structures={
                field.name: open_dataset(layout.structure(field.name), "structure", "tomostat structure")
                for field in work.study.fields
            },
            options=self.options_of(work.study),
            provenance=Provenance(
                study=work.study,
                seconds=content.seconds(),
                graphs={field.name: layout.graph(field.name) for field in work.study.fields},
                warnings=content.warnings(),
                problems=read_checks(layout.checks, content.keys("stitch")),
                answers=read_answers(layout.answers, particle_keys(content)),
            ),
            execution=work.execution,
        )


REPORT = Report()
