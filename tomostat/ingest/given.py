"""Labels and phases that other programs made, copied into the volume of a field block by block."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
from dask.delayed import Delayed
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.blocks import Block, Box, Shape, block_grid, box_of
from tomostat.execution import Execution
from tomostat.ingest.choose import FoundSource, choose_spacing, find_source, naming_plugin, probe
from tomostat.ingest.kernels.recode import recode, renumber
from tomostat.ingest.labels import NUMBER_THEM, as_labels
from tomostat.ingest.options import IngestOptions
from tomostat.ingest.stream import block_shape
from tomostat.phase import Phase
from tomostat.volume import Spacing, create_volume, describe, pyramid_tasks, storage_layout, write_box

if TYPE_CHECKING:
    from tomostat.study import Field

logger = logging.getLogger(__name__)

MOST = np.iinfo(np.int64).max
"""Largest label."""


@dataclass(frozen=True)
class GivenImages:
    """Label images of a field from other programs, found but not read.

    Attributes
    ----------
    labels
        Particles: any whole numbers, 0 for background; None where tomostat finds them.
    phases
        Phases; None where tomostat segments them.
    codes
        Phase by the value that stands for it in `phases`.
    """

    labels: FoundSource | None
    phases: FoundSource | None
    codes: Mapping[int, Phase]

    @property
    def any_source(self) -> FoundSource:
        """An image that tells the shape; one is given."""
        found = self.phases or self.labels
        if found is None:
            raise ValueError("neither labels nor phases are given")
        return found


@dataclass(frozen=True)
class KnownValues:
    """What `scan_images` found.

    Attributes
    ----------
    ids
        (n,) int64, labels in the given image, ascending; None without an image.
    """

    ids: NDArray[np.int64] | None


def find_images(labels: Path | None, phases: Path | None, codes: Mapping[int, str] | None) -> GivenImages:
    """Find label images without reading them.

    Parameters
    ----------
    labels, phases
        Files or folders; a dataset in one of several is named after a colon, ``FILE.h5:exported_data``.
    codes
        Name of the phase by the value that stands for it.

    Raises
    ------
    FileNotFoundError, ValueError
        When a file is missing, damaged, in colour, or of a type that holds no labels.
    """
    named = {value: Phase[name.upper()] for value, name in (codes or {}).items()}
    return GivenImages(
        None if labels is None else _find(labels, "labels"), None if phases is None else _find(phases, "phases"), named
    )


def _find(path: Path, what: str) -> FoundSource:
    found = find_source(path)
    if found.source.dtype.kind not in "iufb":
        raise ValueError(f"{path} holds {found.source.dtype.name} voxels; expected {what}: whole numbers")
    return found


def check_images(images: GivenImages, shape: Shape, spacing: Spacing) -> None:
    """Compare shape and voxel size of label images with those of their field.

    Raises
    ------
    ValueError
        When shapes differ; another voxel size in a file is only warned about, since many programs lose it.
    """
    for what, found in (("labels", images.labels), ("phases", images.phases)):
        if found is None:
            continue
        source = found.source
        if source.shape != shape:
            other = " in another order of axes: save it as z y x" if sorted(source.shape) == sorted(shape) else ""
            sizes = f"{_times(source.shape)} voxels, the field is {_times(shape)}"
            raise ValueError(f"{source.path}: {what} are {sizes}{other}")
        choose_spacing(source, spacing)


MOST_VOXELS, ONE_PIECE = 2**27, 0.95
"""Largest volume whose single label may be one particle, and the share of its voxels that are then one piece."""


def _times(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def scan_images(images: GivenImages, execution: Execution) -> KnownValues:
    """Read label images once, before anything is written.

    Raises
    ------
    ValueError
        When labels are no whole numbers, negative, a single one, none at all or without background, or when phases hold
        a value without meaning.
    """
    execution = execution.for_stage("ingest")
    ids = None
    if images.labels is not None:
        values = _values(images.labels, "labels", execution)
        ids = values[values != 0]
        _check_ids(images.labels, ids, background=len(ids) < len(values))
        if len(ids) == 1 and not _is_one_particle(images.labels):
            raise ValueError(
                f"{images.labels.source.path} holds the single label {ids[0]}: a mask, not particles; {NUMBER_THEM}"
            )
    if images.phases is not None:
        values = _values(images.phases, "phases", execution)
        unknown = sorted(set(values.tolist()) - set(images.codes))
        if unknown:
            raise ValueError(
                f"{images.phases.source.path} holds the value {unknown[0]}, which phase_codes do not name; "
                f"they name {', '.join(map(str, sorted(images.codes)))}"
            )
    return KnownValues(ids)


def _check_ids(found: FoundSource, ids: NDArray[np.int64], background: bool) -> None:
    path = found.source.path
    if len(ids) > 1 and not background:
        raise ValueError(
            f"{path} has no background: no voxel is 0, as between particles; are these grey values? Those are the "
            "volume itself, labels come beside it"
        )
    if not len(ids):
        raise ValueError(f"{path} holds no label, every voxel is 0; check the export, or the dataset chosen")


def _is_one_particle(found: FoundSource) -> bool:
    """Whether the voxels of a single label are one piece but for specks; never in volumes too large to look at."""
    if math.prod(found.source.shape) > MOST_VOXELS:
        return False
    mask = _read(found, box_of(found.source.shape)) != 0
    pieces = np.bincount(ndimage.label(mask, np.ones((3, 3, 3)))[0].ravel())[1:]
    return bool(pieces.max() >= ONE_PIECE * pieces.sum() and not mask.all())


def _values(found: FoundSource, what: str, execution: Execution) -> NDArray[np.int64]:
    """All values of an image, ascending."""
    find = dask.delayed(_block_values, pure=False)
    parts = execution.run(f"{what}, values", {block.key: find(found, block) for block in _blocks(found)})
    return np.unique(np.concatenate([np.array(part, np.int64) for part in parts.values()]))


def _blocks(found: FoundSource) -> list[Block]:
    return block_grid(found.source.shape, block_shape(found.source, storage_layout(found.source.shape)[1]))


def _block_values(found: FoundSource, block: Block) -> list[int]:
    return np.unique(_read(found, block.core)).tolist()


def _read(found: FoundSource, box: Box) -> NDArray[np.int64]:
    """A box of labels as integers."""
    path = found.source.path
    with naming_plugin(found.reader, str(path)):
        labels = as_labels(str(path), found.source.read(box))
    if labels.max(initial=0) > MOST:
        raise ValueError(f"{path} holds labels beyond {MOST}; number them anew")
    return labels.astype(np.int64)


def copy_images(path: Path, images: GivenImages, known: KnownValues, spacing: Spacing, execution: Execution) -> None:
    """Write given images into a volume that stands, as ``labels/phases`` and ``labels/particles``.

    Particles are numbered 1, 2, ... in the order of their labels; the attribute ``original_ids`` lists those. Without
    an image of phases, a volume without grey values of its own has active material where it has particles.

    Parameters
    ----------
    path
        The volume.
    images, known
        From `find_images` and `scan_images`.
    spacing
        Voxel size (z, y, x) in micrometers.
    execution
        Where to run, who receives events, and where finished tasks are recorded.
    """
    execution = execution.for_stage("ingest")
    if images.labels is not None and known.ids is not None:
        attributes = {"original_ids": known.ids.tolist(), "source": source_record(images.labels)}
        copy = dask.delayed(_copy_labels, pure=False)
        tasks = {block.key: copy(images.labels, path, block, known.ids) for block in _blocks(images.labels)}
        _write(path, "particles", np.uint32, spacing, images.labels.source.shape, attributes, tasks, execution)
    if images.phases is not None or describe(path).rendered:
        found = images.any_source
        copy = dask.delayed(_copy_phases, pure=False)
        tasks = {block.key: copy(images, path, block) for block in _blocks(found)}
        _write(
            path, "phases", np.uint8, spacing, found.source.shape, {"source": source_record(found)}, tasks, execution
        )


def source_record(found: FoundSource) -> dict[str, Any]:
    """What the attributes of an image say of its source."""
    return dataclasses.asdict(found.source.record(found.reader))


def _write(
    path: Path,
    label: str,
    dtype: type[np.generic],
    spacing: Spacing,
    shape: Shape,
    attributes: Mapping[str, Any],
    tasks: Mapping[str, Delayed],
    execution: Execution,
) -> None:
    """Make a label image, fill it and its pyramid."""
    if not execution.has_finished_tasks(label):
        create_volume(path, shape=shape, dtype=dtype, spacing=spacing, label=label, attributes=attributes)
    execution.run(label, tasks)
    execution.run_levels(pyramid_tasks(path, label), step=label)


def _copy_labels(found: FoundSource, path: Path, block: Block, ids: NDArray[np.int64]) -> None:
    write_box(path, block.start, renumber(_read(found, block.core), ids), "particles")


def _copy_phases(images: GivenImages, path: Path, block: Block) -> None:
    write_box(path, block.start, given_phases(images, block.core), "phases")


def given_phases(images: GivenImages, box: Box) -> NDArray[np.uint8]:
    """Phases of a box: as given, else active material in the particles."""
    if images.phases is not None:
        return recode(_read(images.phases, box), images.codes)
    return np.where(_read(images.any_source, box) != 0, Phase.ACTIVE, Phase.PORE).astype(np.uint8)


def field_size(field: Field, options: IngestOptions) -> tuple[Shape, Spacing]:
    """Voxels (z, y, x) of a field and their size in micrometers, without reading them.

    Raises
    ------
    FileNotFoundError, ValueError
        As `tomostat.ingest.probe`.
    """
    if field.path is not None:
        source = probe(field.path, spacing=field.spacing, options=options)
        return source.shape, choose_spacing(source, field.spacing)
    images = find_images(field.labels, field.phases_image, field.phase_codes)
    return images.any_source.source.shape, given_spacing(images, field.spacing)


def given_spacing(images: GivenImages, given: float | Sequence[float] | None) -> Spacing:
    """Voxel size of a field without grey values: the one that is given, else that in one of its images.

    Raises
    ------
    ValueError
        When none tells a voxel size.
    """
    sources = [found.source for found in (images.phases, images.labels) if found is not None]
    knowing = next((source for source in sources if source.spacing is not None), sources[0])
    return choose_spacing(knowing, given)
