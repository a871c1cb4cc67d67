"""Fields without grey values: an image of their phases takes the place."""

from __future__ import annotations

import logging
from pathlib import Path

import dask
import numpy as np

from tomostat.blocks import Block, block_grid
from tomostat.execution import Execution
from tomostat.ingest.given import GivenImages, given_phases, source_record
from tomostat.ingest.kernels.rendering import HALO, render_phases
from tomostat.ingest.stream import block_shape
from tomostat.volume import RENDERED, Spacing, create_volume, pyramid_tasks, storage_layout, write_box

logger = logging.getLogger(__name__)


def render_volume(path: Path, images: GivenImages, spacing: Spacing, execution: Execution) -> None:
    """Make a volume of given images that have no grey values.

    Its grey values are an image of the phases, blurred as a sharp scan is, so that detectors and pictures work as of
    any other volume; the attribute `RENDERED` says so. Columns that need grey values are missing, and contact is
    decided by the phases themselves (`tomostat.measure.contact.segmented`).

    Parameters
    ----------
    path
        The volume to write, ``NAME.zarr``; an existing volume is replaced.
    images
        From `find_images`.
    spacing, execution
        As in `copy_images`.
    """
    execution = execution.for_stage("ingest")
    found = images.any_source
    if not execution.has_finished_tasks("blocks"):
        attributes = {"source": source_record(found), RENDERED: True}
        create_volume(path, shape=found.source.shape, dtype=np.uint8, spacing=spacing, attributes=attributes)
    render = dask.delayed(_render_block, pure=False)
    core = block_shape(found.source, storage_layout(found.source.shape)[1])
    blocks = block_grid(found.source.shape, core, (HALO,) * 3)
    execution.run("blocks", {block.key: render(images, path, block) for block in blocks})
    execution.run_levels(pyramid_tasks(path))
    logger.warning("%s has no grey values: columns that need them are missing", path.stem)


def _render_block(images: GivenImages, path: Path, block: Block) -> None:
    write_box(path, block.start, render_phases(given_phases(images, block.outer))[block.inner])
