"""The structure stage: phases -> volume fractions, specific surfaces, tortuosity, and how they converge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tomostat.stage import FieldStage, FieldWork
from tomostat.structure.options import StructureOptions

if TYPE_CHECKING:
    from tomostat.layout import Layout
    from tomostat.study import Study


class Structure(FieldStage[StructureOptions]):
    """The structure of a field, and how it converges with the volume."""

    name = "structure"
    help = "Measure volume fractions, specific surfaces and tortuosity, and how they converge with the volume."
    options = StructureOptions
    version = 1
    reads = ("phases",)
    writes = ("structure",)

    def check(self, study: Study) -> None:
        """Refuse tortuosity where TauFactor is not installed."""
        from tomostat.structure.kernels.tortuosity import check_solver

        if self.options_of(study).tortuosity:
            check_solver()

    def outputs(self, layout: Layout, scope: str) -> Sequence[Path]:
        """The dataset of the field."""
        return [layout.structure(scope)]

    def run(self, work: FieldWork) -> None:
        """Count block by block, then solve."""
        from tomostat.datasets import write_dataset
        from tomostat.structure import measure_structure

        layout, name = work.layout, work.field.name
        found = measure_structure(layout.volume(name), options=self.options_of(work.study), execution=work.execution)
        write_dataset(layout.structure(name), found)


STRUCTURE = Structure()
