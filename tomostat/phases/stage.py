"""The phases stage: grey values -> pore, carbon-binder domain, active material."""

from __future__ import annotations

from tomostat.phases.options import PhasesOptions
from tomostat.stage import FieldStage, FieldWork


class Phases(FieldStage[PhasesOptions]):
    """Segmentation of the grey values into phases."""

    name = "phases"
    help = "Segment voxels into pore, carbon-binder domain and active material."
    options = PhasesOptions
    version = 3
    reads = ("grey",)
    writes = ("phases",)

    def run(self, work: FieldWork) -> None:
        """Estimate shading, blur, noise and thresholds, and write the labels."""
        from tomostat.phases import segment_phases

        segment_phases(
            work.layout.volume(work.field.name), options=self.options_of(work.study), execution=work.execution
        )


PHASES = Phases()
