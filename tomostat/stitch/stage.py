"""The stitch stage: 2D instances -> labelled 3D particles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tomostat.stage import FieldStage, FieldWork, Json
from tomostat.stitch.options import StitchOptions

if TYPE_CHECKING:
    from tomostat.layout import Layout
    from tomostat.study import Field


class Stitch(FieldStage[StitchOptions]):
    """Instances linked over slices, merged into particles, painted as labels."""

    name = "stitch"
    help = "Join detections of neighbouring slices into particles, or correct them by hand."
    options = StitchOptions
    version = 15
    reads = ("grey", "instances", "phases")
    writes = ("merge graph", "particles")

    def given(self, field: Field) -> bool:
        """Whether another program found the particles."""
        return field.particles_given

    def depends(self, work: FieldWork) -> Sequence[Json]:
        """The corrections by hand."""
        from tomostat.stitch import known_edits

        return [asdict(edit) for edit in known_edits(work.layout.edits(work.field.name))]

    def outputs(self, layout: Layout, scope: str) -> Sequence[Path]:
        """Merge graph and label image."""
        from tomostat.volume import image_paths

        return [layout.graph(scope), *image_paths(layout.volume(scope), "particles")]

    def warnings(self, work: FieldWork) -> Sequence[str]:
        """Detections of which no particle is left."""
        from tomostat.instances import count_instances
        from tomostat.stitch import open_graph

        layout, name = work.layout, work.field.name
        found = count_instances(layout.instances(name))
        if not found or len(open_graph(layout.graph(name)).particles):
            return []
        slices = self.options_of(work.study).min_slices
        return [f"no particle is left of {found} detections; particles need {slices} slices (--stitch.min-slices)"]

    def run(self, work: FieldWork) -> None:
        """Link, decide, paint."""
        from tomostat.stitch import known_edits, stitch_particles

        layout, name = work.layout, work.field.name
        stitch_particles(
            layout.volume(name),
            layout.instances(name),
            layout.graph(name),
            options=self.options_of(work.study),
            edits=known_edits(layout.edits(name)),
            execution=work.execution,
        )


STITCH = Stitch()
