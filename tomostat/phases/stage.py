"""The phases stage: grey values -> pore, carbon-binder domain, active material."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tomostat.phases.options import PhasesOptions
from tomostat.stage import FieldStage, FieldWork

if TYPE_CHECKING:
    from tomostat.layout import Layout


class Phases(FieldStage[PhasesOptions]):
    """Segmentation of the grey values into phases."""

    name = "phases"
    help = "Segment voxels into pore, carbon-binder domain and active material."
    options = PhasesOptions
    version = 8
    reads = ("grey",)
    writes = ("phases",)

    def outputs(self, layout: Layout, scope: str) -> Sequence[Path]:
        """The label image and the shading."""
        from tomostat.volume import image_paths

        return [*image_paths(layout.volume(scope), "phases"), layout.volume(scope) / "shading"]

    def warnings(self, work: FieldWork) -> Sequence[str]:
        """Phases that cannot be distinguished."""
        from tomostat.volume import read_fit

        return read_fit(work.layout.volume(work.field.name)).warnings

    def run(self, work: FieldWork) -> None:
        """Estimate shading, blur, noise and thresholds, and write the labels unless the field comes with them."""
        from tomostat.phases import describe_phases, segment_phases

        find = describe_phases if work.field.phases_given else segment_phases
        find(work.layout.volume(work.field.name), options=self.options_of(work.study), execution=work.execution)


PHASES = Phases()
