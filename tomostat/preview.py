"""A look at phases and outlines in a small box of a volume, before a long run."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomostat.blocks import Box, Shape, box_of, box_text, middle_box
from tomostat.detect import detect_instances, make_detector
from tomostat.detect.stage import DETECT
from tomostat.execution import Execution
from tomostat.files import atomic
from tomostat.ingest import ingest_volume, probe
from tomostat.ingest.stage import INGEST, implausible_sizes
from tomostat.instances import read_instances
from tomostat.messages import plural
from tomostat.options import as_dict
from tomostat.phase import PhaseFit, PhaseLevels
from tomostat.phases import segment_phases
from tomostat.phases.stage import PHASES
from tomostat.report.preview import BoxView, draw_preview, named_levels, named_thresholds
from tomostat.report.style import save_png, styled
from tomostat.report.text import percent, significant
from tomostat.volume import VolumeInfo, read_box, read_flat

if TYPE_CHECKING:
    from tomostat.study import Field, Study

USUAL_BOX = (32, 256, 256)
"""Voxels (z, y, x) in the middle of a volume that are looked at where no box is named."""

STAGES = (INGEST, PHASES, DETECT)
"""Stages that work on the box."""

LEAST, MOST = 32, 2**27
"""Voxels along y and x below which a box shows too little, and voxels of a box that are held in memory."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What was found in a box of a volume.

    Attributes
    ----------
    source
        The volume, in words.
    box
        The box (z, y, x) in voxels.
    fit
        What the phases stage found in it; grey levels, thresholds and percentiles are those of the file.
    slices, outlines
        Slices of the box, and outlines of particles in all of them.
    settings
        Options of the stages ingest, phases and detect, by the names of the stages.
    warnings
        What is implausible.
    """

    source: str
    box: Box
    fit: PhaseFit
    slices: int
    outlines: int
    settings: Mapping[str, Mapping[str, Any]]
    warnings: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """What was found, and by which settings, line by line."""
        fit, shares = self.fit, asdict(self.fit.shares)
        yield self.source
        yield f"box {box_text(self.box)} (z, y, x)"
        for phase, name, level in named_levels(fit):
            share = percent(shares[phase.name.lower()], 1)
            yield f"{name}: grey level {significant(level)}, {share} of the voxels"
        for name, value in named_thresholds(fit):
            yield f"threshold {name}: {significant(value, 4)}"
        blur = "blur not measured" if fit.blur is None else f"blur {significant(fit.blur)} voxels"
        yield f"noise {significant(fit.noise)}, {blur}"
        mean = significant(self.outlines / self.slices)
        along = " (along z only)" if len(self.settings[DETECT.name]["views"]) > 1 else ""
        yield f"{plural(self.outlines, 'outline')} in {plural(self.slices, 'slice')}, {mean} in each{along}"
        changed = list(self._changed_settings())
        yield f"settings: {', '.join(changed) or 'all by default'}"
        yield from (f"warning: {text}" for text in (*self.warnings, *fit.warnings))

    def _changed_settings(self) -> Iterator[str]:
        """Options that are not as by default, spelled as for ``tomostat run``."""
        for stage in STAGES:
            default = as_dict(stage.options())
            for name, value in self.settings[stage.name].items():
                if value != default[name]:
                    yield f"{stage.name}.{name.replace('_', '-')} {value}"


def preview(
    study: Study,
    to: str | Path,
    *,
    field: str | None = None,
    box: Box | None = None,
    execution: Execution | None = None,
) -> Preview:
    """Segment phases and find particles in a small box of a field, and draw them: seconds, before a run of hours.

    Only the box is read. The stages ingest, phases and detect work on it with the options of the study, in a temporary
    folder; nothing is written into the output folder. Thresholds are those of the box: a run finds them in the whole
    volume, and they differ where the box is not like the rest.

    Parameters
    ----------
    study
        The study, such as `load_study` or `study_of_volume` gives.
    to
        Picture to write, ``.png``: the middle slice of the box with outlines, its phases, and the grey values of the
        box with levels and thresholds.
    field
        Name of the field; the first one when not given.
    box
        Slices of z, y and x in voxels; 32 x 256 x 256 voxels in the middle when not given.
    execution
        Where to run; threads of this process when not given.

    Returns
    -------
    Preview
        Grey levels, thresholds, number of outlines, settings.

    Raises
    ------
    FileNotFoundError, ValueError
        When the volume is missing or cannot be read, the box is too small or no part of it, an option is wrong, or the
        picture has another ending; before anything is computed.
    """
    to = Path(to)
    if to.suffix.lower() != ".png":
        raise ValueError(f"the picture is {to}; expected a name that ends in .png")
    chosen = study.fields[0] if field is None else study.field(field)
    path, ingest, detect = _grey_of(chosen), INGEST.options_of(study), DETECT.options_of(study)
    make_detector(detect)
    source = probe(path, spacing=chosen.spacing, options=ingest)
    box = middle_box(source.shape, USUAL_BOX) if box is None else box
    _check_size(box, source.shape)
    with tempfile.TemporaryDirectory(prefix="tomostat-preview-") as folder:
        volume, tables = Path(folder) / "box.zarr", Path(folder) / "instances"
        info = ingest_volume(path, volume, spacing=chosen.spacing, options=ingest, box=box, execution=execution)
        fit = _in_file(segment_phases(volume, options=PHASES.options_of(study), execution=execution), info)
        detect_instances(volume, tables, options=replace(detect, views=("z",)), execution=execution)
        found, everything = read_instances(tables), box_of(info.shape)
        view = BoxView(
            grey=info.grey_in_file(read_flat(volume, everything)),
            phases=read_box(volume, everything, "phases"),
            outlines=found.labels(info.shape[0] // 2),
            start=(box[0].start, box[1].start, box[2].start),
            spacing=info.spacing,
        )
    settings = {stage.name: as_dict(stage.options_of(study)) for stage in STAGES}
    preview = Preview(
        source=f"{path}: {replace(source, spacing=info.spacing)}",
        box=box,
        fit=fit,
        slices=info.shape[0],
        outlines=len(found),
        settings=settings,
        warnings=tuple(implausible_sizes(source.shape, info.spacing, ingest)),
    )
    with styled(), atomic(to) as part:
        save_png(draw_preview(view, fit, list(preview.lines())), part)
    return preview


def _grey_of(field: Field) -> Path:
    """The grey values of a field whose phases and particles tomostat is to find."""
    if field.path is None or field.labels is not None or field.phases_image is not None:
        raise ValueError(
            f"field {field.name!r} comes with labels or phases of another program; nothing is left to try there"
        )
    return field.path


def _check_size(box: Box, shape: Shape) -> None:
    """Refuse a box that shows too little, unless the volume is as small itself, and one that is too large to hold."""
    size = [part.stop - part.start for part in box]
    if any(side < min(LEAST, n) for side, n in zip(size[1:], shape[1:], strict=True)) or size[0] < 1:
        raise ValueError(f"box is {box_text(box)}; expected a slice or more, of {LEAST} voxels or more along y and x")
    if math.prod(size) > MOST:
        raise ValueError(
            f"box {box_text(box)} has more than {MOST:.2g} voxels; give a smaller one, or use `tomostat run`"
        )


def _in_file(fit: PhaseFit, info: VolumeInfo) -> PhaseFit:
    """A fit whose grey levels and thresholds are those of the file, as options name them."""
    levels = {name: None if level is None else info.grey_in_file(level) for name, level in asdict(fit.levels).items()}
    low, high = sorted(map(info.grey_in_file, fit.percentiles))
    thresholds = tuple(map(info.grey_in_file, fit.thresholds))
    return replace(fit, levels=PhaseLevels(**levels), thresholds=thresholds, percentiles=(low, high))
