"""The ingest stage: copies a source of voxels into the grey volume of a field, and labels and phases beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tomostat.ingest.options import IngestOptions
from tomostat.options import is_within
from tomostat.stage import FieldStage, FieldWork, Json

if TYPE_CHECKING:
    from tomostat.blocks import Shape
    from tomostat.ingest import Source
    from tomostat.layout import Layout
    from tomostat.study import Field, Study
    from tomostat.volume import Spacing


class Ingest(FieldStage[IngestOptions]):
    """Converts TIFF, HDF5, zarr, NRRD, NIfTI, npy, raw, pictures and the formats of installed readers to OME-Zarr."""

    name = "ingest"
    help = "Read a volume, or all volumes of a study file, into OME-Zarr."
    options = IngestOptions
    version = 4
    writes = ("grey",)
    small = 2**24

    def check(self, study: Study) -> None:
        """Refuse sources that are missing, damaged, of unknown voxel size, or that do not belong together."""
        for field in study.fields:
            _check_field(field, self.options_of(study))

    def depends(self, work: FieldWork) -> Sequence[Json]:
        """The sources, the volume's reader, and its voxel size and density scale in the study."""
        from tomostat.ingest import find_source, open_source, split_dataset
        from tomostat.manifest import fingerprint

        def files_of(source: Source) -> list[Json]:
            return fingerprint(source.path, () if source.path.is_dir() else source.files)

        field = work.field
        given: list[Json] = [[str(path), *files_of(open_source(path))] for path in _given(field)]
        if field.phase_codes is not None:
            given.append({str(code): name for code, name in field.phase_codes.items()})
        if field.path is None:
            return [field.spacing, *given]
        found = find_source(field.path, self.options_of(work.study))
        _, dataset = split_dataset(field.path)
        named: list[Json] = [] if dataset is None else [dataset]
        known: list[Json] = [files_of(found.source), found.reader.identity, field.spacing]
        return [*known, field.density_scale, field.density_offset, *named, *given]

    def outputs(self, layout: Layout, scope: str) -> Sequence[Path]:
        """The grey image, all levels of it."""
        from tomostat.volume import image_paths

        return image_paths(layout.volume(scope))

    def warnings(self, work: FieldWork) -> Sequence[str]:
        """Implausible sizes, as of a voxel size in nanometers that was given as micrometers; labels as grey values."""
        from tomostat.volume import describe

        info = describe(work.layout.volume(work.field.name))
        sizes = implausible_sizes(info.shape, info.spacing, self.options_of(work.study))
        return sizes + list(info.attributes.get("warnings", ()))

    def run(self, work: FieldWork) -> None:
        """Copy the voxels block by block; label images are read once before anything is written."""
        from tomostat.ingest import copy_images, find_images, given_spacing, ingest_volume, render_volume, scan_images
        from tomostat.volume import describe

        field, path, execution = work.field, work.layout.volume(work.field.name), work.execution
        images = find_images(field.labels, field.phases_image, field.phase_codes)
        known = scan_images(images, execution)
        if field.path is None:
            render_volume(path, images, given_spacing(images, field.spacing), execution)
        else:
            density = {"density_scale": field.density_scale, "density_offset": field.density_offset}
            ingest_volume(
                field.path,
                path,
                spacing=field.spacing,
                options=self.options_of(work.study),
                attributes={name: value for name, value in density.items() if value is not None},
                execution=execution,
            )
        copy_images(path, images, known, describe(path).spacing, execution)


def _given(field: Field) -> list[Path]:
    """Images from other programs."""
    return [path for path in (field.labels, field.phases_image) if path is not None]


def _check_field(field: Field, options: IngestOptions) -> None:
    """Refuse sources that are missing, damaged, of unknown voxel size, or that differ in shape."""
    from tomostat.ingest import check_images, choose_spacing, find_images, given_spacing, probe

    volume = None if field.path is None else probe(field.path, spacing=field.spacing, options=options)
    images = find_images(field.labels, field.phases_image, field.phase_codes)
    if volume is None:
        check_images(images, images.any_source.source.shape, given_spacing(images, field.spacing))
    else:
        check_images(images, volume.shape, choose_spacing(volume, field.spacing))


def implausible_sizes(shape: Shape, spacing: Spacing, options: IngestOptions) -> list[str]:
    """Warnings of a size of voxels or of the field that is hardly meant."""
    voxel = " x ".join(f"{size:g}" for size in spacing)
    width = max(n * size for n, size in zip(shape, spacing, strict=True))
    wrong = []
    if not all(is_within(size, options.plausible_voxel) for size in spacing):
        low, high = options.plausible_voxel
        wrong.append(f"voxels of {voxel} micrometers are implausible (expected {low:g} to {high:g})")
    if not is_within(width, options.plausible_field):
        low, high = options.plausible_field
        wrong.append(f"a field of view of {width:g} micrometers is implausible (expected {low:g} to {high:g})")
    return [f"{text}; spacing is in micrometers: was it given in nanometers?" for text in wrong]


INGEST = Ingest()
