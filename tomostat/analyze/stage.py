"""The analyze stage: particle table -> statistics with confidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tomostat.analyze.options import AnalyzeOptions
from tomostat.stage import StudyStage, Work

if TYPE_CHECKING:
    from tomostat.layout import Layout


class Analyze(StudyStage[AnalyzeOptions]):
    """Statistics of all particles of the study."""

    name = "analyze"
    help = "Compute statistics of the study, with confidence intervals."
    options = AnalyzeOptions
    version = 5
    reads = ("particles of all fields",)
    writes = ("analysis", "statistics")

    def outputs(self, layout: Layout, scope: str) -> Sequence[Path]:
        """The statistics."""
        return [layout.analysis]

    def run(self, work: Work) -> None:
        """Analyze the particles of all fields."""
        from tomostat.analyze import analyze_particles, write_analysis, write_tables
        from tomostat.datasets import open_particles

        particles = open_particles(work.layout.particles)
        conditions = [sample.condition for sample in work.study.samples]
        results = analyze_particles(particles, options=self.options_of(work.study), conditions=conditions)
        write_analysis(work.layout.analysis, results)
        write_tables(work.layout.statistics, results)


ANALYZE = Analyze()
