"""The ingest stage: copies a source of voxels into the grey volume of a field."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tomostat.ingest.options import IngestOptions
from tomostat.stage import FieldStage, FieldWork, Json

if TYPE_CHECKING:
    from tomostat.manifest import Layout
    from tomostat.study import Study


class Ingest(FieldStage[IngestOptions]):
    """Converts TIFF, HDF5, zarr, NRRD, NIfTI, npy, raw, pictures and the formats of installed readers to OME-Zarr."""

    name = "ingest"
    help = "Read a volume, or all volumes of a study file, into OME-Zarr."
    options = IngestOptions
    version = 2
    writes = ("grey",)

    def check(self, study: Study) -> None:
        """Refuse sources that are missing, damaged or of unknown voxel size."""
        from tomostat.ingest import probe

        for field in study.fields:
            probe(field.path, spacing=field.spacing, options=self.options_of(study))

    def depends(self, work: FieldWork) -> Sequence[Json]:
        """The source, its reader, and its voxel size and density scale in the study."""
        from tomostat.ingest import choose_reader
        from tomostat.manifest import fingerprint

        field = work.field
        reader = choose_reader(field.path, self.options_of(work.study))
        return [fingerprint(field.path), reader.identity, field.spacing, field.density_scale, field.density_offset]

    def outputs(self, layout: Layout, scope: str) -> Sequence[Path]:
        """The grey image, all levels of it."""
        from tomostat.volume import image_paths

        return image_paths(layout.volume(scope))

    def run(self, work: FieldWork) -> None:
        """Copy the voxels block by block."""
        from tomostat.ingest import ingest_volume

        field = work.field
        density = {"density_scale": field.density_scale, "density_offset": field.density_offset}
        ingest_volume(
            field.path,
            work.layout.volume(field.name),
            spacing=field.spacing,
            options=self.options_of(work.study),
            attributes={name: value for name, value in density.items() if value is not None},
            execution=work.execution,
        )


INGEST = Ingest()
