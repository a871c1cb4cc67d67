"""The detect stage: slices -> 2D instances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tomostat.detect.options import DetectOptions
from tomostat.stage import FieldStage, FieldWork, Json, VolumeSize
from tomostat.workers import GPU

if TYPE_CHECKING:
    from tomostat.execution import Execution
    from tomostat.layout import Layout
    from tomostat.study import Field, Study


class Detect(FieldStage[DetectOptions]):
    """Particles in every slice, by the network, the watershed or a detector of another package."""

    name = "detect"
    help = "Find particles in every slice."
    options = DetectOptions
    version = 12
    reads = ("grey", "phases")
    writes = ("instances",)
    brings = (GPU,)

    def given(self, field: Field) -> bool:
        """Whether another program found the particles."""
        return field.particles_given

    def check(self, study: Study) -> None:
        """Refuse a detector that does not exist or cannot work."""
        from tomostat.detect import make_detector

        if not all(self.given(field) for field in study.fields):
            make_detector(self.options_of(study))

    def check_volume(self, study: Study, field: Field, size: Callable[[], VolumeSize]) -> None:
        """Refuse a volume that is too thin for the views."""
        from tomostat.views import check_views

        views = self.options_of(study).views
        if len(views) > 1 and not self.given(field):
            check_views(views, *size())

    def check_place(self, study: Study, execution: Execution) -> None:
        """Refuse a GPU where no worker has one."""
        from tomostat.detect.instances import check_gpu

        check_gpu(self.options_of(study), execution)

    def depends(self, work: FieldWork) -> Sequence[Json]:
        """The detector with its version, and its fingerprint, such as a hash of weights."""
        from tomostat.detect import DETECTORS, make_detector

        options = self.options_of(work.study)
        return [*DETECTORS.get(options.detector).identity, make_detector(options).fingerprint]

    def outputs(self, layout: Layout, scope: str) -> Sequence[Path]:
        """The instance tables."""
        return [layout.instances(scope)]

    def warnings(self, work: FieldWork) -> Sequence[str]:
        """A detector that finds nothing."""
        from tomostat.instances import count_instances

        if count_instances(work.layout.instances(work.field.name)):
            return []
        return ["no particle was found in any slice; look at labels/phases, the voxel size and --detect.score"]

    def run(self, work: FieldWork) -> None:
        """Run the detector block by block."""
        from tomostat.detect import detect_instances

        layout, name = work.layout, work.field.name
        detect_instances(
            layout.volume(name), layout.instances(name), options=self.options_of(work.study), execution=work.execution
        )


DETECT = Detect()
